"""The ledger: every event in the life of every message, kept in files and found again by an index; docs/ledger.md."""
