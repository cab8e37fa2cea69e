"""Times redrive on Kafka: exactly once, beside consume-and-produce without transactions, in one run.

    python -m benchmarks.kafka.redrive --bootstrap HOST:PORT [--messages 200000] [--bytes 512]

The topics are made for it and removed at the end. Memory is the peak of this process, so the redrive comes first, and
another process writes the dead letters. What planning takes is told apart: a plan is made before somebody starts it.
"""

import argparse
import multiprocessing
import resource
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from rich.console import Console
from rich.table import Table

from monitor.brokers.kafka.ledger import group_of
from monitor.brokers.kafka.redrive import KafkaRedriveBus
from monitor.clock import Clock
from monitor.config import KafkaCluster, KafkaRedrive
from monitor.letters import Job, PlanRequest
from monitor.redrive.runner import BATCH

_PARTITIONS = 4
_PATIENCE = 120.0


@dataclass(frozen=True)
class Yard:
    """A topic, its dead-letter topic, and how to reach them."""

    bootstrap: str
    target: str
    dead: str


@dataclass(frozen=True)
class Timing:
    """What one way took: seconds by the clock and of this process' CPU, and until the first message was out."""

    name: str
    messages: int
    planned_seconds: float
    seconds: float
    cpu_seconds: float
    first_seconds: float
    megabytes: float


@dataclass(frozen=True)
class Run:
    """What one way did: when it began to move, after its plan, and when the first message was out (perf_counter)."""

    messages: int
    began: float
    first: float


def main() -> None:
    """Print a table of the ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=512)
    asked = parser.parse_args()
    with made(asked.bootstrap) as yard:
        filling = multiprocessing.get_context("spawn").Process(target=fill, args=(yard, asked.messages, asked.bytes))
        filling.start()
        filling.join()
        timings = [timed("redrive, exactly once", redrive, yard), timed("consume and produce", copy_plainly, yard)]
    slowest = timings[-1].seconds
    headings = ("way", "messages", "planned in", "seconds", "messages/s", "ratio", "CPU µs/message", "first out after")
    table = Table(*headings, "peak memory")
    for it in timings:
        rate, cpu = f"{it.messages / it.seconds:,.0f}", f"{it.cpu_seconds / it.messages * 1e6:.1f}"
        took = (f"{it.planned_seconds:.2f} s", f"{it.seconds:.2f}", rate, f"{slowest / it.seconds:.2f}")
        cells = (f"{it.messages:,}", *took, cpu, f"{it.first_seconds:.2f} s")
        table.add_row(it.name, *cells, f"{it.megabytes:.0f} MB")
    Console(width=140).print(table)


@contextmanager
def made(bootstrap: str) -> Iterator[Yard]:
    """Make the topics, and remove everything at the end."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    name = f"bench-redrive-{uuid.uuid4().hex[:8]}"
    yard = Yard(bootstrap, name, f"{name}.dlq")
    for future in admin.create_topics([NewTopic(it, _PARTITIONS) for it in (yard.target, yard.dead)]).values():
        future.result(_PATIENCE)
    # A broker's first transaction has it make the log of transactions, which takes a second, once.
    Producer({"bootstrap.servers": bootstrap, "transactional.id": name}).init_transactions(_PATIENCE)
    try:
        yield yard
    finally:
        for future in admin.delete_topics([yard.target, yard.dead]).values():
            future.result(_PATIENCE)
        admin.delete_consumer_groups([group_of(yard.dead)])[group_of(yard.dead)].result(_PATIENCE)


def fill(yard: Yard, messages: int, size: int) -> None:
    """Produce dead letters as Spring Kafka writes them."""
    producer = Producer({"bootstrap.servers": yard.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 500_000})
    headers = [("kafka_dlt-original-topic", yard.target.encode()), ("kafka_dlt-exception-fqcn", b"java.lang.Exception")]
    for number in range(messages):
        while True:
            try:
                producer.produce(yard.dead, str(number).encode().ljust(size, b"."), b"%d" % number, headers=headers)  # type: ignore[arg-type]
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(_PATIENCE) == 0


def timed(name: str, run: Callable[[Yard], Run], yard: Yard) -> Timing:
    """Run one way."""
    began, cpu = time.perf_counter(), time.process_time()
    done = run(yard)
    seconds, used = time.perf_counter() - done.began, time.process_time() - cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Timing(name, done.messages, done.began - began, seconds, used, done.first - done.began, megabytes)


def redrive(yard: Yard) -> Run:
    """Move everything as a job does, the journal aside."""
    cluster = KafkaCluster(name="bench", kind="kafka", bootstrap_servers=yard.bootstrap, redrive=KafkaRedrive())
    bus, clock = KafkaRedriveBus(cluster, [], Clock()), Clock()
    request = PlanRequest(f"bench/{yard.dead}")
    survey = bus.survey(yard.dead, request, clock.monotonic() + _PATIENCE)
    assert survey.target is not None
    began = time.perf_counter()
    mover = bus.open(Job(uuid.uuid4().hex, request, yard.dead, survey.target, survey.bounds), lambda _: None)
    moved, first = mover.recover(clock.monotonic() + _PATIENCE).moved, 0.0
    finished = False
    while not finished:
        step = mover.step(BATCH, clock.monotonic() + _PATIENCE)
        moved, finished = moved + step.moved, step.finished
        first = first or (time.perf_counter() if step.moved else 0.0)
    mover.close()
    bus.close()
    return Run(moved, began, first)


def copy_plainly(yard: Yard) -> Run:
    """Consume and produce without any guarantee."""
    began = time.perf_counter()
    consumer = Consumer(
        {
            "bootstrap.servers": yard.bootstrap,
            "group.id": f"{yard.dead}-plain",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(yard.dead, number, 0) for number in range(_PARTITIONS)])
    producer = Producer({"bootstrap.servers": yard.bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 500_000})
    copied, ended, first = 0, 0, 0.0
    while ended < _PARTITIONS:
        for message in consumer.consume(BATCH, 0.1):
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                ended += 1
                continue
            place = message.partition()
            assert place is not None
            producer.produce(yard.target, message.value(), message.key(), place, headers=message.headers())
            copied += 1
        producer.poll(0)
        first = first or time.perf_counter()
    assert producer.flush(_PATIENCE) == 0
    consumer.close()
    return Run(copied, began, first)


if __name__ == "__main__":
    main()
