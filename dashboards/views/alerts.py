"""Alerts: what fires and what is pending, with the runbook beside it."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Alerts")
