"""Notification is stopped while orders come in."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_backlog,
    has_status,
    is_clean,
    order,
    start,
    stop,
)

SCENARIO = Scenario(
    "stopped-consumer",
    "Notification is stopped while orders come in. SQS does not tell who consumes, so there only the backlog shows it.",
    disturb=(start(*SERVICES), order(0.5), caught_up(), stop("notification"), order()),
    expect=(
        has_backlog("notification", 1.0, consumers=False),
        has_status("notification", "stopped", buses=("kafka", "rabbitmq"), within_seconds=90),
    ),
    mend=(start("notification"),),
    prove=(caught_up(), has_status("notification", "ok", within_seconds=30), is_clean(), EVERY_ORDER_ONCE),
)
