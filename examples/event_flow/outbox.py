"""The outbox of a service: events wait there, in the database of what they tell of, until each bus has confirmed them.

To write down an order and then to publish it are two steps, and a crash in between leaves an order that nobody hears
of, or an event about an order that does not exist. So the event is written with the order, in one transaction, and a
relay publishes from there: at least once, since it may crash between the confirmation and the removal.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.event_flow.buses.base import Message
from examples.event_flow.store import open_store, transaction

_TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, bus TEXT NOT NULL,
    event_id TEXT NOT NULL, type TEXT NOT NULL, order_id TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_bus ON outbox (bus, number);
"""

Write = Callable[[sqlite3.Connection], bool]
"""Writes what has happened; False says that it stood there already."""


class Outbox:
    """The outbox and its database. The service and its relays, a thread each, share one object."""

    def __init__(self, path: Path, tables: str, buses: Sequence[str]) -> None:
        self._db = open_store(path, _TABLES + tables)
        self._buses = buses
        self._closed = False
        self._left: set[str] = set()
        self._changed = threading.Condition()

    def put(self, message: Message, write: Write) -> bool:
        """Write down what has happened and, in the same transaction, the event that tells of it, once for each bus.

        Nothing is added, and False returned, where `write` finds that it stood there already.
        """
        row = (message.event_id, message.type, message.order_id, message.body)
        insert = "INSERT INTO outbox (bus, event_id, type, order_id, body) VALUES (?, ?, ?, ?, ?)"
        with self._changed:
            with transaction(self._db):
                if not write(self._db):
                    return False
                self._db.executemany(insert, [(bus, *row) for bus in self._buses])
            self._changed.notify_all()
            return True

    def look(self, bus: str, limit: int, timeout_seconds: float) -> list[Message]:
        """Return the oldest events for a bus, which stay in the outbox; empty where none came in all that time."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting(bus), timeout_seconds)
            rows = self._db.execute(
                "SELECT event_id, type, order_id, body, number FROM outbox WHERE bus = ? ORDER BY number LIMIT ?",
                (bus, limit),
            )
            return [Message(*row) for row in rows]

    def remove(self, messages: Sequence[Message]) -> None:
        """Take out what a bus has confirmed of what `look` returned for it."""
        with self._changed:
            with transaction(self._db):
                self._db.executemany("DELETE FROM outbox WHERE number = ?", [(it.number,) for it in messages])
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no more events come. The database is closed when the relays of all buses have left, too."""
        with self._changed:
            self._closed = True
            self._close_after_the_last()
            self._changed.notify_all()

    def leave(self, bus: str) -> None:
        """Say that the relay of a bus has ended; it must not look again."""
        with self._changed:
            self._left.add(bus)
            self._close_after_the_last()

    def _close_after_the_last(self) -> None:
        if self._closed and self._left.issuperset(self._buses):
            self._db.close()

    def finished(self, bus: str) -> bool:
        """Whether everything has been published on a bus and nothing more comes."""
        with self._changed:
            return self._closed and not self._waiting(bus)

    def waiting(self, bus: str) -> int:
        """Return how many events wait for a bus."""
        with self._changed:
            return self._waiting(bus)

    def _waiting(self, bus: str) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM outbox WHERE bus = ?", (bus,)).fetchone()
        return int(count)
