"""Sets up all topics, exchanges, queues and subscriptions of the flow; doing it again changes nothing."""

from examples.event_flow.buses.base import BusAway
from examples.event_flow.flow import BUSES, set_up
from examples.event_flow.names import Endpoints, Names


def set_up_all(endpoints: Endpoints, names: Names) -> dict[str, str | None]:
    """Set up every bus; return for each what is wrong with it, or None. One that is away does not keep the others."""
    problems: dict[str, str | None] = {}
    for bus in BUSES:
        try:
            set_up(bus, endpoints, names)
            problems[bus] = None
        except BusAway as away:
            problems[bus] = str(away)
    return problems
