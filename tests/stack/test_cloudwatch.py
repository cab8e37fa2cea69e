"""The stand-in's CloudWatch gives back what the feeder says, series by series."""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from stack import Endpoints
from tests.stack.conftest import Until


@pytest.fixture(scope="module")
def clients(endpoints: Endpoints) -> Mapping[str, Any]:
    login = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-west-1"}
    return {
        name: boto3.client(name, endpoint_url=endpoints.aws, **login)  # type: ignore[call-overload]
        for name in ("sqs", "sns", "cloudwatch")
    }


@pytest.fixture(scope="module")
def flow(clients: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A topic and a queue that it filters for, a longer-named queue beside it; messages of each fate were sent."""
    sqs, sns = clients["sqs"], clients["sns"]
    name = f"stack-{uuid.uuid4().hex[:8]}"
    queues = [sqs.create_queue(QueueName=f"{name}{ending}")["QueueUrl"] for ending in ("", "-dlq")]
    arn = sqs.get_queue_attributes(QueueUrl=queues[0], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    policy = json.dumps({"eventType": ["OrderCreated"]})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": policy})
    redrive = json.dumps({"deadLetterTargetArn": f"{arn}-dlq"})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{arn}-gone", Attributes={"RedrivePolicy": redrive})
    for event in ("OrderCreated", "OrderCreated", "Refused"):
        attributes = {"eventType": {"DataType": "String", "StringValue": event}}
        sns.publish(TopicArn=topic, Message="{}", MessageAttributes=attributes)
    sns.publish_batch(
        TopicArn=topic, PublishBatchRequestEntries=[{"Id": str(number), "Message": "{}"} for number in range(2)]
    )
    yield name, topic
    sns.delete_topic(TopicArn=topic)
    for queue in queues:
        sqs.delete_queue(QueueUrl=queue)


def read(clients: Mapping[str, Any], namespace: str, dimension: str, resource: str, metric: str) -> list[float]:
    """The values of one series in the last minutes: the sum, for an age the maximum, of each minute."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = {"Namespace": namespace, "MetricName": metric, "Dimensions": [{"Name": dimension, "Value": resource}]}
    query = {"Metric": wanted, "Period": 60, "Stat": "Maximum" if "Age" in metric else "Sum"}
    answer = clients["cloudwatch"].get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": query}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
    )
    return [float(value) for value in answer["MetricDataResults"][0]["Values"]]


def test_every_notification_is_counted_once_for_what_became_of_it(
    clients: Mapping[str, Any], flow: tuple[str, str], until: Until
) -> None:
    expected = {
        "NumberOfMessagesPublished": 5,
        "NumberOfNotificationsDelivered": 2,
        "NumberOfNotificationsFailed": 5,
        "NumberOfNotificationsFilteredOut": 3,
        "NumberOfNotificationsFilteredOut-MessageAttributes": 1,
        "NumberOfNotificationsFilteredOut-NoMessageAttributes": 2,
        "NumberOfNotificationsRedrivenToDlq": 5,
        "NumberOfNotificationsFailedToRedriveToDlq": 0,
    }

    def counted() -> dict[str, float]:
        return {metric: sum(read(clients, "AWS/SNS", "TopicName", flow[0], metric)) for metric in expected}

    until(lambda: counted() == expected, f"{expected}")


def test_queues_whose_names_begin_alike_have_their_own_numbers(
    clients: Mapping[str, Any], flow: tuple[str, str], until: Until
) -> None:
    def sent(queue: str) -> float:
        return sum(read(clients, "AWS/SQS", "QueueName", queue, "NumberOfMessagesSent"))

    until(lambda: (sent(flow[0]), sent(f"{flow[0]}-dlq")) == (2, 5), "2 and 5 messages")


def test_a_queue_with_messages_has_an_age_that_grows(
    clients: Mapping[str, Any], flow: tuple[str, str], until: Until
) -> None:
    def ages() -> list[float]:
        return read(clients, "AWS/SQS", "QueueName", flow[0], "ApproximateAgeOfOldestMessage")

    until(lambda: max(ages(), default=0) > 0, "an age")
    first = max(ages())
    until(lambda: max(ages()) > first + 3, "an age that grows")
