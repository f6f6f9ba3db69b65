"""kill -9 and power cuts under load: what was answered 250 arrives exactly once (docs/spool.md)."""
