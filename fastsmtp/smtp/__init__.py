"""SMTP itself (RFC 5321 and its extensions): bytes in, events and replies out; no sockets, no clock, no awaits."""
