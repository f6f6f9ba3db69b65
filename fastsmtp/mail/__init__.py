"""Plain words of mail: addresses, envelopes, replies. Nothing here knows sockets, settings or files."""
