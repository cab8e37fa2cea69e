"""Views of clusters as a cycle leaves them, for what is kept of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.clock import Clock
from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    DeadLetterQueue,
    FoundBy,
    Health,
    Snapshot,
    Status,
    Subscription,
    System,
    Verdict,
    encode_id,
)


@dataclass
class Time:
    """A clock that stands where it is set; it begins on a full hour."""

    now: float = 1_700_002_800.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now)


def seen(
    name: str = "t", backlog: float | None = 1.0, age: float | None = 2.0, status: Status = Status.OK, **fields: Any
) -> tuple[Subscription, Verdict]:
    """A subscription as it was seen, with its verdict; `fields` are the verdict's."""
    rates = {"published_per_second": 3.0, "consumed_per_second": 4.0, **fields}
    subscription = Subscription(
        encode_id("c", "g", name),
        System.KAFKA,
        "c",
        name,
        "g",
        backlog_messages=backlog,
        oldest_age=Age(age, AgeMethod.EXACT),
        consumers=5,
    )
    return subscription, Verdict(status, "", 0.0, **rates)


def dead(queue: str, messages: float | None) -> DeadLetterQueue:
    return DeadLetterQueue(encode_id("c", queue), System.KAFKA, "c", queue, FoundBy.NAME, messages=messages)


def view(
    *subscriptions: tuple[Subscription, Verdict], queues: Sequence[DeadLetterQueue] = (), up: bool = True
) -> ClusterView:
    snapshot = Snapshot("c", "kafka", 0.0, 0.1, tuple(it for it, _ in subscriptions), tuple(queues))
    return ClusterView(Health("c", "kafka", 15.0, up=up), snapshot, tuple(verdict for _, verdict in subscriptions))
