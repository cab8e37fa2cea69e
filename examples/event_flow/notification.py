"""Notification: mails the customer when an order has come in and when it was paid."""

import sqlite3
from collections.abc import Callable
from functools import partial

from examples.event_flow.buses.aws import SqsConsumer
from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.buses.rabbitmq import RabbitConsumer
from examples.event_flow.consuming import Consuming, consuming_worker
from examples.event_flow.downstream import MailServer, World
from examples.event_flow.events import OrderCreated, PaymentProcessed
from examples.event_flow.flow import Flow
from examples.event_flow.handling import Reaction, Reactions
from examples.event_flow.running import Worker

SERVICE = "notification"
# No order is unique in here: that each is notified once is for the inbox to see to, and for anybody to count.
TABLES = "CREATE TABLE IF NOT EXISTS notifications (bus TEXT NOT NULL, order_id TEXT NOT NULL, about TEXT NOT NULL)"


class Notification:
    """Knows which mail to send for which event."""

    def __init__(self, mail_server: MailServer) -> None:
        self._mail_server = mail_server
        self.reactions: Reactions = {
            OrderCreated: Reaction(self._confirm_order, partial(_note, about="order")),
            PaymentProcessed: Reaction(self._send_receipt, partial(_note, about="payment")),
        }

    def _confirm_order(self, key: str, order: OrderCreated) -> None:
        self._mail_server.send(key, order.customer_email, f"your order {order.order_id}")

    def _send_receipt(self, key: str, payment: PaymentProcessed) -> None:
        self._mail_server.send(key, payment.payer_email, f"your payment {payment.payment_id}")


def _note(db: sqlite3.Connection, bus: str, data: OrderCreated | PaymentProcessed, about: str) -> None:
    db.execute("INSERT INTO notifications VALUES (?, ?, ?)", (bus, data.order_id, about))


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return [consuming_worker(consuming, flow) for consuming in _consuming(flow) if consuming.bus in flow.buses]


def _consuming(flow: Flow) -> list[Consuming]:
    endpoints, names, stop = flow.endpoints, flow.names, flow.stop

    def reactions(bus: str) -> Callable[[World], Reactions]:
        rng = flow.rng(f"mail server/{bus}")
        return lambda world: (
            Notification(MailServer(world, flow.flaky_share, flow.work_seconds, rng, stop.pause)).reactions
        )

    return [
        Consuming(
            SERVICE,
            "kafka",
            reactions("kafka"),
            TABLES,
            lambda contact: KafkaConsumer(endpoints, names, SERVICE, "classic", stop, contact),
            events_per_order=2,
        ),
        Consuming(
            SERVICE,
            "rabbitmq",
            reactions("rabbitmq"),
            TABLES,
            lambda contact: RabbitConsumer(endpoints, names, SERVICE, stop, contact),
            events_per_order=2,
        ),
        Consuming(
            SERVICE,
            "aws",
            reactions("aws"),
            TABLES,
            lambda contact: SqsConsumer(endpoints, names, stop, contact, flow.first_redelivery_seconds),
            events_per_order=1,  # payments are filtered out by the subscription
            attempts=1,  # here the queue does the retries
        ),
    ]
