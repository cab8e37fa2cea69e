"""Queues with dead letters on the AWS stand-in, and the bus that redrives them."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from monitor.brokers.aws.redrive import AwsRedriveBus
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.letters import DeadMessage, Held, Job, Outgoing, PlanRequest, SendResult, Survey
from stack.state import Endpoints
from tests.integration.aws.conftest import REGION, Aws, open_aws

SECONDS = 60.0


def deadline() -> float:
    return time.monotonic() + SECONDS


@dataclass(frozen=True)
class Playground:
    """The stand-in, and a bus that hides messages in the hand for four seconds at a time."""

    aws: Aws
    bus: AwsRedriveBus

    def queues(self, **attributes: str) -> tuple[str, str]:
        """Make a dead-letter queue and its source; return the URLs. FIFO queues where an attribute says so."""
        suffix = ".fifo" if "FifoQueue" in attributes else ""
        dead = self.aws.make_queue(f"dlq{suffix}", None, 1, **attributes)
        return dead, self.aws.make_queue(f"work{suffix}", f"dlq{suffix}", 1000, **attributes)

    def name(self, url: str) -> str:
        return url.rpartition("/")[2]

    def send(self, url: str, bodies: Sequence[str], **fields: Any) -> list[str]:
        """Send messages and return their ids."""
        return [self.aws.sqs.send_message(QueueUrl=url, MessageBody=body, **fields)["MessageId"] for body in bodies]

    def receive(self, url: str, wanted: int, seconds: float = SECONDS) -> list[Mapping[str, Any]]:
        """Receive and delete until so many came or the time is over."""
        found: list[Mapping[str, Any]] = []
        until = time.monotonic() + seconds
        while len(found) < wanted and time.monotonic() < until:
            answer = self.aws.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1,
                MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
            )  # fmt: skip
            if messages := answer.get("Messages", []):
                found += messages
                gone = [{"Id": str(number), "ReceiptHandle": it["ReceiptHandle"]} for number, it in enumerate(messages)]
                self.aws.sqs.delete_message_batch(QueueUrl=url, Entries=gone)  # type: ignore[arg-type]
        return found

    def counts(self, url: str) -> tuple[int, int]:
        """Return how many messages are visible, and how many in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)  # type: ignore[arg-type]
        return tuple(int(found["Attributes"][name]) for name in names)  # type: ignore[index, return-value]

    def survey(self, url: str, **asked: Any) -> Survey:
        return self.bus.survey(self.name(url), PlanRequest(f"cloud/{self.name(url)}", **asked), deadline())

    def job(self, url: str, id_: str = "job", **asked: Any) -> Job:
        """Survey and make a job of it."""
        survey = self.survey(url, **asked)
        assert survey.blockers == ()
        request = PlanRequest(f"cloud/{self.name(url)}", **asked)
        return Job(id_, request, self.name(url), survey.target or "", survey.bounds)

    @contextlib.contextmanager
    def holding(self, job: Job) -> Iterator[Held]:
        held = self.bus.open(job, lambda _: None)
        try:
            yield held  # type: ignore[misc]
        finally:
            held.close()

    def redrive(self, url: str, limit: int = 80, **asked: Any) -> list[SendResult]:
        """Redrive everything, as a job does without its journal."""
        with self.holding(self.job(url, **asked)) as held:
            results: list[SendResult] = []
            while messages := held.take(limit, deadline()):
                sent = held.send([outgoing(it) for it in messages], deadline())
                results += sent
                gone = [it for it, result in zip(messages, sent, strict=True) if result.confirmed]
                assert all(held.remove(gone, deadline()))
            return results


def outgoing(message: DeadMessage, **changes: Any) -> Outgoing:
    return Outgoing(replace(message, **changes), f"id-{message.position}", 1)


def eventually(holds: Callable[[], bool], seconds: float = SECONDS) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def ground(endpoints: Endpoints) -> Iterator[Playground]:
    config = AwsCluster(name="cloud", kind="aws", region=REGION, endpoint_url=endpoints.aws)
    with open_aws(endpoints.aws) as aws, contextlib.closing(AwsRedriveBus(config, [], Clock(), visibility=4)) as bus:
        yield Playground(aws, bus)
