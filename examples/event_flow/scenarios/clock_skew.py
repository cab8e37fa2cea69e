"""The clock of Orders is half an hour ahead, and Kafka believes what producers say of the time."""

from examples.event_flow.scenarios.ground import Ground
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    Verdict,
    caught_up,
    has_backlog,
    is_clean,
    of,
    on_each,
    order,
    start,
    stop,
)

_AHEAD_SECONDS = 1800.0  # Kafka takes nothing that is more than an hour ahead


def _age(ground: Ground, service: str, bus: str) -> Verdict:
    item = ground.client.subscription(ground.subscription(service, bus))
    age = item["oldest_age_seconds"]
    sane = age is None or 0 <= age < _AHEAD_SECONDS / 2
    return sane, f"{'unknown' if age is None else f'{age:.0f} s'}, {item['age_method']}, {item['status']}"


SCENARIO = Scenario(
    "clock-skew",
    "The clock of Orders is half an hour ahead. Records come from the future, and their age must not be below zero.",
    disturb=(
        start(*SERVICES),
        order(0.5),
        caught_up(),
        stop("notification"),
        order(clock_error_seconds=_AHEAD_SECONDS),
    ),
    expect=(
        has_backlog("notification", 1.0, consumers=False),
        on_each("the age is no number that cannot be", of("notification"), _age),
    ),
    mend=(start("notification"),),
    prove=(caught_up(), is_clean(), EVERY_ORDER_ONCE),
    buses=("kafka",),
)
