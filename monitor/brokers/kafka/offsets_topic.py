"""Reads `__consumer_offsets`, and says how far what has been read can be trusted.

Readers of committed data see an offset that was committed in a transaction only when the transaction has ended well,
just as the group's coordinator does. But they get no further than the first transaction that is still open, while the
coordinator takes the other groups' commits behind it at once. So where one is open, what has been read is not what
counts, and the groups of that partition have to be asked about (`State.HELD`); mostly it takes a moment.
"""

import threading
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.brokers.kafka.admin import LATEST, Offsets, close_aside
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.commit_log import CommitLog, Watched
from monitor.brokers.kafka.lanes import Call
from monitor.brokers.kafka.metadata import NO_LEADER, OFFSETS_TOPIC, OWN_PREFIX
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BrokerError, Forbidden, TimedOut, Unreachable
from monitor.model import Codes, Floats

GROUP = f"{OWN_PREFIX[0]}commits"
REMEDY = f"grant Read and Describe on the topic {OFFSETS_TOPIC}, or set commits: admin"

_BATCH = 10_000
_STEP_SECONDS = 0.02
_GRACE_SECONDS = 0.2  # most transactions end within it, and then nobody needs to be asked
_SHARE_OF_ENDS = 0.4
_LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
_MOST_TOLD = 5
_STARTS_ANEW = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class State(IntEnum):
    """What is known of the groups whose commits are in one partition of the topic."""

    SILENT = 0  # its leader does not say how much there is
    BEHIND = 1  # it has not been read to its end
    HELD = 2  # it has been read up to a transaction that is open
    READ = 3


class OffsetsTopic:
    """One cluster's commits, from cycle to cycle. The first reading takes the whole topic, later ones what is new.

    `settings` are the library's. It is opened with the first refresh.
    """

    def __init__(self, client: KafkaClient, settings: Callable[[], dict[str, Any]], watched: Watched, clock: Clock):
        self._client, self._settings, self._clock = client, settings, clock
        self._lock = threading.Lock()
        self._closed = False
        self._consumer: Consumer | None = None
        self._leaders: tuple[int, ...] = ()
        self._next = np.zeros(0)
        self._ends = np.zeros(0)
        self._refusal: KafkaError | None = None
        self._cut = False
        self.log = CommitLog(watched)

    def refresh(self, leaders: tuple[int, ...], seconds: float, problems: Problems) -> Codes:
        """Read what has been written; return the `State` of each partition. `leaders` are theirs, as metadata says."""
        if not leaders:
            return np.empty(0, dtype=np.int32)  # the topic cannot be seen, which is no reason to forget what it said
        deadline = self._clock.monotonic() + seconds
        ends, stable = self._ask_ends(leaders, seconds * _SHARE_OF_ENDS, problems)
        if len(leaders) != len(self._next) or (ends < self._next).any():
            self._forget(len(leaders))  # another topic, or one that was cut
        elif leaders != self._leaders:
            # The library would go on waiting for an old leader that hangs, for a minute.
            self._drop()
        self._leaders, self._ends = leaders, ends
        try:
            self._read(ends, stable, deadline)
        except KafkaException as error:
            problems.add(error.args[0], f"reading {OFFSETS_TOPIC}")
            self._drop()
        self.log.settle()
        return self._tell(ends, stable, problems)

    def close(self) -> None:
        """Let go of the connection. May come from another thread, while something is being read."""
        self._closed = True
        self._drop()

    def tell_limits(self) -> tuple[str, ...]:
        """Return sentences for people about where the commits come from, and what in there is not known."""
        told = [f"Committed offsets are read from {OFFSETS_TOPIC}."]
        if self.log.unknown:
            kinds = ", ".join(f"{count:,} of {what}" for what, count in sorted(self.log.unknown.items())[:_MOST_TOLD])
            told.append(f"{OFFSETS_TOPIC} has records that this monitor cannot read, and leaves out: {kinds}.")
        return tuple(told)

    @property
    def progress(self) -> float:
        """Return which share of what there is has been read."""
        known = np.isfinite(self._ends)
        whole = self._ends[known].sum()
        return float(self._next[known].sum() / whole) if whole else 1.0

    def _ask_ends(self, leaders: tuple[int, ...], seconds: float, problems: Problems) -> tuple[Floats, Floats]:
        """Return the end of each partition, and where the first open transaction begins, NaN where nobody tells."""
        columns = np.full((2, len(leaders)), np.nan)
        lanes: dict[int, list[Call[Offsets]]] = {}
        by_leader: dict[int, list[int]] = {}
        for number, leader in enumerate(leaders):
            by_leader.setdefault(leader, []).append(number)
        nobody = by_leader.pop(NO_LEADER, [])
        if nobody:
            problems.add(Unreachable("the partition has no leader"), f"partitions of {OFFSETS_TOPIC}", len(nobody))
        for leader, numbers in by_leader.items():
            asked = [TopicPartition(OFFSETS_TOPIC, number, LATEST) for number in numbers]
            lanes[leader] = [
                self._client.offsets((row, numbers), asked, stable=stable) for row, stable in ((0, False), (1, True))
            ]
        for call, result in self._client.run(lanes, seconds):
            row, numbers = call.key
            if isinstance(result, BrokerError):
                target = f"partitions of {OFFSETS_TOPIC} that broker {leaders[numbers[0]]} leads"
                problems.add(result, target, len(numbers))
                continue
            values = np.array(result.offsets, dtype=np.float64)
            for position, error in result.errors.items():
                problems.add(error, f"partitions of {OFFSETS_TOPIC}")
                values[position] = np.nan
            columns[row, numbers] = values
        return columns[0], columns[1]

    def _read(self, ends: Floats, stable: Floats, deadline: float) -> None:
        began, wait = self._clock.monotonic(), 0.0
        while (behind := np.flatnonzero(self._next < ends)).size and self._refusal is None:
            now = self._clock.monotonic()
            only_held = (self._next[behind] >= stable[behind]).all()
            if now >= deadline or (only_held and now >= began + _GRACE_SECONDS):
                return
            # What has come in the meantime is there at once; after that a call waits until there is a whole batch.
            self._take(self._consume(wait))
            wait = _STEP_SECONDS
            if self._cut:
                self._forget(len(self._next))
                return

    def _take(self, messages: Sequence[Message]) -> None:
        read = [message for message in messages if message.error() is None]
        if len(read) < len(messages):
            for message in messages:
                error = message.error()
                if error is not None:
                    self._take_error(message, error)
        if read:
            # The last one of each partition remains.
            last = dict(zip([it.partition() for it in read], [it.offset() for it in read], strict=True))
            for number, offset in last.items():
                self._advance(number, offset, 1)
            self.log.take([it.key() for it in read], [it.value() for it in read])

    def _take_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            # Its offset lies beyond the markers of transactions and what was aborted, which are no messages.
            self._advance(message.partition(), message.offset(), 0)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._refusal = error
        elif error.code() in _STARTS_ANEW:
            self._cut = True
        # Others pass, or show in partitions that are not read to their end. That of the library's group does not
        # matter: nothing is committed and nobody joins.

    def _advance(self, number: int | None, offset: int | None, beyond: int) -> None:
        if number is not None and offset is not None and number < len(self._next):
            self._next[number] = max(self._next[number], offset + beyond)

    def _tell(self, ends: Floats, stable: Floats, problems: Problems) -> Codes:
        states = np.full(len(ends), State.BEHIND, dtype=np.int32)
        states[(stable < ends) & (self._next >= stable)] = State.HELD
        states[self._next >= ends] = State.READ
        states[np.isnan(ends)] = State.SILENT
        behind = int((states == State.BEHIND).sum())
        if self._refusal is not None:
            error = Forbidden(translate(self._refusal).problem, remedy=REMEDY)
            problems.add(error, f"reading {OFFSETS_TOPIC}", len(ends))
            self._drop()  # the next cycle asks anew
        elif behind:
            slow = TimedOut(f"read to {self.progress:.0%} so far, its groups are unknown until it is read to the end")
            problems.add(slow, f"partitions of {OFFSETS_TOPIC}", behind)
        return states

    def _consume(self, seconds: float) -> list[Message]:
        """Take what has come. The lock is held meanwhile: a consumer that is closed under its reader crashes."""
        with self._lock:
            if self._closed:
                raise KafkaException(KafkaError(KafkaError._DESTROY))
            if self._consumer is None:
                self._consumer = _open_reader(self._settings())
                self._consumer.assign(
                    [
                        TopicPartition(OFFSETS_TOPIC, number, int(offset) if offset else OFFSET_BEGINNING)
                        for number, offset in enumerate(self._next)
                    ]
                )
            return self._consumer.consume(_BATCH, seconds)

    def _forget(self, partitions: int) -> None:
        self._drop()
        self._next = np.zeros(partitions)
        self.log.clear()

    def _drop(self) -> None:
        with self._lock:
            consumer, self._consumer = self._consumer, None
        self._refusal, self._cut = None, False
        if consumer is not None:
            close_aside(consumer)


