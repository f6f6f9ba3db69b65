"""The one door into the spool: every message passes here, whoever brings it."""
