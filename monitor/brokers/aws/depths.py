"""What the depth of a queue over time says where AWS itself says nothing: ages from below, and arrivals."""

from collections.abc import Set
from dataclasses import dataclass

from monitor.brokers.aws.queues import Queue
from monitor.model import Age, AgeMethod


@dataclass(slots=True)
class _Depth:
    seen: float
    created_at: float
    held_since: float | None
    emptied_at: float
    arrivals: float


class DepthHistory:
    """Follows the depths of queues from cycle to cycle.

    `now` is Unix seconds, as creation times and those of CloudWatch are; `steady` is the same moment by a clock that
    never jumps, since ages are differences of it.

    Messages that were there when the depth last fell are there still while it does not fall again, so they are at least
    that old. Removals that the same interval made up for cannot be seen.
    """

    def __init__(self) -> None:
        self._started: float | None = None
        self._depths: dict[str, _Depth] = {}

    def observe(self, queue: Queue, now: float, steady: float) -> None:
        """Take in one reading."""
        if self._started is None:
            self._started = now
        depth, known = queue.depth, self._depths.get(queue.name)
        if known is None or known.created_at != queue.created_at:
            # All that lies in a queue made while watching came while watching.
            arrivals = depth if queue.created_at >= self._started else 0.0
            emptied = now if not depth else 0.0
            self._depths[queue.name] = _Depth(depth, queue.created_at, steady if depth else None, emptied, arrivals)
            return
        known.emptied_at = min(known.emptied_at, now)  # it does not lie ahead, also after a clock was put back
        known.arrivals += max(0.0, depth - known.seen)
        if not depth:
            known.held_since, known.emptied_at = None, now
        elif known.held_since is None or depth < known.seen:
            known.held_since = steady
        known.seen = depth

    def arrivals_of(self, queue: str) -> float | None:
        """Return how many messages came, as far as the depth rose; None for a queue never read."""
        known = self._depths.get(queue)
        return None if known is None else known.arrivals

    def age_of(self, queue: Queue, steady: float, reported: float | None) -> Age:
        """Return the age of the oldest message: none waits, as reported by CloudWatch, or from below."""
        if not queue.depth:
            return Age(0.0, AgeMethod.EXACT)
        if reported is not None:
            return Age(reported, AgeMethod.REPORTED)
        known = self._depths.get(queue.name)
        if known is None or known.held_since is None:
            return Age.unknown()
        return Age(steady - known.held_since, AgeMethod.LOWER_BOUND)

    def oldest_possible(self, queue: Queue, now: float) -> float:
        """Return what no message can have waited longer than, since the queue was made or last seen empty."""
        return now - max(queue.created_at, self.emptied_at(queue.name))

    def emptied_at(self, queue: str) -> float:
        """Return when a queue was last seen empty, 0 for never."""
        known = self._depths.get(queue)
        return known.emptied_at if known else 0.0

    def forget(self, keep: Set[str]) -> None:
        """Drop the queues that are not there any more."""
        self._depths = {name: depth for name, depth in self._depths.items() if name in keep}
