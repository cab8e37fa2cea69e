"""Inventory: reserves the stock for an order."""

from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.buses.rabbitmq import RabbitConsumer
from examples.event_flow.consuming import consuming_worker
from examples.event_flow.downstream import Warehouse
from examples.event_flow.events import OrderCreated
from examples.event_flow.flow import Flow
from examples.event_flow.handling import Reactions
from examples.event_flow.running import Worker

SERVICE = "inventory"


class Inventory:
    """Knows what to do for an order; payments are none of its business."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.reactions: Reactions = {OrderCreated: self._reserve}

    def _reserve(self, order: OrderCreated) -> None:
        self._warehouse.reserve(order.order_id, order.items)


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    warehouse = Warehouse(flow.flaky_share, flow.work_seconds, flow.rng("warehouse"), flow.stop.pause)
    reactions = Inventory(warehouse).reactions
    endpoints, names, stop = flow.endpoints, flow.names, flow.stop
    return [
        consuming_worker(
            SERVICE,
            "kafka",
            reactions,
            # The group protocol of KIP-848; the other group speaks the classic one. Both are met in the field.
            lambda contact: KafkaConsumer(endpoints.kafka, names, SERVICE, "consumer", stop, contact),
            flow,
            events_per_order=2,
        ),
        consuming_worker(
            SERVICE,
            "rabbitmq",
            reactions,
            lambda contact: RabbitConsumer(endpoints.amqp, names, SERVICE, stop, contact),
            flow,
            events_per_order=1,  # payments are not routed to this queue
        ),
    ]
