"""Orders that mail server and warehouse refuse, among healthy ones."""

from examples.event_flow.downstream import Condition
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    DOWNSTREAM,
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_died,
    is_clean,
    is_told_as,
    order,
    put,
    redrive,
    start,
)

SCENARIO = Scenario(
    "poison-message",
    "Some orders are refused by mail server and warehouse, whatever the number of attempts; the others go on.",
    disturb=(start(*SERVICES), order(1.0), order(0.5, poison="hopeless_downstream")),
    expect=(has_died(0.5, *SERVICES), is_told_as("downstream", "exception")),
    mend=(put(Condition(takes_everything=True), *DOWNSTREAM, text="let mail server and warehouse take them"),),
    redrive=(redrive(),),
    prove=(caught_up(redriven=True), is_clean("no dead letters are left"), EVERY_ORDER_ONCE),
)
