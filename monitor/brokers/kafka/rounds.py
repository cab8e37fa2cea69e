"""One round of the end-to-end probe: records sent through the leaders of a topic's partitions, read back, committed."""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from monitor.brokers.kafka.quiet import QuietLog

RETURNED, LOST, REFUSED = OUTCOMES = ("returned", "lost", "refused")

_STEP_SECONDS = 0.01  # how exactly a round trip is timed while several records are under way
_NOT_IN_TIME = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._MSG_TIMED_OUT)


@dataclass(slots=True)
class Record:
    """One record of a round, on its way. Moments are of the monotonic clock, None while it has not happened."""

    partition: int
    sent_at: float
    offset: int | None = None
    returned_at: float | None = None
    error: KafkaError | None = None

    @property
    def is_settled(self) -> bool:
        """Say whether no more is to be heard of it."""
        return self.returned_at is not None or self.error is not None

    @property
    def outcome(self) -> str:
        """Return what became of it, if the round ends now."""
        if self.returned_at is not None:
            return RETURNED
        return REFUSED if self.offset is None else LOST


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found. `commit_seconds` is None where nothing was committed.

    `fresh` are the partitions for which the reader had only just been told where to begin: their time tells nothing.
    """

    records: tuple[Record, ...]
    commit_seconds: float | None
    commit_error: KafkaError | None = None
    fresh: frozenset[int] = frozenset()


class Session:
    """The clients of the probe. Records of others on the topic, and those of earlier rounds, are left aside."""

    def __init__(self, settings: Mapping[str, Any], topic: str, seconds: float, monotonic: Callable[[], float]) -> None:
        self._topic, self._seconds, self._monotonic = topic, seconds, monotonic
        self._key = uuid.uuid4().bytes
        self._number = 0
        self._position: dict[int, int] = {}
        self._committed: list[KafkaError | None] = []
        milliseconds = max(1000, int(seconds * 1000))
        quiet = QuietLog()
        self._producer = Producer(
            {**settings, "acks": "all", "linger.ms": 0, "message.timeout.ms": milliseconds}, logger=quiet
        )
        self._consumer = Consumer(
            {
                **settings,
                "group.id": topic,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "latest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "on_commit": self._take_commit,
            },
            logger=quiet,
        )

    def run(self, partitions: Mapping[int, int], stopped: threading.Event) -> Round:
        """Send a record to each partition (to its leader), and wait for all to come back and to be committed."""
        self._number += 1
        deadline = self._monotonic() + self._seconds
        records = {number: self._send(number) for number in partitions}
        fresh: set[int] = set()
        while self._monotonic() < deadline and not stopped.is_set():
            self._producer.poll(0)
            fresh |= self._follow(records)
            message = self._consumer.poll(_STEP_SECONDS)
            if message is not None:
                self._take(message, records)
            elif all(record.is_settled for record in records.values()):
                break
        self._producer.purge()
        self._producer.poll(0)
        seconds, error = self._commit(records, deadline, stopped)
        return Round(tuple(records.values()), seconds, error, frozenset(fresh))

    def close(self) -> None:
        """Let go of the connections; may take as long as the brokers do."""
        self._consumer.close()

    def _send(self, partition: int) -> Record:
        record = Record(partition, self._monotonic())
        value = str(self._number).encode()
        done = partial(_take_delivery, record)
        try:
            self._producer.produce(self._topic, value, self._key, partition, on_delivery=done)
        except KafkaException as error:  # the topic has lost this partition
            record.error = error.args[0]
        return record

    def _follow(self, records: Mapping[int, Record]) -> set[int]:
        """Begin to read where the first record of a partition lies: nothing before it is asked for.

        A topic that was made again begins again as well, with offsets that were passed in the one before.
        """
        begun = {
            record.partition
            for record in records.values()
            if record.offset is not None
            and record.returned_at is None
            and not 0 <= self._position.get(record.partition, -1) <= record.offset
        }
        for partition in begun:
            self._position[partition] = records[partition].offset or 0
        if begun:
            self._consumer.assign([TopicPartition(self._topic, *item) for item in self._position.items()])
        return begun

    def _take(self, message: Message, records: Mapping[int, Record]) -> None:
        number, offset = message.partition(), message.offset()
        if message.error() is not None or number is None or offset is None:
            return  # the library tries again; what does not come is lost
        self._position[number] = max(self._position.get(number, 0), offset + 1)
        mine = message.key() == self._key and message.value() == str(self._number).encode()
        if mine and number in records:
            records[number].returned_at = self._monotonic()

    def _commit(
        self, records: Mapping[int, Record], deadline: float, stopped: threading.Event
    ) -> tuple[float | None, KafkaError | None]:
        back = [record.partition for record in records.values() if record.returned_at is not None]
        if not back:
            return None, None
        self._committed.clear()
        began = self._monotonic()
        offsets = [TopicPartition(self._topic, number, self._position[number]) for number in back]
        self._consumer.commit(offsets=offsets, asynchronous=True)
        until = max(deadline, began + self._seconds / 2)
        while not self._committed and self._monotonic() < until and not stopped.is_set():
            self._consumer.poll(_STEP_SECONDS)
        if not self._committed:
            return None, KafkaError(KafkaError._TIMED_OUT)
        error = self._committed[0]
        return (None, error) if error is not None else (self._monotonic() - began, None)

    def _take_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = (partition.error for partition in partitions if partition.error is not None)
        self._committed.append(error or next(failed, None))


def _take_delivery(record: Record, error: KafkaError | None, message: Message) -> None:
    if error is None:
        record.offset = message.offset()
    elif error.code() not in _NOT_IN_TIME:
        record.error = error
