"""What the feeder says of queues and filters. LocalStack's objects are stood in for by plain ones."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stack.aws import feeder
from stack.aws.feeder import Counts, QueueAges, Series, filter_reason, oldest_message


@dataclass
class Queue:
    """A standard queue as LocalStack holds it."""

    name: str = "orders"
    inflight: dict[Any, Any] = field(default_factory=dict)
    delayed: list[Any] = field(default_factory=list)
    visible: Any = field(default_factory=lambda: SimpleNamespace(queue=[]))
    mutex: threading.RLock = field(default_factory=threading.RLock)


def message(created: float, *, deleted: bool = False) -> Any:
    return SimpleNamespace(created=created, deleted=deleted)


class Key:
    """LocalStack keeps messages in flight as the keys of a dictionary."""

    def __init__(self, created: float) -> None:
        self.created, self.deleted = created, False


@pytest.mark.parametrize("where", ["visible", "delayed", "inflight"])
def test_the_oldest_message_may_be_visible_delayed_or_in_flight(where: str) -> None:
    queue = Queue()
    queue.visible.queue.append(message(50))
    if where == "visible":
        queue.visible.queue.append(message(10))
    elif where == "delayed":
        queue.delayed.append(message(10))
    else:
        queue.inflight[Key(10)] = None
    assert oldest_message(queue) == 10


def test_a_deleted_message_has_no_age_and_an_empty_queue_has_none() -> None:
    queue = Queue()
    queue.visible.queue.append(message(10, deleted=True))
    assert oldest_message(queue) is None


def test_the_groups_of_a_fifo_queue_are_looked_into() -> None:
    queue: Any = Queue()
    queue.message_groups = {"a": SimpleNamespace(messages=[message(20)]), "b": SimpleNamespace(messages=[message(5)])}
    assert oldest_message(queue) == 5


def test_the_age_of_an_empty_queue_is_said_at_once_and_then_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    series = Series("0", "eu", "AWS/SQS", "QueueName", "orders", feeder.AGE, "Seconds")
    queue, ages = Queue(), QueueAges()
    monkeypatch.setattr(feeder, "_queues", lambda: iter([(series, queue)]))
    assert ages.take(100.0) == {series: 0.0}
    assert ages.take(105.0) == {}
    queue.visible.queue.append(message(103))
    assert ages.take(110.0) == {series: 7.0}
    assert ages.take(115.0) == {series: 12.0}
    queue.visible.queue.clear()
    assert ages.take(120.0) == {series: 0.0}
    assert ages.take(185.0) == {series: 0.0}


def test_counts_are_given_once() -> None:
    series = Series("0", "eu", "AWS/SNS", "TopicName", "orders", "NumberOfMessagesPublished", "Count")
    counts = Counts()
    counts.add(series, 2)
    counts.add(series, 3)
    assert counts.take() == {series: 5}
    assert counts.take() == {}


@pytest.mark.parametrize(
    ("scope", "attributes", "body", "reason"),
    [
        ("MessageAttributes", {"eventType": {}}, "x", "MessageAttributes"),
        ("MessageAttributes", {}, "x", "NoMessageAttributes"),
        ("MessageBody", {}, '{"a": 1}', "MessageBody"),
        ("MessageBody", {}, "not JSON", "InvalidMessageBody"),
        ("MessageBody", {}, "[1]", "InvalidMessageBody"),
    ],
)
def test_a_filtered_notification_has_the_reason_that_aws_would_name(
    scope: str, attributes: dict[str, object], body: str, reason: str
) -> None:
    published = SimpleNamespace(message_attributes=attributes, message_content=lambda _: body)
    assert filter_reason(published, {"FilterPolicyScope": scope, "Protocol": "sqs"}) == reason
