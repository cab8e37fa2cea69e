"""Audit: who did what."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Audit")
