"""The whole flow on real brokers, small: a fixed seed, every order published twice, a third of them poisonous."""

import json
import struct
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import Any

import pika
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Message as Record

from examples.event_flow import inventory, notification, orders, payment
from examples.event_flow.buses.aws import sns_client, sqs_client, unwrap
from examples.event_flow.events import ORDER_CREATED, event_id
from examples.event_flow.flow import Flow
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.poison import POISONS
from examples.event_flow.running import Crew, Stop
from examples.event_flow.setup import set_up_all
from examples.event_flow.shop import Purchase, purchases

ORDERS, SEED, POISON_SHARE = 24, 11, 0.34
DEADLINE_SECONDS = 40.0
PURCHASES = [*islice(purchases(SEED, POISON_SHARE), ORDERS)]
POISONED = {event_id(p.order.order_id, ORDER_CREATED): p for p in PURCHASES if p.poison}
HEALTHY = ORDERS - len(POISONED)
CAUSES = {
    "missing_field": "examples.event_flow.schemas.MissingField",
    "wrong_type": "examples.event_flow.schemas.WrongType",
    "unknown_version": "examples.event_flow.schemas.UnknownVersion",
    "hopeless_downstream": "examples.event_flow.handling.DownstreamRefused",
    "cut_short": "examples.event_flow.schemas.Unparseable",
}


def body_without_time(body: bytes) -> bytes:
    """Take the time of publication out of a payload; a payload that was cut short holds it as well."""
    start = body.index(b'"time":"') + len(b'"time":"')
    return body[:start] + body[body.index(b'"', start) :]


EXPECTED_BODIES = {
    event: body_without_time(orders.message(purchase, datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)).body)
    for event, purchase in POISONED.items()
}


def assert_is_the_poison(event: str, body: bytes) -> Purchase:
    """The dead letter holds what was published for that order; return the purchase."""
    purchase = POISONED[event]
    if purchase.poison == "cut_short":  # where it is cut depends on the length of the time
        assert EXPECTED_BODIES[event][:150] == body_without_time(body)[:150]
    else:
        assert EXPECTED_BODIES[event] == body_without_time(body)
    return purchase


@pytest.fixture(scope="module")
def ran(buses: Endpoints, names: Names, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """Run the flow: two consumers, and publishers that publish everything twice, the second time from new stores."""
    tally = Tally()
    flow = Flow(
        endpoints=buses,
        names=names,
        stop=Stop(),
        tally=tally,
        metrics=Metrics(tally),
        store=tmp_path_factory.mktemp("flow"),
        seed=SEED,
        poison_share=POISON_SHARE,
        orders=ORDERS,
        flaky_share=0.0,
        work_seconds=0.0,
        first_redelivery_seconds=0,
    )
    deadline = monotonic() + DEADLINE_SECONDS
    consumers = Crew([*notification.workers(flow), *inventory.workers(flow)], flow.stop, flow.tally)
    consumers.start()
    for store in ("first", "second"):
        publishing = replace(flow, store=flow.store / store)
        publishers = Crew([*orders.workers(publishing), *payment.workers(publishing)], Stop(), flow.tally)
        publishers.start()
        publishers.wait(lambda: monotonic() > deadline)
        assert publishers.end()
    consumers.wait(lambda: consumers.all_settled(2 * ORDERS) or monotonic() > deadline)
    assert consumers.end()
    assert consumers.all_settled(2 * ORDERS), flow.tally.copy()
    return flow


def outcomes(flow: Flow, worker: str) -> dict[Outcome, int]:
    return {outcome: n for (name, outcome), n in flow.tally.copy().items() if name == worker and n}


def test_the_chosen_seed_has_every_kind_of_poison() -> None:
    assert {p.poison for p in POISONED.values()} == set(POISONS)


@pytest.mark.parametrize("service", ["orders", "payment"])
@pytest.mark.parametrize("bus", ["kafka", "rabbitmq", "aws"])
def test_every_event_is_published_on_every_bus(ran: Flow, service: str, bus: str) -> None:
    assert outcomes(ran, f"{service}/{bus}") == {Outcome.PUBLISHED: 2 * ORDERS}


@pytest.mark.parametrize(
    ("worker", "processed", "ignored"),
    [
        ("notification/kafka", HEALTHY + ORDERS, 0),
        ("notification/rabbitmq", HEALTHY + ORDERS, 0),
        ("notification/aws", HEALTHY, 0),
        ("inventory/kafka", HEALTHY, 2 * ORDERS),
        ("inventory/rabbitmq", HEALTHY, 0),
    ],
)
def test_every_healthy_event_is_processed_once_and_every_other_one_dies(
    ran: Flow, worker: str, processed: int, ignored: int
) -> None:
    expected = {
        Outcome.PROCESSED: processed,
        Outcome.DUPLICATE: processed,
        Outcome.IGNORED: ignored,
        Outcome.DEAD_LETTERED: 2 * len(POISONED),
    }
    if worker.endswith("/aws"):
        expected[Outcome.POSTPONED] = 4 * 2 * len(POISONED)  # of five receives, the last one is not postponed
    assert outcomes(ran, worker) == {outcome: n for outcome, n in expected.items() if n}


@dataclass(frozen=True)
class KafkaDeadLetter:
    record: Record
    headers: dict[str, bytes]

    def number(self, name: str, layout: str) -> int:
        return int(struct.unpack(layout, self.headers[name])[0])


def read_topic(bootstrap_servers: str, topic: str, group: str) -> list[Record]:
    consumer: Consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": group, "enable.auto.commit": False}
    )
    records: list[Record] = []
    deadline = monotonic() + 10
    with closing(consumer):
        partitions = [TopicPartition(topic, p, 0) for p in consumer.list_topics(topic, 5).topics[topic].partitions]
        consumer.assign(partitions)
        expected = sum(consumer.get_watermark_offsets(partition, 5)[1] for partition in partitions)
        while len(records) < expected and monotonic() < deadline:
            records += consumer.consume(100, 0.2)
    assert not [record.error() for record in records if record.error()]
    return records


