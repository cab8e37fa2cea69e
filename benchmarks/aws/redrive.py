"""Times the redrive of SQS dead letters beside loops of one thread and SQS' own move task, in one run.

    python -m benchmarks.aws.redrive --endpoint URL [--messages 4000]

One loop makes a call for each message, as the examples of the library do, the other one for ten. The stand-in is one
Python process and sets the pace of all: what as many threads as a redrive has reach with the same calls and without any
promise is its ceiling, and what a redrive reaches has to be seen beside that.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.soak.jobs import carry_out
from benchmarks.soak.sqs_redrive import CLUSTER, JOB, fill, open_bus, open_client, two_queues
from monitor.brokers.aws.access import WORKERS
from monitor.clock import Clock
from monitor.letters import Job, Mover, PlanRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Way = Callable[[str, "SQSClient", str, str, str], float | None]
"""Moves everything; returns the seconds where not all of the time counts."""

_DEADLINE = 60.0
_SLOWER = 5


def main() -> None:
    """Print a table of rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--messages", type=int, default=4_000)
    asked = parser.parse_args()
    ways: dict[str, Way] = {
        "one thread, one a call": loop_singly,
        "one thread, ten a call": loop,
        f"{WORKERS} threads, ten a call": loop_in_parallel,
        "native move task": move_natively,
        "redrive with journal": redrive,
    }
    messages = {way: asked.messages // (_SLOWER if way is loop_singly else 1) for way in ways.values()}
    rates = {name: measure(asked.endpoint, messages[way], way) for name, way in ways.items()}
    table = Table(title=f"{asked.messages:,} SQS messages of 100 bytes (one a call: {messages[loop_singly]:,})")
    for heading in ("way", "messages/s", "beside one a call", "beside ten a call", "beside the ceiling"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", *(f"{rate / other:.2f}" for other in list(rates.values())[:3]))
    Console(width=110).print(table)


def measure(endpoint: str, messages: int, way: Way) -> float:
    """Return messages a second, planning aside."""
    with open_client(endpoint) as sqs, two_queues(sqs) as (name, dead, source):
        fill(sqs, dead, messages, "x" * 90)
        began = time.perf_counter()
        told = way(endpoint, sqs, name, dead, source)
        seconds = told or time.perf_counter() - began
        names = ["ApproximateNumberOfMessages"]
        found = sqs.get_queue_attributes(QueueUrl=source, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        if int(found["ApproximateNumberOfMessages"]) != messages:
            raise SystemExit(f"{found} instead of {messages} arrived")
    return messages / seconds


def loop_singly(endpoint: str, sqs: "SQSClient", name: str, dead: str, source: str) -> None:
    """Receive, send and delete one by one."""
    while found := sqs.receive_message(QueueUrl=dead).get("Messages"):
        sqs.send_message(QueueUrl=source, MessageBody=found[0]["Body"])
        sqs.delete_message(QueueUrl=dead, ReceiptHandle=found[0]["ReceiptHandle"])


def loop(endpoint: str, sqs: "SQSClient", name: str, dead: str, source: str) -> None:
    """Receive, send and delete by tens, one call after the other."""
    while found := sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages"):
        numbered = [(str(number), it) for number, it in enumerate(found)]
        sqs.send_message_batch(QueueUrl=source, Entries=[{"Id": n, "MessageBody": it["Body"]} for n, it in numbered])
        entries = [{"Id": n, "ReceiptHandle": it["ReceiptHandle"]} for n, it in numbered]
        sqs.delete_message_batch(QueueUrl=dead, Entries=entries)  # type: ignore[arg-type]


def loop_in_parallel(endpoint: str, sqs: "SQSClient", name: str, dead: str, source: str) -> None:
    """Do the same on as many threads as a redrive has."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(loop, endpoint, sqs, name, dead, source) for _ in range(WORKERS)]:
            done.result()


def redrive(endpoint: str, sqs: "SQSClient", name: str, dead: str, source: str) -> float:
    """Redrive as a job does, with its journal; return the seconds from the plan on."""
    with tempfile.TemporaryDirectory() as made, contextlib.closing(open_bus(endpoint, 60)) as bus:
        request, clock = PlanRequest(f"{CLUSTER}/{name}"), Clock()
        survey = bus.survey(name, request, clock.monotonic() + _DEADLINE)
        began = time.perf_counter()
        carry_out(bus, Job(JOB, request, name, survey.target or "", survey.bounds), survey.count, Path(made), clock)
        return time.perf_counter() - began


def move_natively(endpoint: str, sqs: "SQSClient", name: str, dead: str, source: str) -> None:
    """Let SQS move everything."""
    request = PlanRequest(f"{CLUSTER}/{name}", native=True)
    with contextlib.closing(open_bus(endpoint, 60)) as bus:
        survey = bus.survey(name, request, time.monotonic() + _DEADLINE)
        task: Mover = bus.open(Job(JOB, request, name, survey.target or "", survey.bounds), lambda _: None)  # type: ignore[assignment]
        step = task.recover(time.monotonic() + _DEADLINE)
        while not step.finished:
            step = task.step(1_000, time.monotonic() + _DEADLINE)


if __name__ == "__main__":
    main()
