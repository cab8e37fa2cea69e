"""The flow over TLS, with logins, on brokers that take nothing else."""

import secrets
from pathlib import Path

from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from examples.event_flow import notification, orders
from examples.event_flow.flow import Flow
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names, Security
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Crew, Stop
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.kafka import PASSWORD, SCRAM_USER
from tests.waiting import wait_for

ORDERS = 3


def test_orders_reach_notification_over_tls_with_scram_and_over_amqps(
    secured_brokers: SecuredBrokers, tmp_path: Path
) -> None:
    names, tally = Names(f"tls-{secrets.token_hex(3)}-"), Tally()
    kafka, certificate = secured_brokers.kafka, str(secured_brokers.authority.certificate)
    for topic in (names.kafka_topic, names.kafka_dead_letter_topic):
        kafka.allow(SCRAM_USER, ResourceType.TOPIC, topic, AclOperation.ALL)
    kafka.allow(SCRAM_USER, ResourceType.GROUP, names.kafka_group("notification"), AclOperation.ALL)
    security = Security(certificate, SCRAM_USER, PASSWORD)
    endpoints = Endpoints(kafka.sasl, secured_brokers.rabbitmq.amqps(), "http://127.0.0.1:1", security)
    flow = Flow(
        endpoints,
        names,
        Stop(),
        tally,
        Metrics(tally),
        tmp_path,
        seed=1,
        buses=("kafka", "rabbitmq"),
        poison_share=0.0,
        orders=ORDERS,
        flaky_share=0.0,
        work_seconds=0.0,
    )
    crew = Crew([*notification.workers(flow), *orders.workers(flow)], flow.stop, tally)
    crew.start()
    wait_for(
        lambda: all(tally.get(f"notification/{bus}", Outcome.PROCESSED) == ORDERS for bus in flow.buses),
        "the orders are notified",
        60.0,
    )
    assert crew.end()
