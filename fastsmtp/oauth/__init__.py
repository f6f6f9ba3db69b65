"""OAuth: who a token says that somebody is."""
