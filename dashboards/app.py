"""The dashboard: navigation only."""

from dashboards.warming import WARMING

WARMING.finish()

from dashboards.navigation import run  # noqa: E402 (loaded by then)

run()
