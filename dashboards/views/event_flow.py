"""Event flow: services, destinations and subscriptions as a graph."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Event flow")
