"""Asking a running server, and changing what it holds: a socket for each worker; docs/control.md."""
