"""Sets of offsets as half-open intervals: a million records that are gone are one pair of numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Intervals:
    """A set of whole numbers, kept as sorted, disjoint intervals that do not touch."""

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in intervals:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._ends[place]

    def add(self, start: int, end: int) -> None:
        """Add the numbers from `start` up to, not including, `end`."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]

    def after(self, number: int) -> int:
        """Return the first number from `number` on that is not in the set."""
        place = bisect_right(self._starts, number) - 1
        return self._ends[place] if place >= 0 and number < self._ends[place] else number

    def count(self, low: int, high: int) -> int:
        """Return how many numbers of the set lie from `low` up to, not including, `high`."""
        return sum(max(0, min(end, high) - max(start, low)) for start, end in self)

    def within(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the set from `low` up to, not including, `high`."""
        for start, end in self:
            if min(end, high) > max(start, low):
                yield max(start, low), min(end, high)
