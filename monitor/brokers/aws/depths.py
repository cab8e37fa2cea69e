"""What the depth of a queue over time says: arrivals, and what no message can be older than."""

from collections.abc import Set
from dataclasses import dataclass

from monitor.brokers.aws.queues import Queue
from monitor.memory import FORGETFUL, Memory
from monitor.model import Age, AgeMethod, Labels, Table, as_floats

_NAME, _LABELS = "depths", ("queue",)


@dataclass(slots=True)
class _Depth:
    seen: float
    created_at: float
    emptied_at: float
    arrivals: float


def tell_age(queue: Queue, reported: float | None) -> Age:
    """Return the age of the oldest message: none waits, as reported by CloudWatch, or not known."""
    if not queue.depth:
        return Age(0.0, AgeMethod.EXACT)
    return Age.unknown() if reported is None else Age(reported, AgeMethod.REPORTED)


class DepthHistory:
    """Follows the depths of queues from cycle to cycle; `now` is Unix seconds, as creation times are.

    A depth says nothing about how old messages are at least: with 100 a second coming and 99 taken it only rises, and
    its oldest message is ever another one.

    When a queue was last seen empty is kept in `memory`: it may be long ago, and without it all that lies in the queue
    might be lost at any moment.
    """

    def __init__(self, memory: Memory = FORGETFUL) -> None:
        self._memory = memory
        self._left = dict(memory.recall(_NAME, _LABELS))
        self._names: list[str] = []
        self._labels: tuple[Labels, ...] = ()
        self._started: float | None = None
        self._depths: dict[str, _Depth] = {}

    def observe(self, queue: Queue, now: float) -> None:
        """Take in one reading."""
        if self._started is None:
            self._started = now
        depth, known = queue.depth, self._depths.get(queue.name)
        if known is None or known.created_at != queue.created_at:
            # All that lies in a queue made while watching came while watching.
            arrivals = depth if queue.created_at >= self._started else 0.0
            emptied = now if not depth else self._emptied_before(queue, now)
            self._depths[queue.name] = _Depth(depth, queue.created_at, emptied, arrivals)
            return
        known.emptied_at = min(known.emptied_at, now)  # it does not lie ahead, also after a clock was put back
        known.arrivals += max(0.0, depth - known.seen)
        if not depth:
            known.emptied_at = now
        known.seen = depth

    def arrivals_of(self, queue: str) -> float | None:
        """Return how many messages came, as far as the depth rose; None for a queue never read."""
        known = self._depths.get(queue)
        return None if known is None else known.arrivals

    def oldest_possible(self, queue: Queue, now: float) -> float:
        """Return what no message can have waited longer than, since the queue was made or last seen empty."""
        return now - max(queue.created_at, self.emptied_at(queue.name))

    def emptied_at(self, queue: str) -> float:
        """Return when a queue was last seen empty, 0 for never."""
        known = self._depths.get(queue)
        return known.emptied_at if known else 0.0

    def settle(self, names: Set[str]) -> None:
        """End a cycle: keep what is to be remembered of these queues, and drop those that are not there any more."""
        self._depths = {name: depth for name, depth in self._depths.items() if name in names}
        unread = {name: row for (name,), row in self._left.items() if name in names}
        rows = unread | {
            name: {"created_at": depth.created_at, "emptied_at": depth.emptied_at}
            for name, depth in self._depths.items()
        }
        if list(rows) != self._names:  # the same labels say that only numbers have changed
            self._names, self._labels = list(rows), (Labels.of("queue", rows),)
        columns = {column: as_floats(row[column] for row in rows.values()) for column in ("created_at", "emptied_at")}
        self._memory.keep(_NAME, Table(self._labels, columns))

    def _emptied_before(self, queue: Queue, now: float) -> float:
        """Return when a process before this one last saw the same queue empty, 0 for never."""
        left = self._left.pop((queue.name,), None)
        return min(left["emptied_at"], now) if left and left["created_at"] == queue.created_at else 0.0
