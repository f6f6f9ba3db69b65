"""Backups: taken while the server works, and put back where there is nothing."""
