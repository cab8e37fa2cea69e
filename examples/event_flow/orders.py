"""Orders: takes the orders of the customers and publishes `OrderCreated`, a share of them poisonous."""

from datetime import datetime

from examples.event_flow.buses.base import Message
from examples.event_flow.events import to_bytes, to_document
from examples.event_flow.flow import Flow
from examples.event_flow.poison import POISONS
from examples.event_flow.publishing import publishing_workers
from examples.event_flow.running import Worker
from examples.event_flow.shop import Purchase, order_created


def message(purchase: Purchase, now: datetime) -> Message:
    """Write the event for an order, spoilt where the purchase says so."""
    event = order_created(purchase, now)
    write = POISONS[purchase.poison] if purchase.poison else to_bytes
    return Message(event.id, event.type, purchase.order.order_id, write(to_document(event)))


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return publishing_workers("orders", message, flow)
