"""What waits in the partitions of a dead-letter topic, and which offsets of it are to be read."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.brokers.kafka.intervals import Intervals
from monitor.errors import BadRequest

_POSITION = re.compile("[0-9]{1,9}:[0-9]{1,18}")  # a partition in 32 bits, an offset in 64


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one partition: from the log's start to the last stable offset, without what is gone."""

    partition: int
    start: int
    stable: int
    gone: Intervals

    @property
    def low(self) -> int:
        """The first offset that may still wait."""
        return self.gone.after(max(self.start, self.cursor))

    @property
    def cursor(self) -> int:
        """Nothing before it waits."""
        return self.gone.after(0)

    def count(self, low: int, high: int) -> int:
        """Return how many offsets within bounds still wait."""
        return max(0, high - low - self.gone.count(low, high))


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition that are to be read."""

    waiting: Waiting
    low: int
    high: int

    @property
    def count(self) -> int:
        """How many of them still wait."""
        return self.waiting.count(self.low, self.high)


def bounds_of(waiting: Iterable[Waiting], positions: Sequence[str]) -> dict[str, list[int]]:
    """Return, by partition, from where to where a job may read."""
    bounds = {str(it.partition): [it.low, it.stable] for it in waiting if it.low < it.stable}
    if not positions:
        return bounds
    wanted: dict[str, list[int]] = {}
    for partition, offset in map(parse_position, positions):
        wanted.setdefault(str(partition), []).append(offset)
    return {
        number: [max(low, min(wanted[number])), min(high, max(wanted[number]) + 1)]
        for number, (low, high) in bounds.items()
        if number in wanted
    }


def parse_position(text: str) -> tuple[int, int]:
    """Return partition and offset of a position. Raises BadRequest for what is none."""
    if not _POSITION.fullmatch(text):
        raise BadRequest(f"{text[:100]!r} is no position; write PARTITION:OFFSET")
    partition, _, offset = text.partition(":")
    return int(partition), int(offset)
