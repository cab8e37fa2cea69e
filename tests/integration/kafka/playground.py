"""A Kafka cluster to try things on: topics and groups with names of their own, deleted afterwards."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.collector import KafkaCollector
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, Filter, KafkaCluster
from monitor.memory import FORGETFUL, Memory
from monitor.model import Snapshot, Subscription
from tests import waiting

_PATIENCE = 60.0
_CYCLE_SECONDS = 20.0
_COORDINATOR_SECONDS = 15.0
_NEVER_SECONDS = 3600.0  # the longest that the library takes
_NOT_READY = (
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
)


class Playground:
    """What tests do with a cluster. Names begin with a prefix that no other test has."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = f"t{uuid.uuid4().hex[:10]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self._topics: set[str] = set()
        self._groups: set[str] = set()

    def name(self, suffix: str) -> str:
        """A name that is this test's own."""
        return f"{self.prefix}-{suffix}"

    def topic(
        self, suffix: str, partitions: int = 1, config: Mapping[str, str] | None = None, replicas: int = -1
    ) -> str:
        """Create a topic."""
        name = self.name(suffix)
        new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(config or {}))
        self.admin.create_topics([new])[name].result(_PATIENCE)
        self._topics.add(name)
        wait_for(lambda: len(self.partitions_led_by(name, lambda broker: broker >= 0)) == partitions, "leaders")
        return name

    def partitions_led_by(self, topic: str, is_leader: Callable[[int], bool]) -> list[int]:
        """The partitions of a topic with such a leader."""
        found = self.admin.list_topics(timeout=_PATIENCE).topics.get(topic)
        return [] if found is None else [p.id for p in found.partitions.values() if is_leader(p.leader)]

    def coordinator(self, group: str) -> int:
        """The broker that keeps a group's offsets."""
        described = self._ask_coordinator(
            lambda admin: admin.describe_consumer_groups([group], request_timeout=_NEVER_SECONDS)[group]
        )
        return int(described.coordinator.id)

    def _ask_coordinator(self, ask: Callable[[AdminClient], Future[Any]]) -> Any:
        """Return the answer of a group's coordinator, asked again until it is there and ready.

        A request that the library gives up itself, while it looks for the coordinator, ends the process later on: see
        `monitor.brokers.kafka.client`. So here its handle is given up instead.
        """

        def answers() -> list[Any]:
            try:
                return [ask(self.admin).result(_COORDINATOR_SECONDS)]
            except TimeoutError:
                self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
            except KafkaException as error:
                if error.args[0].code() not in _NOT_READY:
                    raise
            return []

        return wait_for(answers, "an answer of the coordinator")[0]

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until it is gone."""
        self.admin.delete_topics([name])[name].result(_PATIENCE)
        self._topics.discard(name)
        wait_for(lambda: name not in self.admin.list_topics(timeout=_PATIENCE).topics, f"deletion of {name}")

    def produce(
        self,
        topic: str,
        count: int,
        partition: int = 0,
        key: Callable[[int], str] | None = None,
        timestamp: Callable[[int], float] | None = None,
    ) -> None:
        """Produce records, optionally with keys and with timestamps (Unix seconds) by number."""
        for number in range(count):
            settings: dict[str, Any] = {}
            if timestamp is not None:
                settings["timestamp"] = int(timestamp(number) * 1000)
            self._producer.produce(
                topic, b"x", key(number) if key else None, partition=partition, on_delivery=_must_succeed, **settings
            )
            self._producer.poll(0)
        assert self._producer.flush(_PATIENCE) == 0

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        """Commit an offset for a group that has no members."""
        self._commit(group, [TopicPartition(topic, partition, offset)])

    def commit_everywhere(self, group: str, topic: str, offsets: Sequence[int]) -> None:
        """Commit an offset for each partition of a topic."""
        self._commit(group, [TopicPartition(topic, number, offset) for number, offset in enumerate(offsets)])

    def _commit(self, group: str, partitions: list[TopicPartition]) -> None:
        self._groups.add(group)
        request = ConsumerGroupTopicPartitions(group, partitions)

        def is_taken() -> bool:  # a broker that has not heard of the topic yet refuses
            done = self._ask_coordinator(
                lambda admin: admin.alter_consumer_group_offsets([request], request_timeout=_NEVER_SECONDS)[group]
            )
            return all(partition.error is None for partition in done.topic_partitions)

        wait_for(is_taken, "the commit")

    def delete_group(self, group: str) -> None:
        """Delete a group, again while a member of it is still leaving; it may be gone already."""

        def is_gone() -> bool:
            try:
                self._ask_coordinator(
                    lambda admin: admin.delete_consumer_groups([group], request_timeout=_NEVER_SECONDS)[group]
                )
            except KafkaException as error:
                return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
            return True

        wait_for(is_gone, f"deletion of {group}")
        self._groups.discard(group)

    def consumer(self, group: str, topics: Sequence[str], **config: Any) -> Consumer:
        """Join a group and wait until partitions are assigned."""
        self._groups.add(group)
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
            | {key.replace("_", "."): value for key, value in config.items()}
        )
        consumer.subscribe(list(topics))
        wait_for(lambda: bool(consumer.poll(0.05) or consumer.assignment()), f"assignment of {group}")
        return consumer

    def read(self, topic: str, partition: int = 0, **config: Any) -> list[Message]:
        """Read all records of a partition that there are."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": self.name("reader"), "enable.partition.eof": True}
        consumer = Consumer(settings | {key.replace("_", "."): value for key, value in config.items()})
        consumer.assign([TopicPartition(topic, partition, 0)])
        messages: list[Message] = []
        while True:
            message = consumer.poll(_PATIENCE)
            assert message is not None
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return messages
            assert error is None
            messages.append(message)

    def clean(self) -> None:
        """Delete what was made."""
        for future in self.admin.delete_topics(list(self._topics)).values() if self._topics else ():
            future.result(_PATIENCE)
        for group in list(self._groups):
            self.delete_group(group)

    def collector(self, clock: Clock | None = None, memory: Memory = FORGETFUL, **config: Any) -> KafkaCollector:
        """A collector that sees only what belongs to this test."""
        names = Filter(include=[f"{self.prefix}*"])
        dead_letters: Sequence[DeadLetterMapping] = config.pop("dead_letters", ())
        settings = {"topics": names, "groups": names} | config
        cluster = KafkaCluster(name="test", kind="kafka", bootstrap_servers=self.bootstrap, **settings)
        return KafkaCollector(cluster, dead_letters, clock or Clock(), memory)


class Watcher:
    """A collector and what it saw last."""

    def __init__(self, collector: KafkaCollector) -> None:
        self.collector = collector
        self.snapshot: Snapshot

    def look(self, seconds: float = _CYCLE_SECONDS) -> Snapshot:
        """Run one cycle."""
        self.snapshot = self.collector.collect(time.monotonic() + seconds)
        return self.snapshot

    def subscription(self, group: str, topic: str) -> Subscription:
        """The subscription of a group to a topic, as seen last."""
        (found,) = (s for s in self.snapshot.subscriptions if (s.subscriber, s.destination) == (group, topic))
        return found

    def rows(self, table: str, **labels: str) -> list[dict[str, float]]:
        """The rows of a table with these labels: their columns without prefix, absent ones left out."""
        found = self.snapshot.tables[table]
        rows = []
        for row in found.rows_where(labels).tolist():
            values = {name: float(column[row]) for name, column in found.columns.items()}
            rows.append({name: value for name, value in values.items() if value == value})
        return rows


wait_for = partial(waiting.wait_for, seconds=_PATIENCE)


def _must_succeed(error: KafkaError | None, _message: Message) -> None:
    assert error is None, error
