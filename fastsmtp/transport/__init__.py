"""Carriers of mail to where it goes; one file for each kind."""
