"""How far a job has come in each partition of a dead-letter topic, and how one transaction moves it on. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TopicPartition

from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import gone_before


@dataclass(slots=True)
class Lane:
    """One partition of the dead-letter topic within the bounds of the job.

    `next` is the next offset to read, `cursor` what the group has committed. Cumulative counts belong to the job.
    What lies before `intended` may have been sent to another cluster already.
    """

    partition: int
    low: int
    high: int
    next: int
    cursor: int
    gone: Intervals
    rows: dict[int, int]
    sent: int = 0
    refused: int = 0
    expired: int = 0
    intended: int = 0
    ended: bool = False  # nothing of it is still to be handed out

    @property
    def finished(self) -> bool:
        """Say whether everything within the bounds has been read."""
        return self.next >= self.high

    @property
    def is_riddled(self) -> bool:
        """Say whether some of what is still to be read is gone already."""
        return any(True for _ in self.gone.within(self.next, self.high))

    def passed(self) -> list[int]:
        """Return where the ledger's ranges begin that the cursor has passed; the cursor's own is not among them."""
        return [start for start, until in self.rows.items() if start and until <= self.cursor]

    def take_over(self, committed: TopicPartition, start: int, job: str) -> None:
        """Go on where a job's last transaction ended, and pass over what the log no longer has before `start`."""
        told = _read_metadata(committed.metadata)
        if told.get("j") == job:
            self.next, self.sent, self.refused, self.expired = told["s"], told["n"], told["r"], told["x"]
            self.intended = told.get("i", 0)
        if start > self.next:
            expired = min(start, self.high) - self.next - self.gone.count(self.next, min(start, self.high))
            self.expired += max(0, expired)
            self.next = start
        if start > self.cursor:
            self.gone.add(self.cursor, start)
            self.cursor = self.gone.after(start)

    def reached(self) -> list[int]:
        """Return what the journal keeps of this lane."""
        return [self.next, self.sent, self.refused, self.expired]


def lane_of(committed: TopicPartition, rows: Mapping[int, int], low: int, high: int) -> Lane:
    """Return the lane of a partition as the ledger and the group have it, with nothing done yet."""
    gone = gone_before(committed.offset if committed.offset >= 0 else None, rows)
    return Lane(committed.partition, low, high, low, gone.after(0), gone, dict(rows))


class Move:
    """How one partition moves on by a batch: `added` are the offsets that wait no longer."""

    def __init__(self, lane: Lane, place: int, added: Intervals, sent: int, refused: int) -> None:
        self.lane, self.place, self.added, self.sent, self.refused = lane, place, added, sent, refused
        self.cursor = lane.cursor
        while (further := lane.gone.after(added.after(self.cursor))) != self.cursor:
            self.cursor = further
        self.rows = {start: end for start, end in added if start > self.cursor}

    def offset(self, topic: str, job: str) -> TopicPartition:
        """Return what the group commits of it; the metadata tell the next mover how far the job has come."""
        lane = self.lane
        told = {
            "j": job,
            "s": self.place,
            "n": lane.sent + self.sent,
            "r": lane.refused + self.refused,
            "x": lane.expired,
            "i": lane.intended,
        }
        return TopicPartition(topic, lane.partition, self.cursor, json.dumps(told))

    def apply(self) -> None:
        """Make it so, when the transaction is through."""
        lane = self.lane
        for start, end in self.added:
            lane.gone.add(start, end)
        lane.rows.update(self.rows)
        lane.cursor, lane.next = self.cursor, self.place
        lane.sent += self.sent
        lane.refused += self.refused


def _read_metadata(metadata: str | None) -> dict[str, Any]:
    try:
        told = json.loads(metadata or "{}")
    except ValueError:
        return {}  # somebody else has committed for this group
    return told if isinstance(told, dict) else {}
