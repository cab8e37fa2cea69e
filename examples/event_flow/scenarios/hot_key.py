"""All events have one key, and so one partition has to take them all."""

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_detail,
    is_clean,
    order,
    put,
    start,
)

SCENARIO = Scenario(
    "hot-key",
    "All orders are published under one key, so that one of six partitions has to take them, and more consumers "
    "would not help.",
    disturb=(
        start(*SERVICES),
        put(Condition(extra_seconds=0.5), MAIL_SERVER, text="have a mail take half a second"),
        order(3.0, key="one-large-customer"),
    ),
    expect=(
        has_detail(
            "the monitor shows that one partition has all of the lag",
            "group_topics",
            lambda row: (row.get("hottest_partition_lag_ratio") or 0) >= 1,
            "hottest_partition_lag_ratio",
        ),
    ),
    mend=(put(Condition(), MAIL_SERVER, text="let it run at full speed"),),
    prove=(caught_up(), is_clean(), EVERY_ORDER_ONCE),
    buses=("kafka",),
)
