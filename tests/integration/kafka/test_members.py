"""Who consumes right now, asked of real brokers."""

import secrets
from contextlib import closing

import pika
import pytest
from pydantic import SecretStr

from monitor.brokers.members import read_members
from monitor.clock import Clock
from monitor.config import AwsCluster, KafkaCluster, RabbitCluster
from monitor.errors import BrokerError, Unreachable
from monitor.model import Subscription, System
from stack.state import Endpoints
from tests.integration.kafka.playground import Playground
from tests.waiting import wait_for

SECONDS = 15.0


def test_the_members_of_a_group_are_told_with_the_partitions_that_each_owns(kafka: Playground) -> None:
    topic, group = kafka.topic("t", partitions=3), kafka.name("g")
    cluster = KafkaCluster(name="k", kind="kafka", bootstrap_servers=kafka.bootstrap)
    it = Subscription("k/g/t", System.KAFKA, "k", topic, group)
    assert read_members(cluster, it, Clock(), SECONDS) == []  # a group that is not there has none
    with closing(kafka.consumer(group, [topic], **{"client.id": "mailer <b>"})) as consumer:
        wait_for(lambda: consumer.poll(0.05) is None and len(consumer.assignment()) == 3, "an assignment")
        (member,) = read_members(cluster, it, Clock(), SECONDS) or ()
    assert (member.client, member.owns, member.owns_elsewhere) == ("mailer <b>", ("0", "1", "2"), 0)
    assert member.host == "127.0.0.1"


def test_the_consumers_of_a_queue_are_told(endpoints: Endpoints) -> None:
    rabbitmq, queue = endpoints.rabbitmq, f"members {secrets.token_hex(4)}/é"
    cluster = RabbitCluster(name="r", kind="rabbitmq", management_url=SecretStr(rabbitmq.management))
    it = Subscription("r/q", System.RABBITMQ, "r", queue, queue, scope={"vhost": "/", "queue": queue})
    with closing(pika.BlockingConnection(pika.URLParameters(rabbitmq.amqp))) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, auto_delete=True)
        channel.basic_consume(queue, lambda *_: None, consumer_tag="mailer-1")
        # The management API learns of it with its next round of statistics.
        wait_for(lambda: [m.name for m in read_members(cluster, it, Clock(), SECONDS) or ()] == ["mailer-1"], "it")


def test_what_cannot_be_asked_is_an_error_and_what_no_bus_tells_is_not_empty() -> None:
    away = KafkaCluster(name="k", kind="kafka", bootstrap_servers="127.0.0.1:9")
    it = Subscription("k/g/t", System.KAFKA, "k", "t", "g")
    with pytest.raises(BrokerError) as caught:
        read_members(away, it, Clock(), 10.0)
    assert isinstance(caught.value, Unreachable)
    assert read_members(AwsCluster(name="a", kind="aws", region="us-east-1"), it, Clock(), 1.0) is None
