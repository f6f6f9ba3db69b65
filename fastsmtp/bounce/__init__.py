"""What senders are told: who is owed a delivery status notification, and how it reads. Nothing here does I/O."""
