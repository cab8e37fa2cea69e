"""Dead letters are redriven before their cause is mended."""

from typing import Any

from examples.event_flow.downstream import Condition
from examples.event_flow.scenarios.ground import Ground, NotSeen
from examples.event_flow.scenarios.model import Scenario, Step
from examples.event_flow.scenarios.steps import (
    DOWNSTREAM,
    EVERY_ORDER_ONCE,
    SERVICES,
    SOON_SECONDS,
    begin,
    caught_up,
    ended,
    has_died,
    is_clean,
    order,
    put,
    redrive,
    start,
)


def _redrive_too_early(ground: Ground) -> str:
    id_ = ground.dead_letters("notification", "kafka")
    job = begin(ground, id_, canary=2, canary_wait_seconds=5)
    if job is None:
        raise NotSeen("there is nothing to redrive")

    def stopped() -> tuple[Any, str]:
        item = ground.client.redrive(job)
        return item if item["state"] == "paused" else None, f"{item['state']}, canary {item['canary']}"

    item = ground.wait(stopped, SOON_SECONDS)
    ground.client.steer_redrive(job, "cancel")
    counts = ended(ground, job)["counts"]
    return f"{item['reason']}, canary {item['canary']['verdict']}; bounced {counts['bounced']}, left {counts['left']}"


SCENARIO = Scenario(
    "looping-redrive",
    "Dead letters are redriven before their cause is mended: the canary dies again, and the redrive stops by itself.",
    disturb=(start(*SERVICES), order(0.5, poison="hopeless_downstream")),
    expect=(
        has_died(0.5, *SERVICES),
        Step("a redrive with a canary stops by itself and bounces no more than that", _redrive_too_early),
    ),
    mend=(put(Condition(takes_everything=True), *DOWNSTREAM, text="let mail server and warehouse take them"),),
    redrive=(redrive(),),
    prove=(caught_up(redriven=True), is_clean("no dead letters are left"), EVERY_ORDER_ONCE),
    buses=("kafka",),
)
