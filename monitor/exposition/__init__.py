"""Prometheus metrics: one table of families, rendered once a cycle."""
