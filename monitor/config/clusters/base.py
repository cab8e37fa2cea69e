"""What every watched cluster has, on whichever bus."""

from typing import Annotated

from pydantic import Field

from monitor.config.section import Filter, Section
from monitor.config.values import Interval, Name

_SHORTEST_DEFAULT_DEADLINE = 5.0


class ClusterSection(Section):
    """What every watched cluster has. `deadline` is how long one cycle may take.

    `families` are the metric families that `/metrics` shows of it, `max_series` how many series at most.
    """

    name: Name
    interval: Interval = 15.0
    deadline: Interval | None = None
    families: Filter = Filter()
    max_series: Annotated[int, Field(ge=1)] | None = None

    @property
    def cycle_deadline(self) -> float:
        """Seconds that one cycle may take; by default the interval, and never less than 5 s."""
        return self.deadline or max(self.interval, _SHORTEST_DEFAULT_DEADLINE)

    @property
    def counters_every(self) -> float:
        """Seconds after which the broker itself renews its counters; rates over less time say nothing."""
        return 0.0
