"""Topics with dead letters in them, and what readers of committed data see at the target."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.integration.kafka.playground import Playground

_PATIENCE = 30.0
Headers = Sequence[tuple[str, bytes | None]]


def spring_headers(topic: str, partition: int = 0, group: str = "workers") -> list[tuple[str, bytes | None]]:
    """The headers that Spring Kafka writes, numbers in binary."""
    return [
        ("kafka_dlt-original-topic", topic.encode()),
        ("kafka_dlt-original-partition", partition.to_bytes(4, "big")),
        ("kafka_dlt-original-consumer-group", group.encode()),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
        ("kafka_dlt-exception-message", b"no stock for order 4711"),
    ]


def headers_of(message: Message) -> list[tuple[str, Any]]:
    """The headers of a message in their order."""
    return list(message.headers() or [])  # type: ignore[arg-type]


@contextmanager
def open_yard(bootstrap: str) -> Iterator["Yard"]:
    """Give a cluster with names of its own, which are removed at the end."""
    playground = Playground(bootstrap)
    yield Yard(playground)
    playground.clean()


class Yard:
    """What tests of redrive do with a cluster."""

    def __init__(self, kafka: Playground) -> None:
        self.kafka = kafka
        self.producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5})

    def pair(self, partitions: int = 2, name: str = "orders") -> tuple[str, str]:
        """Make a topic and its dead-letter topic; what redrive leaves behind for the latter is deleted at the end."""
        target = self.kafka.topic(name, partitions)
        dead = self.kafka.topic(f"{name}.dlq", partitions)
        self.kafka._groups.add(f"eventflow.redrive.{dead}")
        return target, dead

    def fill(
        self, topic: str, count: int, headers: Headers, *, first: int = 0, value: Callable[[int], bytes] | None = None
    ) -> None:
        """Produce messages with a unique id each, spread over the partitions by key."""
        make = value or (lambda number: b'{"id": %d}' % number)
        for number in range(first, first + count):
            self.producer.produce(topic, make(number), b"k%d" % (number % 50), headers=list(headers))
            self.producer.poll(0)
        assert self.producer.flush(_PATIENCE) == 0

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """Read everything that there is now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                "group.id": self.kafka.name("reader"),
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        numbers = sorted(self.kafka.admin.list_topics(timeout=_PATIENCE).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        messages: list[Message] = []
        ended: set[int] = set()
        deadline = time.monotonic() + _PATIENCE
        while len(ended) < len(numbers):
            assert time.monotonic() < deadline
            for message in consumer.consume(1000, 0.1):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF
                    ended.add(int(message.partition() or 0))
        consumer.close()
        return messages
