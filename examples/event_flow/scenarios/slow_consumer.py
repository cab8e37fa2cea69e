"""The mail server becomes slow, and Notification with it."""

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_backlog,
    has_status,
    is_clean,
    order,
    put,
    start,
)

SCENARIO = Scenario(
    "slow-consumer",
    "The mail server needs two seconds for a mail: Notification falls behind, is there all the time, and nothing dies.",
    disturb=(
        start(*SERVICES),
        order(2.0),
        caught_up(),  # else nobody knows of its partitions that anybody consumes them
        put(Condition(extra_seconds=2.0), MAIL_SERVER, text="make the mail server slow"),
        order(6.0),  # more than a consumer of RabbitMQ takes in its hand, which does not wait
    ),
    expect=(
        has_backlog("notification", 1.0, consumers=True),
        has_status("notification", "lagging", buses=("kafka", "rabbitmq"), within_seconds=90),
    ),
    mend=(put(Condition(), MAIL_SERVER, text="make the mail server quick again"),),
    prove=(caught_up(), has_status("notification", "ok", within_seconds=30), is_clean(), EVERY_ORDER_ONCE),
)
