"""What is no longer waiting in the dead-letter topics, although Kafka keeps it: the cursor and the ledger.

The *cursor* of a dead-letter topic is what the group `eventflow.redrive.TOPIC` has committed: nothing before it waits.
Offsets cannot express holes, so what was redriven beyond the cursor stands in the *ledger*, the compacted topic
`eventflow.redrive.ledger`: each record names the offsets from the one in its key up to the one in its value. Both are
written in the transaction that redrives. The cursor is in the ledger too, as the range from 0 on: a group without
members loses its offsets after `offsets.retention.minutes`, and whoever reads the ledger needs nothing else.
Records of a topic that has since been deleted and made anew carry another topic id, and do not count.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.admin import LATEST
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BrokerError, TimedOut
from monitor.letters import GROUP_PREFIX, LEDGER_TOPIC

_CONFIG = {"cleanup.policy": "compact", "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1"}
REPLICAS, IN_SYNC = 3, 2
"""What the ledger is made with where there are so many brokers: what it has taken outlives the loss of one."""

_BATCH = 1000
_STEP_SECONDS = 0.1

Rows = dict[int, dict[int, int]]
"""By partition: first offset of a range to the offset after its last."""


def group_of(topic: str) -> str:
    """Return the group, and the transactional id, that redrives of a dead-letter topic use."""
    return GROUP_PREFIX + topic


def ledger_topic(brokers: int) -> NewTopic:
    """Return the topic as it is made in a cluster of so many brokers; with few, as these make theirs."""
    if brokers < REPLICAS:
        return NewTopic(LEDGER_TOPIC, num_partitions=1, replication_factor=-1, config=_CONFIG)
    config = {**_CONFIG, "min.insync.replicas": str(IN_SYNC)}
    return NewTopic(LEDGER_TOPIC, num_partitions=1, replication_factor=REPLICAS, config=config)


def ledger_key(topic: str, partition: int, offset: int) -> bytes:
    """Return the key of the ledger's record for the range that begins at an offset."""
    return json.dumps([topic, partition, offset]).encode()


def ledger_value(until: int, topic_id: str, job: str) -> bytes:
    """Return the value of a ledger's record."""
    return json.dumps({"until": until, "topic_id": topic_id, "job": job}).encode()


class Ledger:
    """The ledger of one cluster, read anew from where the last reading ended. Thread-safe."""

    def __init__(self, client: KafkaClient, settings: Mapping[str, Any], clock: Clock) -> None:
        self._client, self._settings, self._clock = client, settings, clock
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._next = 0
        self._rows: dict[str, dict[int, dict[int, tuple[int, str]]]] = defaultdict(lambda: defaultdict(dict))

    def refresh(self, deadline: float) -> None:
        """Read what has been written since the last time. Raises BrokerError, also when there is no ledger."""
        with self._lock:
            try:
                end = self._end(deadline)
                if end < self._next:
                    self._drop()  # another topic of this name: everything is to be read anew
                if end > self._next:
                    self._read(self._consumer or self._open(), end, deadline)
            except KafkaException as error:
                raise translate(error.args[0], LEDGER_TOPIC) from error

    def rows(self, topic: str, topic_id: str | None) -> Rows:
        """Return the ranges that are named of a topic; `topic_id` None believes those of any."""
        with self._lock:
            found = self._rows.get(topic, {})
            return {
                partition: {
                    start: until for start, (until, id_) in rows.items() if topic_id is None or id_ in ("", topic_id)
                }
                for partition, rows in found.items()
            }

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._drop()

    def _open(self) -> Consumer:
        consumer = Consumer(
            {
                **self._settings,
                "group.id": LEDGER_TOPIC,  # needed by the library; nothing is ever committed
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,  # that the end is reached is told only after such a wait
            },
            logger=QuietLog(),
        )
        consumer.assign([TopicPartition(LEDGER_TOPIC, 0, 0)])
        self._consumer = consumer
        return consumer

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
        self._next = 0
        self._rows.clear()

    def _read(self, consumer: Consumer, end: int, deadline: float) -> None:
        while self._next < end:
            if self._clock.monotonic() >= deadline:
                raise TimedOut("the ledger could not be read in time", target=LEDGER_TOPIC)
            for message in consumer.consume(_BATCH, _STEP_SECONDS):
                error = message.error()
                if error is None:
                    self._take(message)
                    self._next = int(message.offset() or 0) + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Its offset lies beyond the markers of transactions, which are no messages.
                    self._next = max(self._next, int(message.offset() or 0))
                else:
                    raise translate(error, LEDGER_TOPIC)

    def _end(self, deadline: float) -> int:
        """Return the last stable offset; the consumer's own call for that takes 0.3 s each time."""
        call = self._client.offsets(0, [TopicPartition(LEDGER_TOPIC, 0, LATEST)], stable=True)
        for _, result in self._client.run({0: [call]}, self._client.remaining(deadline)):
            if isinstance(result, BrokerError):
                raise result
            for error in result.errors.values():
                raise error
            return result.offsets[0]
        raise TimedOut("the ledger's end could not be read in time", target=LEDGER_TOPIC)

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if not key:
            return
        topic, partition, start = json.loads(key)
        rows = self._rows[topic][partition]
        if value is None:
            rows.pop(start, None)
        else:
            told = json.loads(value)
            rows[start] = (int(told["until"]), str(told.get("topic_id", "")))


def gone_before(cursor: int | None, rows: Mapping[int, int]) -> Intervals:
    """Return the offsets of a partition that no longer wait: before the cursor, and in the ledger's ranges."""
    gone = Intervals(rows.items())
    gone.add(0, cursor or 0)
    return gone
