"""Monitor: how the monitor itself does."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Monitor")
