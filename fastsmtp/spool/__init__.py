"""Durable keeping of accepted messages until every recipient is settled: see docs/spool.md."""
