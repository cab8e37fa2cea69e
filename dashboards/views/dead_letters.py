"""Dead letters: all dead-letter queues on all buses."""

from dashboards.components.head import draw_head


def show() -> None:
    """Draw the page."""
    draw_head("Dead letters")
