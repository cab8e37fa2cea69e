"""A hundred times the orders at once."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_backlog,
    is_clean,
    order,
    start,
)

SCENARIO = Scenario(
    "event-storm",
    "A hundred times the usual number of orders at once, as fast as the buses take them.",
    disturb=(order(0.5), order(50), start(*SERVICES)),
    expect=(has_backlog("notification", 1.0, consumers=True),),
    prove=(caught_up(300), is_clean(), EVERY_ORDER_ONCE),
)