def try_reading(settings: dict[str, Any], leaders: tuple[int, ...], seconds: float) -> None:
    """Read one record of each partition of the topic, or find that there is none. Raises BrokerError."""
    if not leaders:
        raise Forbidden("it cannot be seen, or nobody has ever committed", remedy=REMEDY)
    deadline = time.monotonic() + seconds
    try:
        consumer = _open_reader(settings)
        consumer.assign([TopicPartition(OFFSETS_TOPIC, number, OFFSET_BEGINNING) for number in range(len(leaders))])
    except KafkaException as refused:
        raise translate(refused.args[0]) from refused
    try:
        waiting = set(range(len(leaders)))
        while waiting:
            if time.monotonic() > deadline:
                raise TimedOut(f"{len(waiting)} of {len(leaders)} partitions cannot be read in time")
            for message in consumer.consume(_BATCH, _STEP_SECONDS):
                error = message.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition() or 0)
                elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise Forbidden(translate(error).problem, remedy=REMEDY)
    finally:
        consumer.close()


def _open_reader(settings: dict[str, Any]) -> Consumer:
    """Return a consumer that reads committed data and commits nothing; its group never has a member."""
    return Consumer(
        {
            **settings,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",  # what was cut away must not be taken for nothing new
            "allow.auto.create.topics": False,
            # With the library's own numbers, what it fetches ahead would be most of what a first reading needs.
            "queued.min.messages": 2 * _BATCH,
            "fetch.max.bytes": _LONGEST_ANSWER_BYTES,
            "max.partition.fetch.bytes": _LONGEST_ANSWER_BYTES // 8,
            "queued.max.messages.kbytes": _LONGEST_ANSWER_BYTES // 1024,
            "fetch.wait.max.ms": 250,
        },
        logger=QuietLog(),
    )
