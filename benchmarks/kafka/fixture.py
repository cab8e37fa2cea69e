"""Fills a Kafka cluster with many topics, and groups that have committed on every partition of them.

    python -m benchmarks.kafka.fixture --bootstrap HOST:PORT [--topics 100] [--partitions 20] [--groups 79] [--remove]

The defaults make 158,000 group-partitions, `--topics 250 --groups 200` a million, `--topics 268 --groups 179` about
958,000. Offsets are committed through the admin API, so no consumer has to run.
"""

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

T = TypeVar("T")

PREFIX = "bench"
_TOPICS_A_CALL = 50
_PARTITIONS_A_COMMIT = 500
_CALLS_IN_FLIGHT = 16
_PATIENCE_SECONDS = 300.0  # thousands of partitions, on a busy machine


@dataclass(frozen=True)
class Size:
    """How much there is: topics, partitions a topic, groups, records a partition."""

    topics: int = 100
    partitions: int = 20
    groups: int = 79
    records: int = 10

    @property
    def options(self) -> list[str]:
        """The options of a command that make this size."""
        given = {"topics": self.topics, "partitions": self.partitions, "groups": self.groups, "records": self.records}
        return [text for name, value in given.items() for text in (f"--{name}", str(value))]

    @property
    def topic_names(self) -> list[str]:
        """All topics of the fixture."""
        return [f"{PREFIX}.topic-{number:05d}" for number in range(self.topics)]

    @property
    def group_names(self) -> list[str]:
        """All groups of the fixture."""
        return [f"{PREFIX}.group-{number:05d}" for number in range(self.groups)]

    @property
    def group_partitions(self) -> int:
        """How many committed offsets there are."""
        return self.topics * self.partitions * self.groups


def build(bootstrap: str, size: Size) -> None:
    """Create topics, records and committed offsets."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    _create_topics(admin, size)
    _produce(bootstrap, size)
    _commit(admin, size)


def commit_again(bootstrap: str, size: Size, groups: int) -> None:
    """Let some groups, other ones each time, commit on all partitions once more."""
    chance = random.Random()
    chosen = chance.sample(size.group_names, min(groups, size.groups))
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for batch in _batches(_commits(size, chance, chosen), _CALLS_IN_FLIGHT):
        _commit_all(admin, batch)


def remove(bootstrap: str, size: Size) -> None:
    """Delete the groups and topics again."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for batch in _batches(size.group_names, _TOPICS_A_CALL):
        _wait(admin.delete_consumer_groups(list(batch), request_timeout=60).values())
    for batch in _batches(size.topic_names, _TOPICS_A_CALL):
        _wait(admin.delete_topics(list(batch), request_timeout=60).values())
    _await_topics(admin, size, 0)


def _create_topics(admin: AdminClient, size: Size) -> None:
    for batch in _batches(size.topic_names, _TOPICS_A_CALL):
        topics = [NewTopic(name, num_partitions=size.partitions, replication_factor=1) for name in batch]
        _wait(admin.create_topics(topics, request_timeout=60).values())
    _await_topics(admin, size, size.topics)


def _await_topics(admin: AdminClient, size: Size, expected: int) -> None:
    """Wait until the broker has as many topics of the fixture as the controller has already agreed to."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    names = set(size.topic_names)
    while len(names & admin.list_topics(timeout=60).topics.keys()) != expected:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the broker does not come to {expected} topics of the fixture")
        time.sleep(0.1)


def _produce(bootstrap: str, size: Size) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for _ in range(size.records):
        for topic in size.topic_names:
            for partition in range(size.partitions):
                producer.produce(topic, b"x" * 64, partition=partition, on_delivery=_must_be_taken)
            producer.poll(0)
    if producer.flush(300):
        raise RuntimeError("the broker did not take all records of the fixture")


def _must_be_taken(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        raise RuntimeError(f"a record for {message.topic()} was refused: {error}")


def _commit(admin: AdminClient, size: Size) -> None:
    for batch in _batches(_commits(size, random.Random(1), size.group_names), _CALLS_IN_FLIGHT):
        _commit_all(admin, batch)


def _commit_all(admin: AdminClient, commits: Sequence[ConsumerGroupTopicPartitions]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while commits:
        futures = [admin.alter_consumer_group_offsets([commit], request_timeout=60) for commit in commits]
        results = [result for future in futures for result in _wait(future.values())]
        refused = [(result.group_id, [p for p in result.topic_partitions if p.error]) for result in results]
        # A broker that has not yet heard of a new topic refuses its offsets; a moment later it takes them.
        commits = [
            ConsumerGroupTopicPartitions(group, [TopicPartition(p.topic, p.partition, p.offset) for p in partitions])
            for group, partitions in refused
            if partitions
        ]
        if commits and time.monotonic() > deadline:
            raise RuntimeError(f"offsets are refused: {next(p.error for _, ps in refused for p in ps)}")


def _commits(size: Size, chance: random.Random, groups: Sequence[str]) -> Iterator[ConsumerGroupTopicPartitions]:
    partitions = [(topic, partition) for topic in size.topic_names for partition in range(size.partitions)]
    for group in groups:
        for chunk in _batches(partitions, _PARTITIONS_A_COMMIT):
            offsets = [TopicPartition(topic, part, chance.randint(0, size.records)) for topic, part in chunk]
            yield ConsumerGroupTopicPartitions(group, offsets)


def _batches(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while batch := tuple(islice(iterator, size)):
        yield batch


def _wait(futures: Iterable[Future[Any]]) -> list[Any]:
    return [future.result(120) for future in futures]


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how much there is."""
    defaults = Size()
    parser.add_argument("--topics", type=int, default=defaults.topics)
    parser.add_argument("--partitions", type=int, default=defaults.partitions)
    parser.add_argument("--groups", type=int, default=defaults.groups)
    parser.add_argument("--records", type=int, default=defaults.records)


def size_of(given: argparse.Namespace) -> Size:
    """Return what these options say."""
    return Size(given.topics, given.partitions, given.groups, given.records)


def main() -> None:
    """Build or remove the fixture, or commit again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    add_size_options(parser)
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--remove", action="store_true")
    doing.add_argument("--again", type=int, metavar="GROUPS", help="let so many groups commit once more, nothing else")
    given = parser.parse_args()
    size = size_of(given)
    if given.again is not None:
        commit_again(given.bootstrap, size, given.again)
        return
    (remove if given.remove else build)(given.bootstrap, size)
    print(f"{size.topics * size.partitions:,} partitions, {size.groups:,} groups, {size.group_partitions:,} offsets")


if __name__ == "__main__":
    main()
