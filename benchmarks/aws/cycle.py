"""Times the AWS collector's cycles on many queues of the stand-in, and counts the calls.

    python -m benchmarks.aws.cycle --endpoint URL [--queues 1000] [--cycles 3]

The stand-in is one Python process: it, and not the collector, sets the pace of the calls. The processor time of the
collector tells what it would take with AWS itself, whose answers come from many machines. A loop of one thread asks the
same for comparison. Every queue that is made here is removed again.
"""

import argparse
import contextlib
import resource
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import boto3
from rich.console import Console
from rich.table import Table

from monitor.brokers.aws.client import CONNECTIONS
from monitor.brokers.aws.collector import AwsCollector
from monitor.brokers.aws.queues import ATTRIBUTES
from monitor.clock import Clock
from monitor.config import AwsCloudWatch, AwsCluster, Filter

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

_DEADLINE = 300.0
_REGION = "us-east-1"


def main() -> None:
    """Print a table of cycles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--queues", type=int, default=1_000)
    parser.add_argument("--cycles", type=int, default=3)
    asked = parser.parse_args()
    sqs = boto3.client(
        "sqs",
        endpoint_url=asked.endpoint,
        region_name=_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with contextlib.closing(sqs), many_queues(sqs, asked.queues) as (prefix, urls):
        table = Table(title=f"{len(urls)} SQS queues, {CONNECTIONS} connections")
        for heading in ("cycle", "seconds", "processor s", "calls", "calls/s", "ms/call", "metrics"):
            table.add_column(heading, justify="left" if heading == "cycle" else "right", no_wrap=True)
        for label, with_metrics in (("depths", False), ("with CloudWatch", True)):
            for number, row in enumerate(time_cycles(asked.endpoint, prefix, asked.cycles, with_metrics=with_metrics)):
                table.add_row(f"{label} {number + 1}", *row)
        table.add_row("loop of one thread", *time_loop(sqs, urls))
        console = Console()
        console.print(table)
        console.print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


@contextlib.contextmanager
def many_queues(sqs: "SQSClient", count: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Make so many queues under a prefix of their own, and remove them at the end."""
    prefix = f"bench-{secrets.token_hex(4)}-"
    names = [f"{prefix}{number:05d}" for number in range(count)]
    with ThreadPoolExecutor(8) as pool:
        urls = list(pool.map(lambda name: sqs.create_queue(QueueName=name)["QueueUrl"], names))
        try:
            yield prefix, urls
        finally:
            list(pool.map(lambda url: sqs.delete_queue(QueueUrl=url), urls))


def time_cycles(endpoint: str, prefix: str, cycles: int, *, with_metrics: bool) -> Iterator[Sequence[str]]:
    """Run cycles of one collector, each with a pass of CloudWatch or none with it."""
    watched = Filter(include=[f"{prefix}*"])
    config = AwsCluster(
        name="aws",
        kind="aws",
        region=_REGION,
        endpoint_url=endpoint,
        queues=watched,
        topics=watched,
        cloudwatch=AwsCloudWatch(enabled=with_metrics, interval=0.1),
        deadline=_DEADLINE,
    )
    with contextlib.closing(AwsCollector(config, (), Clock())) as collector:
        calls = billed = 0.0
        for _ in range(cycles):
            snapshot, wall, processor = measure(lambda: collector.collect(time.monotonic() + _DEADLINE))
            if snapshot.measured < snapshot.expected or snapshot.errors:
                raise SystemExit(f"only {snapshot.measured} of {snapshot.expected} queues: {snapshot.errors}")
            calls_before, calls = calls, float(snapshot.tables["aws_api"].columns["aws_api_requests_total"].sum())
            billed_before = billed
            billed = float(snapshot.tables["cloudwatch"].columns["cloudwatch_billable_metrics_total"][0])
            yield (*tell(wall, processor, calls - calls_before), f"{billed - billed_before:,.0f}")


def time_loop(sqs: "SQSClient", urls: Sequence[str]) -> Sequence[str]:
    """Ask the same of the same queues without threads."""

    def loop() -> None:
        for url in urls:
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=ATTRIBUTES)

    _, wall, processor = measure(loop)
    return (*tell(wall, processor, float(len(urls))), "0")


def measure(call: Callable[[], T]) -> tuple[T, float, float]:
    """Return what a call returns, and its wall-clock and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    outcome = call()
    return outcome, time.perf_counter() - wall, time.process_time() - processor


def tell(wall: float, processor: float, calls: float) -> Sequence[str]:
    """Put the figures into words."""
    rate, each = calls / wall, processor / calls * 1_000
    return f"{wall:.2f}", f"{processor:.2f}", f"{calls:,.0f}", f"{rate:,.0f}", f"{each:.2f}"


if __name__ == "__main__":
    main()
