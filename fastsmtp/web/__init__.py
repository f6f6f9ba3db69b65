"""The HTTP interface, in a process of its own: metrics, administration, sending, and webhooks; docs/http.md."""
