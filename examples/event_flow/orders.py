"""Orders: takes the orders of the customers and publishes `OrderCreated`, a share of them poisonous."""

import sqlite3
from datetime import datetime

from examples.event_flow.buses.base import Message
from examples.event_flow.events import to_bytes, to_document
from examples.event_flow.flow import Flow
from examples.event_flow.poison import POISONS
from examples.event_flow.publishing import Publishing, publishing_workers
from examples.event_flow.running import Worker
from examples.event_flow.shop import Purchase, order_created

SERVICE = "orders"
TABLES = "CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, total_cents INTEGER NOT NULL) WITHOUT ROWID"


def message(purchase: Purchase, now: datetime) -> Message:
    """Write the event for an order, spoilt where the purchase says so."""
    event = order_created(purchase, now)
    write = POISONS[purchase.poison] if purchase.poison else to_bytes
    return Message(event.id, event.type, purchase.order.order_id, write(to_document(event)))


def note(purchase: Purchase, db: sqlite3.Connection) -> bool:
    """Write an order down; False where it stood there already."""
    row = (purchase.order.order_id, purchase.order.total_cents)
    return db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?)", row).rowcount > 0


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return publishing_workers(Publishing(SERVICE, TABLES, message, note), flow)
