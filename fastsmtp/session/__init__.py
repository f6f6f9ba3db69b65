"""Inbound sessions: the protocol driven over a socket, the router and the guard asked, the intake fed."""
