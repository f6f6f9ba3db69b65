"""The directory into which programs of this machine drop mail, and which the server empties; docs/sendmail.md."""
