"""The load generator behind `fastsmtp bench`, the sink behind `fastsmtp sink`, and their reports."""
