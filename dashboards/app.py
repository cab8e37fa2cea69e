"""The dashboard: navigation only."""

from dashboards.navigation import run

run()
