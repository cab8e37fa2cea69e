"""Inventory: reserves the stock for an order."""

import sqlite3
from collections.abc import Callable

from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.buses.rabbitmq import RabbitConsumer
from examples.event_flow.consuming import Consuming, consuming_worker
from examples.event_flow.downstream import Warehouse, World
from examples.event_flow.events import OrderCreated
from examples.event_flow.flow import Flow
from examples.event_flow.handling import Reaction, Reactions
from examples.event_flow.running import Worker

SERVICE = "inventory"
# No order is unique in here: that each is reserved once is for the inbox to see to, and for anybody to count.
TABLES = """
CREATE TABLE IF NOT EXISTS reservations (
    bus TEXT NOT NULL, order_id TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL
)
"""


class Inventory:
    """Knows what to do for an order; payments are none of its business."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.reactions: Reactions = {OrderCreated: Reaction(self._reserve, _note)}

    def _reserve(self, key: str, order: OrderCreated) -> None:
        self._warehouse.reserve(key, order.order_id, order.items)


def _note(db: sqlite3.Connection, bus: str, order: OrderCreated) -> None:
    rows = [(bus, order.order_id, item.sku, item.quantity) for item in order.items]
    db.executemany("INSERT INTO reservations VALUES (?, ?, ?, ?)", rows)


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return [consuming_worker(consuming, flow) for consuming in _consuming(flow) if consuming.bus in flow.buses]


def _consuming(flow: Flow) -> list[Consuming]:
    endpoints, names, stop = flow.endpoints, flow.names, flow.stop

    def reactions(bus: str) -> Callable[[World], Reactions]:
        rng = flow.rng(f"warehouse/{bus}")
        return lambda world: Inventory(Warehouse(world, flow.flaky_share, flow.work_seconds, rng, stop.pause)).reactions

    return [
        Consuming(
            SERVICE,
            "kafka",
            reactions("kafka"),
            TABLES,
            # The group protocol of KIP-848; the other group speaks the classic one. Both are met in the field.
            lambda contact: KafkaConsumer(endpoints, names, SERVICE, "consumer", stop, contact),
            events_per_order=2,
        ),
        Consuming(
            SERVICE,
            "rabbitmq",
            reactions("rabbitmq"),
            TABLES,
            lambda contact: RabbitConsumer(endpoints, names, SERVICE, stop, contact),
            events_per_order=1,  # payments are not routed to this queue
        ),
    ]
