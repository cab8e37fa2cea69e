"""A relay that loses its confirmations publishes everything over and over."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_skipped,
    is_clean,
    order,
    start,
)

SCENARIO = Scenario(
    "duplicate-storm",
    "Every event is published five times, as by a relay that loses its confirmations; consumers know them by id.",
    disturb=(start(*SERVICES), order(times=5)),
    expect=(has_skipped(4.0), caught_up(), is_clean()),
    prove=(EVERY_ORDER_ONCE,),
)
