"""The reference flow's notification service on all three buses, with a mail server that can be down."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from examples.event_flow import orders
from examples.event_flow.buses.aws import SqsConsumer
from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.buses.rabbitmq import RabbitConsumer
from examples.event_flow.consuming import Consuming, consuming_worker
from examples.event_flow.events import OrderCreated
from examples.event_flow.flow import Flow, set_up
from examples.event_flow.handling import DownstreamRefused, Reaction, Reactions
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.notification import TABLES
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Contact, Crew, Stop
from examples.event_flow.shop import purchases
from stack.state import Endpoints as StackEndpoints
from tests.integration.event_flow.conftest import remove_flow

SERVICE = "notification"
BUSES = ("kafka", "rabbitmq", "aws")
CAUSE = "the mail server does not answer"

CONFIG = """
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s, redrive: {{}},
     topics: {{include: ["{prefix}*"]}}, groups: {{include: ["{prefix}*"]}}}}
  - {{name: mail, kind: rabbitmq, amqp_url: "{amqp}", management_url: "{management}", redrive: {{}},
     prometheus_url: "{prometheus}", interval: 1s, queues: {{include: ["{prefix}*"]}}}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{aws}", interval: 1s, redrive: {{}},
     queues: {{include: ["{prefix}*"]}}, topics: {{include: ["{prefix}*"]}}, cloudwatch: {{enabled: false}}}}
"""


@dataclass
class Shop:
    """Customers that order, and the service that mails them. `mail_works` is what the journeys switch."""

    flow: Flow
    endpoints: StackEndpoints
    mail_works: bool = True
    mailed: list[str] = field(default_factory=list)

    @property
    def config(self) -> str:
        """A monitor's configuration that sees just this shop, on all three buses."""
        rabbitmq = self.endpoints.rabbitmq
        return CONFIG.format(
            kafka=self.endpoints.kafka,
            amqp=rabbitmq.amqp,
            management=rabbitmq.management,
            prometheus=rabbitmq.prometheus,
            aws=self.endpoints.aws,
            prefix=self.flow.names.prefix,
        )

    def dead_letters(self, bus: str) -> tuple[str, str]:
        """Return id and name of the dead-letter queue on a bus."""
        names = self.flow.names
        cluster, queue = {
            "kafka": ("orders", names.kafka_dead_letter_topic),
            "rabbitmq": ("mail", names.dead_letter_queue(SERVICE)),
            "aws": ("aws", names.sqs_dead_letter_queue),
        }[bus]
        return f"{cluster}/{queue}", queue

    def order(self, number: int, *buses: str) -> None:
        """Have so many orders come in on each of the buses."""
        now = datetime.now(UTC)
        batch = [orders.message(it, now) for it in islice(purchases(secrets.randbits(32), 0.0), number)]
        for bus in buses:
            with closing(self.flow.open_publisher(bus)) as publisher:
                publisher.publish(batch, lambda _: None)

    def processed(self, bus: str) -> int:
        """Return how many orders were mailed that came by this bus."""
        return self.flow.tally.get(f"{SERVICE}/{bus}", Outcome.PROCESSED)

    def send(self, key: str, order: OrderCreated) -> None:
        """Mail a customer. Raises DownstreamRefused, since a circuit breaker would hold what only fails."""
        if not self.mail_works:
            raise DownstreamRefused(CAUSE)
        self.mailed.append(order.order_id)


@contextmanager
def open_shop(endpoints: StackEndpoints, store: Path) -> Iterator[Shop]:
    """Run the notification service on all buses, under names of its own that are removed at the end."""
    buses = Endpoints(endpoints.kafka, endpoints.rabbitmq.amqp, endpoints.aws)
    names = Names(f"journey-{secrets.token_hex(3)}-")
    stop, tally = Stop(), Tally()
    flow = Flow(buses, names, stop, tally, Metrics(tally), store, seed=1, first_redelivery_seconds=0)
    shop = Shop(flow, endpoints)
    for bus in BUSES:
        set_up(bus, buses, names)
    connect: Mapping[str, Callable[[Contact], Any]] = {
        "kafka": lambda contact: KafkaConsumer(buses, names, SERVICE, "classic", flow.stop, contact),
        "rabbitmq": lambda contact: RabbitConsumer(buses, names, SERVICE, flow.stop, contact),
        "aws": lambda contact: SqsConsumer(buses, names, flow.stop, contact, flow.first_redelivery_seconds),
    }
    reactions: Reactions = {OrderCreated: Reaction(shop.send, lambda db, bus, order: None)}
    workers = [
        consuming_worker(
            Consuming(SERVICE, bus, lambda _: reactions, TABLES, connect[bus], events_per_order=1, attempts=1), flow
        )
        for bus in BUSES
    ]
    crew = Crew(workers, flow.stop, flow.tally)
    crew.start()
    try:
        yield shop
    finally:
        crew.end()
        remove_flow(buses, names)
