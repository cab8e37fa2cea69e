import json
import struct

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message
from pika.spec import Basic

from examples.event_flow.buses import kafka, rabbitmq
from examples.event_flow.buses.aws import redelivery_seconds, unwrap
from examples.event_flow.handling import Failure, HandlingFailed
from examples.event_flow.schemas import MissingField


def failure(attempts: int = 3) -> Failure:
    cause = MissingField("data.total_cents is missing")
    error = HandlingFailed("inventory", cause)
    error.__cause__ = cause
    return Failure(error, attempts)


def record(headers: kafka.Headers, timestamp: tuple[int, int] = (TIMESTAMP_CREATE_TIME, 1_700_000_000_123)) -> Message:
    return Message("order-events", 4, 5_000_000_000, b"ord-1", b"{}", headers, None, timestamp)


def test_a_kafka_dead_letter_tells_origin_exception_and_attempts_as_spring_does() -> None:
    headers = kafka.dead_letter_headers(record([]), "inventory-group", failure())
    stacktrace = dict(headers).pop("kafka_dlt-exception-stacktrace")
    assert isinstance(stacktrace, bytes)
    assert b"MissingField: data.total_cents is missing" in stacktrace
    assert {name: value for name, value in headers if name != "kafka_dlt-exception-stacktrace"} == {
        "kafka_dlt-original-topic": b"order-events",
        "kafka_dlt-original-partition": bytes([0, 0, 0, 4]),
        "kafka_dlt-original-offset": bytes([0, 0, 0, 1, 0x2A, 0x05, 0xF2, 0x00]),
        "kafka_dlt-original-timestamp": struct.pack(">q", 1_700_000_000_123),
        "kafka_dlt-original-timestamp-type": b"CreateTime",
        "kafka_dlt-original-consumer-group": b"inventory-group",
        "kafka_dlt-exception-fqcn": b"examples.event_flow.handling.HandlingFailed",
        "kafka_dlt-exception-cause-fqcn": b"examples.event_flow.schemas.MissingField",
        "kafka_dlt-exception-message": b"inventory: data.total_cents is missing",
        "kafka_deliveryAttempt": bytes([0, 0, 0, 3]),
    }


def test_a_kafka_dead_letter_says_when_the_broker_gave_the_timestamp() -> None:
    headers = kafka.dead_letter_headers(record([], (TIMESTAMP_LOG_APPEND_TIME, 1)), "g", failure())
    assert dict(headers)["kafka_dlt-original-timestamp-type"] == b"LogAppendTime"


def test_a_second_death_on_kafka_replaces_the_first_and_keeps_all_other_headers() -> None:
    own: kafka.Headers = [("trace", b"\xff\x00"), ("trace", b"twice"), ("x-redrive-id", b"r1"), ("empty", None)]
    first = kafka.dead_letter_headers(record(own), "a-group", failure(attempts=1))
    second = kafka.dead_letter_headers(record(first), "b-group", failure(attempts=2))
    assert second[: len(own)] == own
    assert len(second) == len(first)
    assert dict(second)["kafka_dlt-original-consumer-group"] == b"b-group"
    assert dict(second)["kafka_deliveryAttempt"] == bytes([0, 0, 0, 2])


def test_a_rabbitmq_dead_letter_tells_origin_exception_and_attempts_and_keeps_other_headers() -> None:
    delivery = Basic.Deliver(exchange="order-events", routing_key="order.created")
    headers = rabbitmq.dead_letter_headers(
        {"x-redrive-id": "r1", "x-attempts": 9}, "inventory-queue", delivery, failure()
    )
    assert "MissingField" in headers.pop("x-exception-stacktrace")
    assert headers == {
        "x-redrive-id": "r1",
        "x-original-exchange": "order-events",
        "x-original-routingKey": "order.created",
        "x-original-queue": "inventory-queue",
        "x-exception-message": "inventory: data.total_cents is missing",
        "x-exception-fqcn": "examples.event_flow.schemas.MissingField",
        "x-attempts": 3,
    }


def test_a_rabbitmq_message_without_headers_gets_some() -> None:
    assert rabbitmq.dead_letter_headers(None, "q", Basic.Deliver(), failure())["x-original-queue"] == "q"


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (json.dumps({"Type": "Notification", "Message": '{"a": 1}'}), b'{"a": 1}'),
        (json.dumps({"Type": "Notification", "Message": '{"cut'}), b'{"cut'),
        ('{"event_id": "1"}', b'{"event_id": "1"}'),
        ("no JSON", b"no JSON"),
        ("[1]", b"[1]"),
    ],
)
def test_the_envelope_of_sns_is_taken_off_and_everything_else_left_as_it_is(body: str, payload: bytes) -> None:
    assert unwrap(body) == payload


def test_the_waits_of_sqs_double_up_to_the_visibility_timeout_and_end_with_the_last_receive() -> None:
    assert [redelivery_seconds(2, receives) for receives in range(1, 6)] == [2, 4, 8, 16, 0]
    assert [redelivery_seconds(20, receives) for receives in range(1, 6)] == [20, 30, 30, 30, 0]
