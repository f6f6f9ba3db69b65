"""Delivery: takes what the spool keeps to where it goes, and settles it."""
