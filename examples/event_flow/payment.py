"""Payment: hears from the payment provider and publishes `PaymentProcessed`, a while after the order."""

import sqlite3
from datetime import datetime
from typing import Final

from examples.event_flow.buses.base import Message
from examples.event_flow.events import to_bytes, to_document
from examples.event_flow.flow import Flow
from examples.event_flow.publishing import Publishing, publishing_workers
from examples.event_flow.running import Worker
from examples.event_flow.shop import Purchase, payment_processed

SERVICE: Final = "payment"
TABLES = (
    "CREATE TABLE IF NOT EXISTS payments (payment_id TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL) WITHOUT ROWID"
)
_DELAY_SECONDS: Final = 2.0


def message(purchase: Purchase, now: datetime) -> Message:
    """Write the event for a payment."""
    event = payment_processed(purchase, now)
    return Message(event.id, event.type, purchase.payment.order_id, to_bytes(to_document(event)))


def note(purchase: Purchase, db: sqlite3.Connection) -> bool:
    """Write a payment down; False where it stood there already."""
    row = (purchase.payment.payment_id, purchase.payment.amount_cents)
    return db.execute("INSERT OR IGNORE INTO payments VALUES (?, ?)", row).rowcount > 0


def workers(flow: Flow) -> list[Worker]:
    """Return the threads of this service."""
    return publishing_workers(Publishing(SERVICE, TABLES, message, note, _DELAY_SECONDS), flow)
