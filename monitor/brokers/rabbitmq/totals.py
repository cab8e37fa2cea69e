"""Counters of nodes as a whole, made to rise over restarts and over a change of the source that tells them."""

from collections.abc import Mapping

Counts = Mapping[tuple[str, ...], float]
"""Values by the label values of their rows."""


class Totals:
    """Adds up what one source at a time says of the same counters."""

    def __init__(self) -> None:
        self._source = ""
        self._last: dict[tuple[str, ...], float] = {}
        self._totals: dict[tuple[str, ...], float] = {}

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
        return {name: self._totals[name] for name in counts}