def to_dead_letter(record: Record) -> KafkaDeadLetter:
    headers = record.headers()
    assert isinstance(headers, list)
    assert len({name for name, _ in headers}) == len(headers)
    return KafkaDeadLetter(record, {name: value for name, value in headers if isinstance(value, bytes)})


@pytest.fixture(scope="module")
def published(ran: Flow) -> list[Record]:
    """All records of the topic of events."""
    return read_topic(ran.endpoints.kafka, ran.names.kafka_topic, ran.names.kafka_group("test"))


def test_kafka_dead_letters_are_the_poison_of_both_groups_with_spring_headers(
    ran: Flow, published: list[Record]
) -> None:
    names, seen = ran.names, Counter[tuple[str, str]]()
    originals = {(record.partition(), record.offset()): record for record in published}
    for record in read_topic(ran.endpoints.kafka, names.kafka_dead_letter_topic, names.kafka_group("test")):
        letter = to_dead_letter(record)
        group = letter.headers["kafka_dlt-original-consumer-group"].decode()
        event = letter.headers["event_id"].decode()
        seen[group, event] += 1
        purchase = assert_is_the_poison(event, record.value() or b"")
        assert purchase.poison
        origin = (
            letter.number("kafka_dlt-original-partition", ">i"),
            letter.number("kafka_dlt-original-offset", ">q"),
        )
        assert (originals[origin].key(), originals[origin].value()) == (record.key(), record.value())
        assert record.key() == purchase.order.order_id.encode()
        assert record.partition() == origin[0]
        assert letter.number("kafka_dlt-original-timestamp", ">q") == originals[origin].timestamp()[1]
        assert letter.headers["kafka_dlt-original-topic"] == names.kafka_topic.encode()
        assert letter.headers["kafka_dlt-exception-cause-fqcn"].decode() == CAUSES[purchase.poison]
        assert letter.headers["kafka_dlt-exception-message"]
        assert letter.headers["kafka_dlt-exception-stacktrace"].startswith(b"Traceback")
        attempts = 3 if purchase.poison == "hopeless_downstream" else 1
        assert letter.number("kafka_deliveryAttempt", ">i") == attempts
    groups = [names.kafka_group(service) for service in ("notification", "inventory")]
    assert seen == {(group, event): 2 for group in groups for event in POISONED}


def test_an_order_and_its_payment_lie_on_one_partition(published: list[Record]) -> None:
    places: dict[bytes, set[int | None]] = {}
    for record in published:
        places.setdefault(record.key() or b"", set()).add(record.partition())
    assert len(places) == ORDERS
    assert {len(partitions) for partitions in places.values()} == {1}
    assert len(set.union(*places.values())) > 1


def test_both_groups_have_committed_to_the_end(ran: Flow) -> None:
    for service in ("notification", "inventory"):
        group = ran.names.kafka_group(service)
        consumer: Consumer = Consumer({"bootstrap.servers": ran.endpoints.kafka, "group.id": group})
        with closing(consumer):
            for partition in consumer.committed([TopicPartition(ran.names.kafka_topic, p) for p in range(6)], 5):
                end = consumer.get_watermark_offsets(partition, 5)[1]
                assert (partition.error, max(0, partition.offset)) == (None, end)


