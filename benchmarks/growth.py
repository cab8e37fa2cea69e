"""How a cycle grows with what is watched, as a table and as the picture in docs/performance.md.

    python -m benchmarks.growth --endpoints PATH [--picture docs/pictures/growth.svg]

Groups, partitions and queues grow one at a time. Each figure is the median of the cycles after the first.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import boto3
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.aws import cycle as aws
from benchmarks.kafka.cycle import MODES
from benchmarks.kafka.fixture import Size, build, remove
from benchmarks.rabbitmq import cycle as rabbitmq
from monitor.brokers.aws.collector import AwsCollector
from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.brokers.registry import Collector
from monitor.clock import Clock
from monitor.config import AwsCloudWatch, AwsCluster, Filter, RabbitCluster
from stack.state import Endpoints, read_endpoints

_DEADLINE = 120.0
_CYCLES = 4
_GROUPS = (5, 20, 79, 158)
_PARTITIONS = (5, 20, 40)
_QUEUES = (500, 1_500, 5_000)
_SQS_QUEUES = (100, 300, 1_000)
_REGION = "us-east-1"


@dataclass(frozen=True)
class Point:
    """One size: what grows, how many there are, and what a cycle takes in seconds."""

    watched: str
    number: int
    wall_seconds: float
    processor_seconds: float


def main() -> None:
    """Print the table, and draw it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoints", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    endpoints = read_endpoints(given.endpoints)
    points = [*grow_kafka(endpoints), *grow_rabbitmq(endpoints), *grow_sqs(endpoints)]
    table = Table("watched", "number", "cycle, s", "processor, s", title="Growth of a cycle")
    for point in points:
        table.add_row(point.watched, f"{point.number:,}", f"{point.wall_seconds:.3f}", f"{point.processor_seconds:.3f}")
    Console(width=100).print(table)
    if given.picture:
        draw(points, given.picture)


def grow_kafka(endpoints: Endpoints) -> Iterator[Point]:
    """Let groups grow over 2,000 partitions, then partitions under 20 groups."""
    sizes = [("groups on 2,000 partitions", it, Size(100, 20, it)) for it in _GROUPS]
    sizes += [("partitions with 20 groups", 100 * it, Size(100, it, 20)) for it in _PARTITIONS]
    for watched, number, size in sizes:
        build(endpoints.kafka, size)
        try:
            for mode in MODES:
                yield _kafka_point(endpoints.kafka, size, mode, f"Kafka {watched}, {mode}", number)
        finally:
            remove(endpoints.kafka, size)


def _kafka_point(bootstrap: str, size: Size, mode: str, watched: str, number: int) -> Point:
    options = ["--bootstrap", bootstrap, "--commits", mode, "--cycles", str(_CYCLES), "--figures", *size.options]
    command = [sys.executable, "-m", "benchmarks.kafka.cycle", *options]
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return Point(watched, number, statistics.median(figures["walls"][1:]), statistics.median(figures["processors"][1:]))


def grow_rabbitmq(endpoints: Endpoints) -> Iterator[Point]:
    """Let the queues grow."""
    told = endpoints.rabbitmq
    broker = rabbitmq.Broker(told.amqp, told.management, told.prometheus)
    for count in _QUEUES:
        with rabbitmq.many_queues(broker, count) as (vhost, _):
            rabbitmq.wait_until_told(broker, vhost, count)
            config = RabbitCluster(
                name="bench",
                kind="rabbitmq",
                prometheus_url=SecretStr(broker.prometheus),
                management_url=SecretStr(broker.management),
                vhosts=Filter(include=[vhost]),
            )
            yield _time("RabbitMQ queues", count, lambda config=config: RabbitCollector(config, (), Clock()))  # type: ignore[misc]


def grow_sqs(endpoints: Endpoints) -> Iterator[Point]:
    """Let the queues grow, without CloudWatch."""
    sqs = boto3.Session("test", "test", region_name=_REGION).client("sqs", endpoint_url=endpoints.aws)
    for count in _SQS_QUEUES:
        with aws.many_queues(sqs, count) as (prefix, _):
            config = AwsCluster(
                name="aws",
                kind="aws",
                region=_REGION,
                endpoint_url=endpoints.aws,
                queues=Filter(include=[f"{prefix}*"]),
                topics=Filter(include=[f"{prefix}*"]),
                cloudwatch=AwsCloudWatch(enabled=False),
                deadline=_DEADLINE,
            )
            yield _time("SQS queues", count, lambda config=config: AwsCollector(config, (), Clock()))  # type: ignore[misc]


def _time(watched: str, number: int, opener: Callable[[], Collector]) -> Point:
    walls, processors = [], []
    with contextlib.closing(opener()) as collector:
        for _ in range(_CYCLES):
            wall, processor = time.perf_counter(), time.process_time()
            snapshot = collector.collect(time.monotonic() + _DEADLINE)
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
            if snapshot.errors or snapshot.measured < snapshot.expected:
                raise SystemExit(f"{watched}: only {snapshot.measured} of {snapshot.expected}: {snapshot.errors}")
    return Point(watched, number, statistics.median(walls[1:]), statistics.median(processors[1:]))


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw wall-clock and processor seconds of each kind over its number, both logarithmic."""
    rows = [
        {"watched": it.watched, "number": it.number, "seconds": seconds, "time": kind}
        for it in points
        for kind, seconds in (("cycle", it.wall_seconds), ("processor", it.processor_seconds))
    ]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("number:Q", scale=alt.Scale(type="log"), title=None),
            y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds"),
            color=alt.Color("time:N", title=None),
            strokeDash=alt.StrokeDash("time:N", title=None),
        )
        .properties(width=220, height=160)
        .facet(alt.Facet("watched:N", title=None), columns=3)
        .resolve_scale(x="independent", y="shared")
    )
    chart.save(path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main()
