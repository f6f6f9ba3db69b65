"""TLS towards clients: certificates, contexts, and the layer between a connection and its dialogue."""
