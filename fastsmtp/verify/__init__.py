"""Whether a recipient exists who lives elsewhere: the next hop is asked, and its answers are remembered."""
