"""Helpers of the tests that run the real program: raw client, load, mail reader, file systems to break."""
