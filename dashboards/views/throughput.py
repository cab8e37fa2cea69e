"""Throughput: produced against consumed, by destination and service."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Throughput")
