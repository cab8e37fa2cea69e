"""Counters of nodes as a whole, made to rise over restarts and over a change of the source that tells them."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from monitor.memory import FORGETFUL, Memory
from monitor.model import Table

Counts = Mapping[tuple[str, ...], float]
"""Values by the label values of their rows."""


class Totals:
    """Adds up what one source at a time says of the same counters, which `labels` tell apart.

    The totals are kept in `memory` by `name`, with what was counted last and by whom: after a restart of a node they
    stand above what it counts, and must not fall to that when the monitor is restarted as well.
    """

    def __init__(self, name: str, labels: Sequence[str], memory: Memory = FORGETFUL) -> None:
        self._name, self._labels, self._memory = name, labels, memory
        left = memory.recall(name, labels)
        self._totals = {row: numbers["total"] for row, numbers in left.items()}
        self._last = {row: (numbers["source"], numbers["last"]) for row, numbers in left.items()}

    def enter(self, source: str, counts: Counts) -> Counts:
        """Enter what a source counts now; return the totals of what it counts.

        Another source than before takes over where that one stood, since both count the same events.
        """
        told_by = float(crc32(source.encode()))  # a memory holds numbers only
        for name, value in counts.items():
            before, last = self._last.get(name, (None, 0.0))
            if before != told_by:
                self._totals.setdefault(name, value)
            else:
                # less than before: the node has restarted and counts from zero again
                self._totals[name] += value - last if value >= last else value
            self._last[name] = told_by, value
        self._keep()
        return {name: self._totals[name] for name in counts}

    def _keep(self) -> None:
        rows = list(self._totals)
        columns = {
            "total": self._totals.values(),
            "last": [self._last[row][1] for row in rows],
            "source": [self._last[row][0] for row in rows],
        }
        self._memory.keep(self._name, Table.of_rows(self._labels, rows, columns))
