"""What real brokers give is in the catalogue, every column of it, and the families of their bus are filled."""

import contextlib
import secrets
import time
from collections.abc import Iterator

import pika
import pytest
from pydantic import SecretStr

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.brokers.registry import Collector
from monitor.clock import Clock
from monitor.config import Filter, RabbitCluster
from monitor.exposition.families import FAMILIES, Bus
from monitor.exposition.render import render_cluster
from monitor.model import ClusterView, Health, Status, Verdict
from stack.state import Endpoints, RabbitmqEndpoints
from tests.integration.aws.conftest import open_aws
from tests.integration.kafka.playground import Playground

PATIENCE_SECONDS = 30.0

# A group that has only ever committed assigns its partitions itself: nobody can say who owns them.
# It has moved once only, no transaction was ever open, and the probe is for those who ask for it.
KAFKA_LATER = {
    "kafka_consumer_group_unowned_lagging_partitions",
    "kafka_consumer_group_last_advance_timestamp_seconds",
    "kafka_consumer_group_stable_lag_messages",
    "kafka_partition_open_transaction_seconds",
} | {family.name for family in FAMILIES if family.name.startswith("kafka_probe_")}
# Absent until CloudWatch has settled datapoints, and without a budget.
AWS_LATER = {
    "cloudwatch_monthly_budget_dollars",
    "cloudwatch_newest_datapoint_timestamp_seconds",
    "sqs_queue_oldest_message_age_seconds",
} | {
    family.name
    for family in FAMILIES
    if family.name.startswith(("sqs_queue_", "sns_topic_")) and family.kind == "counter"
}


@pytest.fixture
def kafka(endpoints: Endpoints) -> Iterator[Collector]:
    """A collector of a group that is behind on one topic."""
    playground = Playground(endpoints.kafka)
    topic = playground.topic("events")
    playground.produce(topic, 10)
    playground.commit(playground.name("group"), topic, 4)
    with contextlib.closing(playground.collector()) as collector:
        yield collector
    playground.clean()


@pytest.fixture
def rabbitmq(endpoints: Endpoints) -> Iterator[Collector]:
    """A collector of a queue that is consumed, and from which a message was dead-lettered."""
    rabbit, prefix = endpoints.rabbitmq, f"metrics-{secrets.token_hex(4)}"
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(rabbit.amqp))) as connection:
        channel = connection.channel()
        dead, work = f"{prefix}-dead", f"{prefix}-work"
        channel.queue_declare(dead, durable=True)
        channel.queue_declare(
            work, durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
        )
        channel.basic_publish("", work, b"x")
        channel.basic_publish("", f"{prefix}-nowhere", b"x")
        method, _, _ = channel.basic_get(work)
        assert method is not None
        assert method.delivery_tag is not None
        channel.basic_reject(method.delivery_tag, requeue=False)
        with contextlib.closing(_rabbit_collector(rabbit, prefix)) as collector:
            collector.collect(time.monotonic() + PATIENCE_SECONDS)  # shares are of what is delivered between two looks
            channel.basic_publish("", work, b"x")
            channel.basic_consume(work, lambda *_: None)
            yield collector
        for queue in (dead, work):
            channel.queue_delete(queue)


def _rabbit_collector(rabbit: RabbitmqEndpoints, prefix: str) -> RabbitCollector:
    config = RabbitCluster(
        name="mail",
        kind="rabbitmq",
        amqp_url=SecretStr(rabbit.amqp),
        management_url=SecretStr(rabbit.management),
        prometheus_url=SecretStr(rabbit.prometheus),
        queues=Filter(include=[f"{prefix}*"]),
    )
    return RabbitCollector(config, [], Clock())


@pytest.fixture
def aws(endpoints: Endpoints) -> Iterator[Collector]:
    """A collector of a topic that feeds a queue with a dead-letter queue."""
    with open_aws(endpoints.aws) as cloud:
        cloud.make_queue("dead")
        cloud.make_queue("work", dead_letters="dead", receives=5)
        topic = cloud.sns.create_topic(Name=cloud.name("events"))["TopicArn"]
        cloud.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=cloud.arn("work"))
        with contextlib.closing(cloud.collector(cloudwatch={"enabled": True})) as collector:
            yield collector


@pytest.mark.parametrize(
    ("name", "bus", "later"),
    [("kafka", Bus.KAFKA, KAFKA_LATER), ("rabbitmq", Bus.RABBITMQ, set()), ("aws", Bus.AWS, AWS_LATER)],
)
def test_a_collector_fills_the_families_of_its_bus_and_no_others(
    name: str, bus: Bus, later: set[str], request: pytest.FixtureRequest
) -> None:
    collector: Collector = request.getfixturevalue(name)
    wanted = {family.name for family in FAMILIES if family.bus is bus} - later
    deadline = time.monotonic() + PATIENCE_SECONDS
    missing = wanted
    while missing and time.monotonic() < deadline:
        snapshot = collector.collect(time.monotonic() + PATIENCE_SECONDS)
        verdicts = (Verdict(Status.UNKNOWN, "", 0.0),) * len(snapshot.subscriptions)
        text = render_cluster(ClusterView(Health(name, snapshot.kind, 15.0, True), snapshot, verdicts))
        assert text.mistakes == frozenset()
        missing = wanted - set(text.blocks)
        time.sleep(0.05)

    assert missing == set()
    assert {"subscription_status", "subscription_info"} <= set(text.blocks)
