"""Redrive: plans, jobs and their reports."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Redrive")
