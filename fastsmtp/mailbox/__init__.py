"""Mailboxes on disk: where a user's is, and what a Maildir looks like."""
