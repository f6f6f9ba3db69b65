"""Foreign programs against the server: clients that send, Dovecot that reads."""
