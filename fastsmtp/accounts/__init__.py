"""Who has a mailbox here. The directory is an interface; the settings file is its first implementation."""
