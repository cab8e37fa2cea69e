import pytest

from monitor.brokers.aws.queues import AllowPolicy, literal_prefix, name_of, parse_queue
from monitor.config import Filter
from monitor.errors import BadAnswer

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/orders"
ATTRIBUTES = {
    "QueueArn": "arn:aws:sqs:us-east-1:123456789012:orders",
    "ApproximateNumberOfMessages": "7",
    "ApproximateNumberOfMessagesNotVisible": "2",
    "ApproximateNumberOfMessagesDelayed": "1",
    "MessageRetentionPeriod": "345600",
    "VisibilityTimeout": "30",
    "CreatedTimestamp": "1795491532",
}


def test_attributes_are_read_as_numbers() -> None:
    queue = parse_queue(URL, ATTRIBUTES)
    assert (queue.name, queue.visible, queue.in_flight, queue.delayed, queue.depth) == ("orders", 7.0, 2.0, 1.0, 10.0)
    assert (queue.dead_letter_arn, queue.max_receive_count, queue.allow) == (None, None, AllowPolicy())


def test_policies_are_read_with_the_receive_count_as_number_or_text() -> None:
    redrive = '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dlq", "maxReceiveCount": "5"}'
    allow = '{"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:sqs:us-east-1:123456789012:a"]}'
    queue = parse_queue(URL, {**ATTRIBUTES, "RedrivePolicy": redrive, "RedriveAllowPolicy": allow})
    assert queue.max_receive_count == 5.0
    assert queue.allow.allows("arn:aws:sqs:us-east-1:123456789012:a")
    assert not queue.allow.allows("arn:aws:sqs:us-east-1:123456789012:b")


@pytest.mark.parametrize("broken", [{"VisibilityTimeout": "soon"}, {"RedrivePolicy": "{"}, {"RedrivePolicy": "[1]"}])
def test_attributes_that_cannot_be_read_are_an_error_and_not_zero(broken: dict[str, str]) -> None:
    with pytest.raises(BadAnswer):
        parse_queue(URL, {**ATTRIBUTES, **broken})


def test_a_missing_attribute_is_an_error_and_not_zero() -> None:
    with pytest.raises(BadAnswer, match="ApproximateNumberOfMessages"):
        parse_queue(URL, {k: v for k, v in ATTRIBUTES.items() if k != "ApproximateNumberOfMessages"})


def test_a_name_is_the_end_of_a_url_or_an_arn() -> None:
    assert name_of(URL) == name_of("arn:aws:sqs:us-east-1:123456789012:orders") == "orders"


@pytest.mark.parametrize(
    ("include", "prefix"),
    [
        (["*"], ""),
        (["orders-*"], "orders-"),
        (["orders-a*", "orders-b*"], "orders-"),
        (["a*", "b*"], ""),
        (["x?y"], "x"),
    ],
)
def test_what_all_wanted_names_begin_with_is_left_to_the_service(include: list[str], prefix: str) -> None:
    assert literal_prefix(Filter(include=include)) == prefix
