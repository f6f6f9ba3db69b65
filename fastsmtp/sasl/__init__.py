"""SASL (RFC 4422): mechanisms as exchanges of messages, without I/O."""