@pytest.mark.parametrize("service", ["notification", "inventory"])
def test_rabbitmq_dead_letters_are_the_poison_with_headers_that_tell_why(ran: Flow, service: str) -> None:
    names, seen = ran.names, Counter[str]()
    with pika.BlockingConnection(pika.URLParameters(ran.endpoints.amqp)) as connection:
        channel = connection.channel()
        assert channel.queue_declare(names.queue(service), passive=True).method.message_count == 0
        for _, properties, body in iter(lambda: channel.basic_get(names.dead_letter_queue(service)), (None,) * 3):
            assert properties is not None
            assert properties.message_id is not None
            assert isinstance(body, bytes)
            headers: dict[str, Any] = dict(properties.headers or {})
            seen[properties.message_id] += 1
            purchase = assert_is_the_poison(properties.message_id, body)
            assert purchase.poison
            assert headers.pop("x-exception-message").startswith(f"{service}: ")
            assert headers.pop("x-exception-stacktrace").startswith("Traceback")
            assert headers == {
                "x-original-exchange": names.exchange,
                "x-original-routingKey": "order.created",
                "x-original-queue": names.queue(service),
                "x-exception-fqcn": CAUSES[purchase.poison],
                "x-attempts": 3 if purchase.poison == "hopeless_downstream" else 1,
            }
            assert (properties.type, properties.delivery_mode) == (ORDER_CREATED, 2)
    assert seen == dict.fromkeys(POISONED, 2)


def test_sqs_dead_letters_are_the_poison_after_five_receives(ran: Flow) -> None:
    with closing(sqs_client(ran.endpoints)) as sqs:
        url, work_url = (
            sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            for queue in (ran.names.sqs_dead_letter_queue, ran.names.sqs_queue)
        )
        left = sqs.get_queue_attributes(QueueUrl=work_url, AttributeNames=["All"])["Attributes"]
        assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
        bodies: list[bytes] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                bodies.append(body_without_time(unwrap(message["Body"])))
                attributes = message["Attributes"]
                assert attributes["DeadLetterQueueSourceArn"].endswith(f":{ran.names.sqs_queue}")
                assert int(attributes["ApproximateReceiveCount"]) > 5
    whole = [body for event, body in EXPECTED_BODIES.items() if POISONED[event].poison != "cut_short"]
    assert len(bodies) == 2 * len(POISONED)
    assert all(bodies.count(body) == 2 for body in whole)


def test_setting_up_again_changes_nothing_and_leaves_what_was_asked_for(ran: Flow) -> None:
    names = ran.names
    assert set_up_all(ran.endpoints, names) == dict.fromkeys(["kafka", "rabbitmq", "aws"])
    with closing(sns_client(ran.endpoints)) as sns, closing(sqs_client(ran.endpoints)) as sqs:
        topic_arn = sns.create_topic(Name=names.sns_topic)["TopicArn"]
        assert sns.get_topic_attributes(TopicArn=topic_arn)["Attributes"]["KmsMasterKeyId"] == "alias/aws/sns"
        (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]
        found = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
        assert json.loads(found["FilterPolicy"]) == {"eventType": ["OrderCreated"]}
        work, dead = (
            sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], AttributeNames=["All"])
            for queue in (names.sqs_queue, names.sqs_dead_letter_queue)
        )
    assert work["Attributes"]["VisibilityTimeout"] == "30"
    assert work["Attributes"]["MessageRetentionPeriod"] == "86400"
    assert json.loads(work["Attributes"]["RedrivePolicy"]) == {
        "deadLetterTargetArn": dead["Attributes"]["QueueArn"],
        "maxReceiveCount": 5,
    }
    (statement,) = json.loads(work["Attributes"]["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic_arn}}
    assert dead["Attributes"]["MessageRetentionPeriod"] == "1209600"


def test_setting_up_heals_a_subscription_whose_filter_was_changed(ran: Flow) -> None:
    with closing(sns_client(ran.endpoints)) as sns:
        topic_arn = sns.create_topic(Name=ran.names.sns_topic)["TopicArn"]
        (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]
        arn = subscription["SubscriptionArn"]
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
        set_up_all(ran.endpoints, ran.names)
        found = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert json.loads(found["FilterPolicy"]) == {"eventType": ["OrderCreated"]}


def test_one_bus_that_is_away_does_not_keep_the_others_from_being_set_up(ran: Flow) -> None:
    problems = set_up_all(replace(ran.endpoints, amqp="amqp://guest:guest@127.0.0.1:1/"), ran.names)
    assert problems["kafka"] is problems["aws"] is None
    assert problems["rabbitmq"]
    assert "guest" not in problems["rabbitmq"]
