"""What a consumer of SQS does with a batch, told by a queue made up here: one that goes away in the middle."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from examples.event_flow.buses import aws
from examples.event_flow.buses.base import BusAway
from examples.event_flow.handling import Failure, HandlingFailed, Pause
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome
from examples.event_flow.running import Contact, Stop

ENDPOINTS = Endpoints("127.0.0.1:1", "amqp://127.0.0.1:1/", "http://127.0.0.1:1")
FAILURE = Failure(HandlingFailed("notification", ValueError()), 1)


class Queue:
    """Holds one batch, and goes away at the deletion of the last message of it."""

    def __init__(self, receives: list[int]) -> None:
        self.batch = [
            {"Body": f"{n}", "ReceiptHandle": f"{n}", "Attributes": {"ApproximateReceiveCount": f"{it}"}}
            for n, it in enumerate(receives)
        ]
        self.hidden: list[tuple[int, int]] = []

    def get_queue_url(self, **_: Any) -> Any:
        return {"QueueUrl": "queue"}

    def receive_message(self, **_: Any) -> Any:
        return {"Messages": self.batch}

    def delete_message(self, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803
        if ReceiptHandle == self.batch[-1]["ReceiptHandle"]:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "DeleteMessage")

    def change_message_visibility(self, **_: Any) -> None:
        pass

    def change_message_visibility_batch(self, Entries: list[Any], **_: Any) -> None:  # noqa: N803
        self.hidden.append((len(Entries), Entries[0]["VisibilityTimeout"]))


class NoWait(Stop):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return True


def run(queue: Queue, handle: Callable[[bytes, Pause], Outcome | Failure], monkeypatch: Any) -> list[Outcome]:
    monkeypatch.setattr(aws, "sqs_client", lambda _: queue)
    stop, reported = NoWait(), list[Outcome]()
    consumer = aws.SqsConsumer(ENDPOINTS, Names(), stop, Contact("notification/aws"), 2, lambda: stop.now)
    with pytest.raises(BusAway):
        consumer.run(handle, reported.append)
    return reported


def test_what_was_settled_is_told_though_the_bus_goes_away_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts: Iterator[Outcome | Failure] = iter([Outcome.PROCESSED, FAILURE, FAILURE, Outcome.PROCESSED])
    reported = run(Queue([1, 2, aws.MAX_RECEIVES, 1]), lambda *_: next(verdicts), monkeypatch)
    assert reported == [Outcome.PROCESSED, Outcome.POSTPONED, Outcome.DEAD_LETTERED]


def test_a_hand_is_hidden_longer_only_when_half_of_its_time_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, pauses = Queue([1, 1]), iter([100, 0])

    def handle(_: bytes, pause: Pause) -> Outcome:
        for _number in range(next(pauses)):  # 25 s in all
            pause(0.25)
        return Outcome.PROCESSED

    run(queue, handle, monkeypatch)
    assert queue.hidden == [(2, aws.VISIBILITY_SECONDS + 1)]
