"""Checks and generators for those who work on fastsmtp; none of it is installed."""
