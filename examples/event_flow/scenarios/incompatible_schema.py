"""Orders is deployed with a schema that no consumer knows."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    deploy,
    has_died,
    has_written,
    is_clean,
    is_told_as,
    order,
    redrive,
    start,
)

SCENARIO = Scenario(
    "incompatible-schema",
    "Orders is deployed first and writes version 2, which no consumer knows yet: every event dies.",
    disturb=(start(*SERVICES), order(0.5), order(change="breaking")),
    expect=(has_died(1.0, *SERVICES), is_told_as("unknown_type", "schema_violation"), has_written("2", "1")),
    mend=(deploy(*SERVICES, version=2),),
    redrive=(redrive(),),
    prove=(caught_up(redriven=True), is_clean("no dead letters are left"), EVERY_ORDER_ONCE),
)
