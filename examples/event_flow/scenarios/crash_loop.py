"""Notification is killed over and over in the middle of its work."""

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    crash,
    has_backlog,
    is_clean,
    order,
    put,
    start,
)

SCENARIO = Scenario(
    "crash-loop",
    "Notification is killed in the middle of its work, over and over; what it had in hand is delivered once more.",
    disturb=(
        put(Condition(extra_seconds=0.2), MAIL_SERVER, text="have a mail take 0.2 s"),
        order(10),
        start(*SERVICES),
        crash("notification", 3),
    ),
    expect=(has_backlog("notification", 1.0, consumers=True),),
    mend=(put(Condition(), MAIL_SERVER, text="let it run at full speed"),),
    prove=(caught_up(120), is_clean(), EVERY_ORDER_ONCE),
)
