"""Payment: hears from the payment provider and publishes `PaymentProcessed`, a while after the order."""

from datetime import datetime
from typing import Final

from examples.event_flow.buses.base import Message
from examples.event_flow.events import to_bytes, to_document
from examples.event_flow.flow import Flow
from examples.event_flow.publishing import publishing_workers
from examples.event_flow.running import Worker
from examples.event_flow.shop import Purchase, payment_processed

_DELAY_SECONDS: Final = 2.0


def message(purchase: Purchase, now: datetime) -> Message:
    """Write the event for a payment."""
    event = payment_processed(purchase, now)
    return Message(event.id, event.type, purchase.payment.order_id, to_bytes(to_document(event)))


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return publishing_workers("payment", message, flow, _DELAY_SECONDS)
