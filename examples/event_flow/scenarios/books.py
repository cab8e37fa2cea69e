"""The services' own stores, read as an auditor would: what was done for each order, and how often."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from examples.event_flow import inventory, notification
from examples.event_flow.inbox import Inbox
from examples.event_flow.store import open_store

_TABLES = {"notification": notification.TABLES, "inventory": inventory.TABLES}
_DONE = {
    "notification": "SELECT order_id, count(*) FROM notifications WHERE bus = ? AND about = 'order' GROUP BY order_id",
    # Of each order and article there is one reservation; the article that was reserved most often tells.
    "inventory": "SELECT order_id, max(n) FROM (SELECT order_id, count(*) AS n FROM reservations WHERE bus = ? "
    "GROUP BY order_id, sku) GROUP BY order_id",
}


class Books:
    """The databases of the consuming services in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make them where they are missing."""
        for service, tables in _TABLES.items():
            Inbox(self._folder / f"{service}.db", tables, "kafka", lambda: 0.0).close()

    def done(self, service: str, bus: str) -> dict[str, int]:
        """Return how often each order was notified, or its stock reserved."""
        with closing(self._open(service)) as db:
            return dict(db.execute(_DONE[service], (bus,)))

    def paid(self, bus: str) -> Counter[str]:
        """Return how often each customer was told of the payment of an order."""
        query = "SELECT order_id FROM notifications WHERE bus = ? AND about = 'payment'"
        with closing(self._open("notification")) as db:
            return Counter(order_id for (order_id,) in db.execute(query, (bus,)))

    def duplicates(self, service: str, bus: str) -> int:
        """Return how many deliveries were skipped, since their events had been processed."""
        query = "SELECT coalesce(sum(duplicates), 0) FROM processed WHERE bus = ?"
        with closing(self._open(service)) as db:
            return int(db.execute(query, (bus,)).fetchone()[0])

    def breaker(self, service: str, bus: str) -> list[str]:
        """Return the states that the circuit breaker of a consumer went through."""
        query = "SELECT state FROM breaker_changes WHERE bus = ? ORDER BY at"
        with closing(self._open(service)) as db:
            return [state for (state,) in db.execute(query, (bus,))]

    def _open(self, service: str) -> sqlite3.Connection:
        return open_store(self._folder / f"{service}.db", "")
