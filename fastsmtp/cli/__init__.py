"""The command line: each command parses, calls, prints. What it does lives elsewhere."""
