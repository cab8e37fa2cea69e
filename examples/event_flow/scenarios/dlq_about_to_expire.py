"""Somebody has set the retention of the dead letters to an hour."""

import time

from examples.event_flow.buses import aws, kafka
from examples.event_flow.downstream import Condition
from examples.event_flow.scenarios.ground import Ground
from examples.event_flow.scenarios.model import Scenario, Step
from examples.event_flow.scenarios.steps import (
    DOWNSTREAM,
    EVERY_ORDER_ONCE,
    SERVICES,
    Verdict,
    caught_up,
    has_died,
    is_clean,
    of,
    on_each,
    order,
    put,
    redrive,
    start,
)

_HOUR = 3600
_READ_SECONDS = 120.0  # settings of topics and queues are read more seldom than what is in them


def keep_dead_letters(seconds: int) -> Step:
    """Set how long dead letters are kept, on Kafka and SQS."""

    def run(ground: Ground) -> str:
        for bus in (kafka, aws):
            bus.keep_dead_letters(ground.endpoints, ground.names, seconds)
        return "done"

    return Step(f"keep dead letters for {seconds // _HOUR} h", run)


def _expires(ground: Ground, service: str, bus: str) -> Verdict:
    item = ground.client.dead_letter(ground.dead_letters(service, bus))
    expiry = item["expiry_timestamp_seconds"]
    left = None if expiry is None else expiry - time.time()
    told = "no expiry" if left is None else f"expires in {left / 60:.0f} min"
    # On Kafka a topic says of no other that its dead letters are there, so that two retentions could be compared.
    # SQS counts from when a message was sent at first; at worst, that is longer ago than the retention.
    found = bus == "kafka" or "retention_too_short" in item["problems"]
    return left is not None and left <= _HOUR and found, f"{told}, {', '.join(item['problems']) or 'no problem'}"


SCENARIO = Scenario(
    "dlq-about-to-expire",
    "Dead letters are kept for an hour only, shorter than their origin: they would be gone before anybody looks.",
    disturb=(
        start(*SERVICES),
        order(0.5, poison="hopeless_downstream"),
        has_died(0.5, *SERVICES),
        keep_dead_letters(_HOUR),
    ),
    expect=(
        on_each("the monitor says when they are lost, and what is wrong", of("notification"), _expires, _READ_SECONDS),
    ),
    mend=(
        keep_dead_letters(14 * 24 * _HOUR),
        put(Condition(takes_everything=True), *DOWNSTREAM, text="let mail server and warehouse take them"),
    ),
    redrive=(redrive(),),
    prove=(caught_up(redriven=True), is_clean("no dead letters are left"), EVERY_ORDER_ONCE),
    buses=("kafka", "aws"),
)
