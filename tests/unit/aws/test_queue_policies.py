from typing import Any

import pytest

from monitor.brokers.aws.queue_policies import lets_in
from tests.unit.aws.builders import arn, policy

QUEUE, TOPIC = arn("orders"), arn("events", service="sns")
OTHER = {"Condition": {"ArnEquals": {"aws:SourceArn": arn("another", service="sns")}}}
DENY = {"Effect": "Deny"}


def allowed(*statements: dict[str, Any]) -> bool:
    return lets_in(policy(*statements), QUEUE, TOPIC)


def test_without_a_policy_sns_does_not_get_in() -> None:
    assert not lets_in("", QUEUE, TOPIC)


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"Principal": "*"},
        {"Principal": {"AWS": ["*"]}},
        {"Principal": {"Service": ["events.amazonaws.com", "sns.us-east-1.amazonaws.com"]}},
        {"Action": ["SQS:GetQueueUrl", "SQS:Send*"], "Resource": arn("ord*")},
        {"Condition": {"ArnLike": {"aws:SourceArn": arn("eve*", service="sns")}}},
        {"Condition": {"StringEquals": {"AWS:SourceAccount": [TOPIC.split(":")[4], "1"]}}},
    ],
)
def test_a_statement_that_names_sns_and_the_topic_lets_it_in(statement: dict[str, Any]) -> None:
    assert allowed(statement)


@pytest.mark.parametrize(
    "statement",
    [
        OTHER,
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "SQS:*"},  # what each queue has
        {"Principal": {"Service": "events.amazonaws.com"}},
        {"Action": "sqs:ReceiveMessage"},
        {"Resource": arn("payments")},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}},
        {"Condition": {"StringEquals": {"aws:SourceArn": arn("eve*", service="sns")}}},  # no wildcards there
    ],
)
def test_a_statement_about_somebody_or_something_else_does_not(statement: dict[str, Any]) -> None:
    assert not allowed(statement)
    assert allowed(statement, {})


def test_what_is_denied_is_refused_whatever_is_allowed() -> None:
    assert not allowed({}, DENY)
    assert allowed({}, DENY | OTHER)


@pytest.mark.parametrize(
    "doubtful", [{"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, {"NotAction": "sqs:DeleteQueue"}]
)
def test_what_cannot_be_judged_is_neither_taken_for_a_mistake_nor_for_a_denial(doubtful: dict[str, Any]) -> None:
    assert allowed(doubtful)
    assert allowed({}, DENY | doubtful)


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": "x"}'])
def test_a_text_that_is_no_policy_raises_nothing(text: str) -> None:
    assert lets_in(text, QUEUE, TOPIC) in (True, False)
