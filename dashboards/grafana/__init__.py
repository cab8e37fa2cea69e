"""Dashboards for Grafana, made from one source: `python -m dashboards.grafana` writes the JSON beside it."""
