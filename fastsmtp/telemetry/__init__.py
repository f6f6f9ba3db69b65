"""What the server tells its operator: one log line for each event in a message's life."""
