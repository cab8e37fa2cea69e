"""A second member joins the group and leaves it, over and over."""

from typing import Any

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.ground import Ground
from examples.event_flow.scenarios.model import Scenario, Step
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    SOON_SECONDS,
    caught_up,
    has_detail,
    is_clean,
    order,
    put,
    start,
)

_TIMES = 3


def _join_and_leave(ground: Ground) -> str:
    id_ = ground.subscription("notification", "kafka")

    def members(wanted: int) -> Any:
        def look() -> tuple[bool | None, str]:
            item = ground.seen(ground.client.subscription, id_)
            found = item["consumers"] if item else None
            return True if found == wanted else None, f"{found} consumers"

        return ground.wait(look, SOON_SECONDS * 2)  # while members come and go, there are none for certain

    for _ in range(_TIMES):
        ground.start("notification")
        members(2)
        ground.stop("notification")
        members(1)
    return f"{_TIMES} times there and away, seen each time"


SCENARIO = Scenario(
    "rebalance-storm",
    "A second member joins Notification and leaves it again, over and over; partitions change hands in mid-work.",
    disturb=(
        start(*SERVICES),
        put(Condition(extra_seconds=0.05), MAIL_SERVER, text="have a mail take 0.05 s"),
        order(20.0),
        Step("have a second member join and leave, over and over", _join_and_leave),
    ),
    expect=(
        has_detail(
            "the monitor has counted the rebalances",
            "groups",
            lambda row: max(row.get("rebalances_total") or 0, row.get("state_changes_total") or 0) >= _TIMES,
            "rebalances_total",
            "state_changes_total",
        ),
    ),
    mend=(put(Condition(), MAIL_SERVER, text="let it run at full speed"),),
    prove=(caught_up(), is_clean(), EVERY_ORDER_ONCE),
    buses=("kafka",),
)
