"""The AWS stand-in of the stack, with names of one's own and a clean-up."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from monitor.brokers.aws.collector import AwsCollector
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.memory import FORGETFUL, Memory
from monitor.model import DeadLetterQueue, Snapshot, Subscription, Table
from stack.state import Endpoints

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
Collect = Callable[..., Snapshot]


@dataclass(frozen=True)
class Aws:
    """Clients of the stand-in, and names that nobody else uses."""

    url: str
    prefix: str
    sqs: "SQSClient"
    sns: "SNSClient"
    cloudwatch: "CloudWatchClient"

    def name(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def make_queue(self, name: str, dead_letters: str | None = None, receives: int = 1, **attributes: str) -> str:
        """Make a queue, and return its URL. `dead_letters` is the name of its dead-letter queue."""
        if dead_letters:
            attributes["RedrivePolicy"] = redrive_policy(self.arn(dead_letters), receives)
        made = self.sqs.create_queue(QueueName=self.name(name), Attributes=attributes)  # type: ignore[arg-type]
        return made["QueueUrl"]

    def set_attribute(self, url: str, name: str, value: str) -> None:
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value})  # type: ignore[dict-item]

    def arn(self, name: str, region: str = REGION) -> str:
        return f"arn:aws:sqs:{region}:000000000000:{self.name(name)}"

    def collector(self, clock: Clock | None = None, memory: Memory = FORGETFUL, **changes: Any) -> AwsCollector:
        """Make a collector that watches what bears the prefix."""
        watched = {"include": [f"{self.prefix}*"]}
        config = {
            "name": "cloud",
            "kind": "aws",
            "region": REGION,
            "endpoint_url": self.url,
            "queues": watched,
            "topics": watched,
            "cloudwatch": {"enabled": False},
            **changes,
        }
        return AwsCollector(AwsCluster.model_validate(config), [], clock or Clock(), memory)

    def collect(self, **changes: Any) -> Snapshot:
        """Read once, by a collector that is made for it."""
        with contextlib.closing(self.collector(**changes)) as collector:
            return collect(collector)

    def remove(self) -> None:
        for topic in self.sns.get_paginator("list_topics").paginate().search("Topics[].TopicArn"):
            if topic.rpartition(":")[2].startswith(self.prefix):
                for subscription in self.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
                    if subscription["SubscriptionArn"].startswith("arn:"):
                        self.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
                self.sns.delete_topic(TopicArn=topic)
        pages = self.sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=self.prefix, PaginationConfig={"PageSize": 1000}
        )
        in_parallel(lambda url: self.sqs.delete_queue(QueueUrl=url), [u for p in pages for u in p.get("QueueUrls", [])])


def redrive_policy(target_arn: str, receives: int = 1) -> str:
    return json.dumps({"deadLetterTargetArn": target_arn, "maxReceiveCount": receives})


def in_parallel(call: Callable[[str], object], values: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, values))


def collect(collector: AwsCollector, seconds: float = 30.0) -> Snapshot:
    return collector.collect(time.monotonic() + seconds)


def by_queue(snapshot: Snapshot) -> dict[str, Subscription]:
    return {it.destination: it for it in snapshot.subscriptions}


def dead_by_queue(snapshot: Snapshot) -> dict[str, DeadLetterQueue]:
    return {it.queue: it for it in snapshot.dead_letters}


def rows(table: Table, *families: str) -> dict[tuple[str, ...], Any]:
    """Return the values by label values: one family's number, or a tuple of several."""
    keys = zip(*(label.decode() for label in table.labels), strict=True)
    columns = [table.columns[family].tolist() for family in families]
    values = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
    return dict(zip(keys, values, strict=True))


@contextlib.contextmanager
def open_aws(url: str) -> Iterator[Aws]:
    session = boto3.Session("test", "test", region_name=REGION)
    with contextlib.ExitStack() as stack:
        aws = Aws(
            url,
            f"awst-{secrets.token_hex(4)}-",
            sqs=stack.enter_context(contextlib.closing(session.client("sqs", endpoint_url=url))),
            sns=stack.enter_context(contextlib.closing(session.client("sns", endpoint_url=url))),
            cloudwatch=stack.enter_context(contextlib.closing(session.client("cloudwatch", endpoint_url=url))),
        )
        yield aws
        aws.remove()


@pytest.fixture
def aws(endpoints: Endpoints) -> Iterator[Aws]:
    """The stand-in, with a prefix of the test's own; what bears it is removed afterwards."""
    with open_aws(endpoints.aws) as opened:
        yield opened
