"""Redrives SQS dead letters while the process that does it is killed again and again; counts at the target.

    python -m benchmarks.soak.sqs_redrive --endpoint URL [--messages 20000] [--kills 10]

Nothing may be lost, and no more may be doubled than the plan said for each interruption. Messages of a killed process
come back after their visibility, which is short here so that the proof does not wait.
"""

import argparse
import contextlib
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from benchmarks.soak.jobs import carry_out
from monitor.brokers.aws.redrive import AwsRedriveBus
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.letters import Job, PlanRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
CLUSTER = "aws"
JOB = "soak"
DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Proof:
    """What was counted: `unique` of the messages at the target, `doubled` beyond these, `stayed` in the queue."""

    messages: int
    kills: int
    unique: int
    doubled: int
    stayed: int
    allowed: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Say whether nothing was lost, and no more doubled than the plan said."""
        return self.unique == self.messages and not self.stayed and self.doubled <= self.allowed


def main() -> None:
    """Run the proof, or, as its own child, the redrive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--visibility", type=int, default=8)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.endpoint, asked.work, asked.visibility)
        return
    proof = prove(asked.endpoint, asked.messages, asked.kills, asked.visibility)
    table = Table(title="SQS redrive, killed with -9")
    for heading in ("messages", "kills", "arrived", "lost", "doubled", "allowed", "stayed", "seconds", "holds"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{proof.messages:,}", str(proof.kills), f"{proof.unique:,}", f"{proof.messages - proof.unique:,}",
        str(proof.doubled), str(proof.allowed), str(proof.stayed), f"{proof.seconds:.0f}", str(proof.holds),
    )  # fmt: skip
    Console().print(table)
    sys.exit(0 if proof.holds else 1)


def prove(endpoint: str, messages: int, kills: int, visibility: int, step: int = 80) -> Proof:
    """Fill a dead-letter queue, redrive it with so many kills, and count."""
    began = time.monotonic()
    with open_client(endpoint) as sqs, two_queues(sqs) as (name, dead, target), tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        fill(sqs, dead, messages)
        allowed = write_plan(endpoint, name, folder, step) * kills
        for share in range(kills):
            run_child(endpoint, folder, visibility, kill_after=messages * (share + random.random()) / (kills + 1))
        run_child(endpoint, folder, visibility, kill_after=None)
        arrived = Counter(drain(sqs, target))
        stayed = len(list(drain(sqs, dead)))
    seconds = time.monotonic() - began
    return Proof(messages, kills, len(arrived), arrived.total() - len(arrived), stayed, allowed, seconds)


@contextlib.contextmanager
def open_client(endpoint: str) -> "Iterator[SQSClient]":
    """Give a client of the stand-in."""
    client = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(max_pool_connections=16),
    )
    with contextlib.closing(client):
        yield client


@contextlib.contextmanager
def two_queues(sqs: "SQSClient") -> Iterator[tuple[str, str, str]]:
    """Make a source with its dead-letter queue; give the latter's name and both URLs, and remove them at the end."""
    prefix = f"soak-{secrets.token_hex(4)}"
    dead = sqs.create_queue(QueueName=f"{prefix}-dlq")["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
        source = sqs.create_queue(QueueName=prefix, Attributes={"RedrivePolicy": policy})["QueueUrl"]
        try:
            yield f"{prefix}-dlq", dead, source
        finally:
            sqs.delete_queue(QueueUrl=source)
    finally:
        sqs.delete_queue(QueueUrl=dead)


def fill(sqs: "SQSClient", url: str, messages: int, padding: str = "") -> None:
    """Send numbered messages."""

    def send(first: int) -> None:
        numbers = range(first, min(first + 10, messages))
        entries = [{"Id": str(n), "MessageBody": f"message {n}{padding}"} for n in numbers]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(0, messages, 10)))


def drain(sqs: "SQSClient", url: str) -> Iterator[str]:
    """Yield the bodies of all messages, until a queue says three times that it has no more."""
    empty = 0
    while empty < 3:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        empty = 0 if found else empty + 1
        if found:
            entries = [{"Id": str(n), "ReceiptHandle": it["ReceiptHandle"]} for n, it in enumerate(found)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]
        yield from (it["Body"] for it in found)


def write_plan(endpoint: str, queue: str, folder: Path, step: int) -> int:
    """Survey the queue, keep what the children need, and return how many an interruption may double."""
    bus = open_bus(endpoint, 8)
    try:
        survey = bus.survey(queue, PlanRequest(f"{CLUSTER}/{queue}"), time.monotonic() + DEADLINE_SECONDS)
    finally:
        bus.close()
    if survey.blockers:
        raise SystemExit(f"the plan cannot be carried out: {survey.blockers}")
    plan = {"queue": queue, "target": survey.target, "bounds": survey.bounds, "count": survey.count, "step": step}
    (folder / "plan.json").write_text(json.dumps(plan))
    return survey.max_duplicates_per_interruption


def run_child(endpoint: str, folder: Path, visibility: int, kill_after: float | None) -> None:
    """Redrive in a process of its own; kill it once it has told of so many messages."""
    options = ("--endpoint", endpoint, "--work", str(folder), "--visibility", str(visibility))
    command = (sys.executable, "-m", "benchmarks.soak.sqs_redrive", *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as child:
        for line in child.stdout or ():
            if kill_after is not None and int(line) >= kill_after:
                time.sleep(random.random() * 0.05)  # anywhere in the next step
                child.kill()
                break
        code = child.wait()
    if kill_after is None and code != 0:
        raise SystemExit(f"the redrive ended with {code}")


def work(endpoint: str, folder: Path, visibility: int) -> None:
    """Carry out the plan, or go on with it, and tell after each step how many the journal counts as sent."""
    plan = json.loads((folder / "plan.json").read_text())
    job = Job(JOB, PlanRequest(f"{CLUSTER}/{plan['queue']}"), plan["queue"], plan["target"], plan["bounds"])
    with contextlib.closing(open_bus(endpoint, visibility)) as bus:
        carry_out(bus, job, plan["count"], folder, Clock(), plan["step"], lambda sent: print(sent, flush=True))


def open_bus(endpoint: str, visibility: int) -> AwsRedriveBus:
    """Make the bus for the stand-in."""
    config = AwsCluster(name=CLUSTER, kind="aws", region=REGION, endpoint_url=endpoint)
    return AwsRedriveBus(config, [], Clock(), visibility)


if __name__ == "__main__":
    main()
