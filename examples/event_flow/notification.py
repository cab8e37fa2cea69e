"""Notification: mails the customer when an order has come in and when it was paid."""

from examples.event_flow.buses.aws import SqsConsumer
from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.buses.rabbitmq import RabbitConsumer
from examples.event_flow.consuming import consuming_worker
from examples.event_flow.downstream import MailServer
from examples.event_flow.events import OrderCreated, PaymentProcessed
from examples.event_flow.flow import Flow
from examples.event_flow.handling import Reactions
from examples.event_flow.running import Worker

SERVICE = "notification"


class Notification:
    """Knows which mail to send for which event."""

    def __init__(self, mail_server: MailServer) -> None:
        self._mail_server = mail_server
        self.reactions: Reactions = {OrderCreated: self._confirm_order, PaymentProcessed: self._send_receipt}

    def _confirm_order(self, order: OrderCreated) -> None:
        self._mail_server.send(order.customer_email, f"your order {order.order_id}")

    def _send_receipt(self, payment: PaymentProcessed) -> None:
        self._mail_server.send(payment.payer_email, f"your payment {payment.payment_id}")


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    mail_server = MailServer(flow.flaky_share, flow.work_seconds, flow.rng("mail server"), flow.stop.pause)
    reactions = Notification(mail_server).reactions
    endpoints, names, stop = flow.endpoints, flow.names, flow.stop
    return [
        consuming_worker(
            SERVICE,
            "kafka",
            reactions,
            lambda contact: KafkaConsumer(endpoints.kafka, names, SERVICE, "classic", stop, contact),
            flow,
            events_per_order=2,
        ),
        consuming_worker(
            SERVICE,
            "rabbitmq",
            reactions,
            lambda contact: RabbitConsumer(endpoints.amqp, names, SERVICE, stop, contact),
            flow,
            events_per_order=2,
        ),
        consuming_worker(
            SERVICE,
            "aws",
            reactions,
            lambda contact: SqsConsumer(endpoints.aws, names, stop, contact, flow.first_redelivery_seconds),
            flow,
            events_per_order=1,  # payments are filtered out by the subscription
            attempts=1,  # here the queue does the retries
        ),
    ]
