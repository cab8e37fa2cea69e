"""Names of their own for each module of these tests, on the shared brokers, and a clean-up after it."""

import contextlib
import secrets
from collections.abc import Iterator

import pika
import pytest
from botocore.exceptions import ClientError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from examples.event_flow.buses.aws import sns_client, sqs_client
from examples.event_flow.names import Endpoints, Names
from stack.state import Endpoints as StackEndpoints

SERVICES = ("notification", "inventory")


@pytest.fixture(scope="session")
def buses(endpoints: StackEndpoints) -> Endpoints:
    """Addresses of the real brokers, as the flow takes them."""
    return Endpoints(kafka=endpoints.kafka, amqp=endpoints.rabbitmq.amqp, aws=endpoints.aws)


@pytest.fixture(scope="module")
def names(buses: Endpoints) -> Iterator[Names]:
    """Names that nobody else uses; what bears them is removed afterwards."""
    names = Names(f"flow-{secrets.token_hex(4)}-")
    yield names
    remove_flow(buses, names)


def remove_flow(buses: Endpoints, names: Names) -> None:
    """Remove everything that a flow under these names has made on the brokers."""
    _remove_kafka(buses, names)
    _remove_rabbitmq(buses, names)
    _remove_aws(buses, names)


def _remove_kafka(buses: Endpoints, names: Names) -> None:
    admin = AdminClient({"bootstrap.servers": buses.kafka})
    groups = admin.delete_consumer_groups([names.kafka_group(service) for service in (*SERVICES, "ending")])
    topics = admin.delete_topics([names.kafka_topic, names.kafka_dead_letter_topic])
    for future in [*groups.values(), *topics.values()]:
        with contextlib.suppress(KafkaException):  # a test that failed early has not made all of them
            future.result()


def _remove_rabbitmq(buses: Endpoints, names: Names) -> None:
    with pika.BlockingConnection(pika.URLParameters(buses.amqp)) as connection:
        channel = connection.channel()
        for service in SERVICES:
            channel.queue_delete(names.queue(service))
            channel.queue_delete(names.dead_letter_queue(service))
        channel.exchange_delete(names.exchange)
        channel.exchange_delete(names.dead_letter_exchange)


def _remove_aws(buses: Endpoints, names: Names) -> None:
    sns, sqs = sns_client(buses.aws), sqs_client(buses.aws)
    with contextlib.closing(sns), contextlib.closing(sqs):
        topic_arn = sns.create_topic(Name=names.sns_topic)["TopicArn"]
        for subscription in sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]:
            sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        sns.delete_topic(TopicArn=topic_arn)
        for queue in (names.sqs_queue, names.sqs_dead_letter_queue):
            with contextlib.suppress(ClientError):
                sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
