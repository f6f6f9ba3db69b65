"""What one client, and all of them together, may take; counted over all workers in memory shared before the
fork."""
