"""How many records the last offsets of quiet logs hold, where that has been found out by reading them.

Offsets also go to the markers that end transactions, to the records of transactions that were aborted, and to what
compaction has removed. A reader of committed data is given none of these. It commits behind the last record that it
got, and what follows stays its lag until another record comes, which may be never (librdkafka#3917,
spring-kafka#1587). No request of the admin API tells such offsets from records, so they are read: once, where a group
and its log rest, from the group's position on. What was found holds until the log's end moves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.brokers.kafka.lag import Lag, Mask
from monitor.brokers.kafka.memory import Memory
from monitor.brokers.kafka.metadata import Partitions
from monitor.brokers.kafka.offsets import Logs
from monitor.brokers.kafka.rows import Rows
from monitor.errors import BrokerError, Forbidden
from monitor.model import Ids

MOST_OFFSETS = 1000
"""More than so many are taken for records: an aborted transaction is rarely larger, and reading must stay cheap."""
MOST_RECORDS = 8
"""So many records are told exactly; with more of them the difference does not matter."""
_PARTITIONS_A_CYCLE = 50
_MOST_TRIES = 3
_AGAIN_SECONDS = 600.0  # rights change while the monitor runs
_REST_SECONDS = 20.0
_RECORDS = tuple(f"record{number}" for number in range(MOST_RECORDS))


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a partition's log: the offsets from `start`, where a group stands, to `end`, which is not in it."""

    group: str
    topic: str
    partition: int
    start: int
    end: int


ReadTails = Callable[[Sequence[Tail]], Sequence[Sequence[int] | BrokerError]]
"""Returns the offsets of the records in each tail, in order; more than `MOST_RECORDS` say only that there are more."""


class Tails:
    """What is known of the ends of logs, from cycle to cycle."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._positions = Memory(position=np.nan)
        # From `low` to `end` all records are known. From `crowded`, or from before it, there are too many to count.
        self._known = Memory(end=np.nan, low=np.inf, crowded=-np.inf, tries=0.0, **dict.fromkeys(_RECORDS, -np.inf))
        self._refusals = Memory(at=-np.inf)
        self._refused_topics: tuple[str, ...] = ()
        self._rest_until = -np.inf

    def refine(self, rows: Rows, partitions: Partitions, lag: Lag, logs: Logs, read: ReadTails) -> Lag:
        """Return the lag with a backlog that counts records, where these are known; read a few more tails for that."""
        moved = self._follow(partitions, logs)
        few = np.flatnonzero((lag.messages > 0) & (lag.messages <= MOST_OFFSETS))
        quiet = self._rests(rows, lag, few) & (~moved & (logs.stable == logs.end))[rows.slot[few]]
        now = self._monotonic()
        chosen = self._choose(rows, lag, few[quiet], now) if now >= self._rest_until else few[:0]
        if len(chosen):
            answers = read(_tails_of(rows, partitions, lag, logs, chosen))
            for row, answer in zip(chosen.tolist(), answers, strict=True):
                self._take(partitions, int(rows.slot[row]), float(lag.position[row]), answer, now)
            if all(isinstance(answer, BrokerError) and not isinstance(answer, Forbidden) for answer in answers):
                self._rest_until = now + _REST_SECONDS  # it is not worth the time of each cycle
        self._note_refusals(partitions, now)
        return self._count(rows, lag, few)

    def tell(self) -> tuple[str, ...]:
        """Return sentences for people about what may not be read."""
        topics = self._refused_topics
        if not topics:
            return ()
        return (
            f"{len(topics):,} topics may not be read, for example {topics[0]}: offsets at the end of their partitions "
            "that hold no record (transaction markers) may count as backlog.",
        )

    def _follow(self, partitions: Partitions, logs: Logs) -> Mask:
        """Forget what was known of logs that have moved on; return which these are."""
        known = self._known
        known.align(partitions.keys)
        self._refusals.align(partitions.keys)
        moved: Mask = np.isfinite(logs.end) & (logs.end != known["end"])
        known.reset(np.flatnonzero(moved))
        known["end"][moved] = logs.end[moved]
        return moved

    def _rests(self, rows: Rows, lag: Lag, chosen: Ids) -> Mask:
        """Say which rows stand where they stood in the cycle before."""
        self._positions.align(rows.ids)
        still: Mask = self._positions["position"][chosen] == lag.position[chosen]
        self._positions["position"] = lag.position
        return still

    def _choose(self, rows: Rows, lag: Lag, quiet: Ids, now: float) -> Ids:
        """Return the rows from whose positions to read: at most one a partition, those with the fewest offsets first.

        From the most advanced group on, since only its offsets can all be such that hold nothing.
        """
        known, slot, position = self._known, rows.slot[quiet], lag.position[quiet]
        open_ = (known["crowded"][slot] < position) & (position < known["low"][slot])
        worth = (known["tries"][slot] < _MOST_TRIES) & (now - self._refusals["at"][slot] >= _AGAIN_SECONDS)
        wanted = quiet[open_ & worth]
        ordered = wanted[np.argsort(lag.messages[wanted], kind="stable")]
        _, first = np.unique(rows.slot[ordered], return_index=True)
        return ordered[np.sort(first)[:_PARTITIONS_A_CYCLE]]

    def _take(
        self, partitions: Partitions, slot: int, position: float, answer: Sequence[int] | BrokerError, now: float
    ) -> None:
        known = self._known
        if isinstance(answer, Forbidden):
            topic = partitions.topic[slot]
            self._refusals["at"][partitions.first[topic] : partitions.first[topic + 1]] = now
        elif isinstance(answer, BrokerError):
            known["tries"][slot] += 1
        elif len(answer) > MOST_RECORDS:
            known["crowded"][slot] = position
        else:
            known["low"][slot] = position
            for name, offset in zip(_RECORDS, answer, strict=False):
                known[name][slot] = offset

    def _note_refusals(self, partitions: Partitions, now: float) -> None:
        refused = np.unique(partitions.topic[now - self._refusals["at"] < _AGAIN_SECONDS])
        self._refused_topics = tuple(partitions.topics[topic] for topic in refused.tolist())

    def _count(self, rows: Rows, lag: Lag, few: Ids) -> Lag:
        read = few[lag.position[few] >= self._known["low"][rows.slot[few]]]
        if not len(read):
            return lag
        slot, position = rows.slot[read], lag.position[read]
        backlog, counted = lag.backlog.copy(), lag.counted.copy()
        backlog[read] = sum((self._known[name][slot] >= position).astype(np.float64) for name in _RECORDS)
        counted[read] = True
        return replace(lag, backlog=backlog, counted=counted)


def _tails_of(rows: Rows, partitions: Partitions, lag: Lag, logs: Logs, chosen: Ids) -> list[Tail]:
    slots = rows.slot[chosen]
    columns = zip(
        rows.pair_group[rows.pair[chosen]].tolist(),
        partitions.named(slots),
        lag.position[chosen].tolist(),
        logs.end[slots].tolist(),
        strict=True,
    )
    return [Tail(rows.groups[group], *named, int(start), int(end)) for group, named, start, end in columns]
