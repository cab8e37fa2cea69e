"""Queues and subscriptions for tests, with defaults for what a test does not care about."""

import json
from dataclasses import replace

from monitor.brokers.aws.queues import Queue

REGION = "us-east-1"
ACCOUNT = "123456789012"


def arn(name: str, region: str = REGION, service: str = "sqs") -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{name}"


def queue(name: str, dead_letters: str | None = None, *, depth: float = 0.0, **changes: object) -> Queue:
    """A queue of this name; `dead_letters` is the name of its dead-letter queue, or an ARN."""
    target = dead_letters if dead_letters is None or dead_letters.startswith("arn:") else arn(dead_letters)
    made = Queue(
        name=name,
        url=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}",
        arn=arn(name),
        visible=depth,
        in_flight=0.0,
        delayed=0.0,
        retention=345_600.0,
        visibility_timeout=30.0,
        created_at=50.0,
        dead_letter_arn=target,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def by_name(*queues: Queue) -> dict[str, Queue]:
    return {one.name: one for one in queues}


def policy(*statements: dict[str, object]) -> str:
    """An access policy with these statements; what they do not say is as SNS's documentation tells one to write it."""
    base = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    return json.dumps({"Version": "2012-10-17", "Statement": [base | it for it in statements]})
