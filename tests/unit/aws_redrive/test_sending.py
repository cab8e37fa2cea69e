"""What is said of a message whose answer is missing, late or a refusal.

The client is a fake: lost answers, throttling and failures in the middle of a batch cannot be provoked at the stand-in.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from botocore import exceptions as boto

from monitor.brokers.aws import sending
from monitor.brokers.aws.messages import Limits, read_message
from monitor.brokers.aws.routing import Router, Target
from monitor.brokers.aws.sending import Sender
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.errors import Throttled, Unreachable
from monitor.letters import Job, Outgoing, PlanRequest, SendResult

Answer = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]


def taken(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"Successful": [{"Id": it["Id"], "MessageId": f"new-{it['Id']}"} for it in entries]}


def failing(error: Exception) -> Answer:
    def answer(_: Sequence[dict[str, Any]]) -> dict[str, Any]:
        raise error

    return answer


def refused(code: str, status: int = 400) -> Answer:
    response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return failing(boto.ClientError(response, "SendMessageBatch"))  # type: ignore[arg-type]


def partly(number: int, *, sender_fault: bool) -> Answer:
    def answer(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        failed = {"Id": str(number), "SenderFault": sender_fault, "Code": "InternalError", "Message": "no"}
        return {**taken([it for it in entries if it["Id"] != str(number)]), "Failed": [failed]}

    return answer


NO_ANSWER = failing(boto.ReadTimeoutError(endpoint_url="http://x"))
NO_CONNECTION = failing(boto.EndpointConnectionError(endpoint_url="http://x"))
BROKEN = failing(boto.ConnectionClosedError(endpoint_url="http://x"))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_FIRST_PAUSE_SECONDS", 0.0)


class ScriptedClient:
    """Answers calls one after the other; the last answer again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.calls = list(answers), list[list[str]]()

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([it["MessageBody"] for it in Entries])
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(Entries)


class OneTarget(Router):
    def __init__(self, fifo: bool) -> None:
        self.target = Target("work", "http://work", Limits(fifo))

    def target_of(self, message: object) -> Target:
        return self.target


def message(number: int, group: str = "g") -> Outgoing:
    received = {"MessageId": f"m{number}", "Body": f"b{number}", "Attributes": {"MessageGroupId": group}}
    return Outgoing(read_message(received, 60.0), f"r{number}", 1)  # type: ignore[arg-type]


@contextmanager
def workers() -> Iterator[Workers]:
    crew = Workers(4, Clock())
    yield crew
    crew.close()


def send(client: ScriptedClient, count: int = 3, *, fifo: bool = False, held: bool = True) -> list[SendResult]:
    job = Job("j", PlanRequest("aws/dlq"), "dlq", "work", {})
    sender = Sender(client, OneTarget(fifo), job, Clock())  # type: ignore[arg-type]
    hold_on = frozenset if held else lambda _: frozenset[str]()
    with workers() as crew:
        return sender.send([message(n) for n in range(count)], crew, hold_on, time.monotonic() + 5)


@pytest.mark.parametrize("lost", [NO_ANSWER, BROKEN, refused("InternalFailure", 500)])
def test_a_missing_answer_is_not_known_and_a_standard_queue_is_not_asked_again(lost: Answer) -> None:
    client = ScriptedClient(lost)
    assert [(it.confirmed, it.known) for it in send(client)] == [(False, False)] * 3
    assert len(client.calls) == 1


def test_a_fifo_queue_is_asked_again_under_the_same_deduplication_ids() -> None:
    client = ScriptedClient(NO_ANSWER, taken)
    assert all(it.confirmed for it in send(client, fifo=True))
    assert client.calls[0] == client.calls[1]


def test_after_a_batch_of_which_nobody_knows_the_rest_of_a_fifo_lane_waits() -> None:
    client = ScriptedClient(NO_ANSWER)
    results = send(client, 15, fifo=True)
    assert [(it.confirmed, it.known) for it in results] == [(False, False)] * 15
    assert "b14" not in {body for call in client.calls for body in call}


@pytest.mark.parametrize(
    ("answer", "error"), [(refused("ThrottlingException"), Throttled), (NO_CONNECTION, Unreachable)]
)
def test_nothing_sent_at_all_is_an_error_and_no_result(answer: Answer, error: type[Exception]) -> None:
    with pytest.raises(error):
        send(ScriptedClient(answer))


def test_a_call_that_was_throttled_is_made_again() -> None:
    client = ScriptedClient(refused("RequestThrottled"), taken)
    assert all(it.confirmed for it in send(client))
    assert len(client.calls) == 2


def test_a_refusal_for_good_costs_only_its_message() -> None:
    client = ScriptedClient(partly(1, sender_fault=True))
    results = send(client)
    assert [(it.confirmed, it.known) for it in results] == [(True, True), (False, True), (True, True)]
    assert results[1].reason == "SQS refused it: no"
    assert results[0].at_target == "work/new-0"
    assert len(client.calls) == 1


def test_what_sqs_failed_at_is_sent_again_alone() -> None:
    client = ScriptedClient(partly(1, sender_fault=False), taken)
    assert all(it.confirmed for it in send(client))
    assert client.calls[1] == ["b1"]


def test_a_message_that_a_later_one_of_its_group_has_overtaken_stays_behind() -> None:
    client = ScriptedClient(partly(1, sender_fault=False), taken)
    results = send(client, fifo=True)
    assert [it.confirmed for it in results] == [True, False, True]
    assert "out of order" in results[1].reason
    assert len(client.calls) == 1


def test_a_batch_that_is_too_long_by_sqs_own_count_is_halved() -> None:
    client = ScriptedClient(refused("AWS.SimpleQueueService.BatchRequestTooLong"), taken)
    assert all(it.confirmed for it in send(client, 4))
    assert [len(call) for call in client.calls] == [4, 2, 2]


def test_what_is_not_surely_in_the_hand_is_not_sent() -> None:
    client = ScriptedClient(taken)
    assert [(it.confirmed, it.known) for it in send(client, held=False)] == [(False, True)] * 3
    assert client.calls == []
