"""Counters of nodes as a whole, made to rise over restarts and over a change of the source that tells them."""

import math
from collections.abc import Mapping, Sequence

from monitor.memory import FORGETFUL, Memory
from monitor.model import Table

Counts = Mapping[tuple[str, ...], float]
"""Values by the label values of their rows."""


class Totals:
    """Adds up what one source at a time says of the same counters, which `labels` tell apart.

    The totals are kept in `memory` by `name`, with what was counted last: after a restart of a node they stand above
    what it counts, and must not fall to that when the monitor is restarted as well.
    """

    def __init__(self, name: str, labels: Sequence[str], memory: Memory = FORGETFUL) -> None:
        self._name, self._labels, self._memory = name, ("source", *labels), memory
        self._source = ""
        self._last: dict[tuple[str, ...], float] = {}
        self._totals: dict[tuple[str, ...], float] = {}
        for (source, *rest), left in memory.recall(name, self._labels).items():
            self._source, row = source, tuple(rest)
            self._totals[row] = left["total"]
            if not math.isnan(left["last"]):
                self._last[row] = left["last"]

    def enter(self, source: str, counts: Counts) -> Counts:
        """Enter what a source counts now; return the totals of what it counts.

        Another source than before takes over where that one stood, since both count the same events.
        """
        if source != self._source:
            self._source, self._last = source, {}
        for name, value in counts.items():
            last = self._last.get(name)
            if last is None:
                self._totals.setdefault(name, value)
            else:
                # less than before: the node has restarted and counts from zero again
                self._totals[name] += value - last if value >= last else value
            self._last[name] = value
        self._keep()
        return {name: self._totals[name] for name in counts}

    def _keep(self) -> None:
        rows = [(self._source, *row) for row in self._totals]
        columns = {"total": self._totals.values(), "last": [self._last.get(row) for row in self._totals]}
        self._memory.keep(self._name, Table.of_rows(self._labels, rows, columns))
