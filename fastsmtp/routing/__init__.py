"""Where a recipient's mail goes."""
