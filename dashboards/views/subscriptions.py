"""Subscriptions: every consumer on every bus in one table."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Subscriptions")
