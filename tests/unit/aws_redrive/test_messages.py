"""What becomes of attributes, marks, sizes and groups on the way."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.aws.messages import (
    BATCH,
    MARKER,
    MOST_BYTES,
    Entry,
    Limits,
    Unsendable,
    job_of,
    pack,
    read_message,
    split_lanes,
    write_entry,
)
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header, Outcome, Outgoing

STANDARD = Limits(fifo=False)
FIFO = Limits(fifo=True)


def read(body: str = "b", attributes: dict[str, Any] | None = None, **system: str) -> DeadMessage:
    received = {"MessageId": "m-1", "Body": body, "MessageAttributes": attributes or {}, "Attributes": system}
    return read_message(received, retention=100.0)  # type: ignore[arg-type]


def write(
    message: DeadMessage, target: Limits = STANDARD, job: str = "j", *, strip: bool = False
) -> Entry | Unsendable:
    return write_entry(Outgoing(message, "r-1", 2), job, target, strip_failure_headers=strip)


def sendable(message: DeadMessage, target: Limits = STANDARD, job: str = "j", *, strip: bool = False) -> Entry:
    entry = write(message, target, job, strip=strip)
    assert isinstance(entry, Entry)
    return entry


def text(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def test_the_mark_of_an_earlier_redrive_is_shown_as_three_headers_and_renewed() -> None:
    marked = read(attributes={MARKER: text('{"id":"r-0","job":"old","count":1}'), "a": text("x")})
    assert {it.name: it.value for it in marked.headers} == {
        HEADER_ID: b"r-0", HEADER_JOB: b"old", HEADER_COUNT: b"1", "a": b"x",
    }  # fmt: skip
    assert job_of(marked) == "old"
    attributes = sendable(marked).fields["MessageAttributes"]
    assert set(attributes) == {"a", MARKER}
    assert json.loads(attributes[MARKER]["StringValue"]) == {"id": "r-1", "job": "j", "count": 2}


@pytest.mark.parametrize("value", ["mine", "[]", "{}", '{"id":"a"}', '{"id":"a","job":"b","count":"x"}'])
def test_somebody_elses_attribute_of_that_name_is_kept_and_the_message_skipped(value: str) -> None:
    message = read(attributes={MARKER: text(value)})
    assert message.headers == (Header(MARKER, value.encode(), "String"),)
    refused = write(message)
    assert isinstance(refused, Unsendable)
    assert refused.outcome == Outcome.SKIPPED


def test_nine_attributes_go_and_ten_do_not() -> None:
    many = {f"a{number}": text("x") for number in range(10)}
    assert isinstance(write(read(attributes=many)), Unsendable)
    del many["a0"]
    assert len(sendable(read(attributes=many)).fields["MessageAttributes"]) == 10


def test_failure_headers_go_only_where_that_was_asked_for() -> None:
    lambdas = {
        "RequestID": text("r"),
        "ErrorCode": text("500", "Number"),
        "ErrorMessage": text("boom"),
        "own": text("x"),
    }
    message = read(attributes=lambdas)
    assert (message.exception, message.exception_message) == ("500", "boom")
    assert set(sendable(message).fields["MessageAttributes"]) == {*lambdas, "own", MARKER}
    assert set(sendable(message, strip=True).fields["MessageAttributes"]) == {"own", MARKER}


def test_the_deduplication_id_is_the_jobs_own_and_the_same_each_time() -> None:
    message = read(MessageGroupId="g", MessageDeduplicationId="of the sender")
    first, again, other = (sendable(message, FIFO, job).fields["MessageDeduplicationId"] for job in ("j", "j", "k"))
    assert first == again != other
    assert "of the sender" not in first
    assert "MessageDeduplicationId" not in sendable(message).fields


def test_a_fifo_queue_needs_a_group() -> None:
    assert isinstance(write(read(), FIFO), Unsendable)


def test_size_counts_names_types_and_values_in_bytes() -> None:
    entry = sendable(read("ü" * 10, {"né": text("ä", "String.x")}))
    marker = '{"id":"r-1","job":"j","count":2}'
    assert entry.size == 20 + len("né".encode()) + len("String.x") + 2 + len(MARKER) + len("String") + len(marker)
    assert isinstance(write(read("x" * 100), Limits(False, 120)), Unsendable)


@pytest.mark.parametrize(
    "message",
    [read(""), replace(read(), value=b"\xff\xfe"), replace(read(), headers=(Header("a", b"", "String"),))],
)
def test_what_sqs_cannot_carry_is_refused_with_a_reason(message: DeadMessage) -> None:
    refused = write(message)
    assert isinstance(refused, Unsendable)
    assert refused.reason


def test_an_sns_envelope_says_which_subscription_failed() -> None:
    subscription = "arn:aws:sns:eu-west-1:1:orders:abc"
    envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:orders", "Message": "m"}
    envelope["UnsubscribeURL"] = f"https://sns/?Action=Unsubscribe&SubscriptionArn={subscription}"
    message = read(json.dumps(envelope))
    assert message.origin is not None
    assert message.origin.name == "orders"
    assert message.origin_detail["arn"] == subscription
    assert read('{"UnsubscribeURL": 3}').origin is None
    assert read('"UnsubscribeURL"').origin is None


def test_the_end_counts_from_the_first_enqueueing() -> None:
    message = read(SentTimestamp="50000", ApproximateReceiveCount="4")
    assert (message.enqueued_at, message.expires_at, message.deliveries) == (50.0, 150.0, 4)
    assert (read().enqueued_at, read().expires_at, read().deliveries) == (None, None, None)


@given(st.lists(st.integers(1, MOST_BYTES), max_size=60))
def test_batches_hold_ten_at_most_and_a_mebibyte_in_order(sizes: list[int]) -> None:
    batches = pack(sizes, lambda size: size)
    assert [size for batch in batches for size in batch] == sizes
    assert all(0 < len(batch) <= BATCH and sum(batch) <= MOST_BYTES for batch in batches)


@given(st.lists(st.integers(0, 5), max_size=80))
def test_a_group_stays_in_one_lane_and_in_order(groups: list[int]) -> None:
    entries = [
        sendable(replace(read(MessageGroupId=f"g{group}"), position=str(number)), FIFO)
        for number, group in enumerate(groups)
    ]
    lanes = split_lanes(entries, True, 3)
    assert len(lanes) <= 3
    for group in set(groups):
        homes = [lane for lane in lanes if any(it.group == f"g{group}" for batch in lane for it in batch)]
        assert len(homes) == 1
        found = [int(it.outgoing.message.position) for batch in homes[0] for it in batch if it.group == f"g{group}"]
        assert found == [number for number, of in enumerate(groups) if of == group]
