"""The inbox of a consumer: the ids of the events that it has processed, in the database of what it made of them.

Every bus delivers at least once. What makes it once is that the id and the effect are committed together: either both
are there, and the event is skipped when it comes again, or neither is, and it is processed anew.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from examples.event_flow.store import open_store, transaction

_TABLES = """
CREATE TABLE IF NOT EXISTS processed (
    bus TEXT NOT NULL, event_id TEXT NOT NULL, at REAL NOT NULL, duplicates INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bus, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS breaker_changes (bus TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL);
"""
_KEEP_SECONDS = 15 * 86_400.0  # a day longer than any bus of the flow keeps a message, dead letters included


class Inbox:
    """The inbox of one service on one bus; belongs to one thread. `clock` returns Unix seconds."""

    def __init__(self, path: Path, tables: str, bus: str, clock: Callable[[], float]) -> None:
        self._db = open_store(path, _TABLES + tables)
        self._bus, self._clock = bus, clock
        self._db.execute("DELETE FROM processed WHERE at < ?", (clock() - _KEEP_SECONDS,))

    def knows(self, event_id: str) -> bool:
        """Say whether an event has been processed, and count that it came again."""
        count = "UPDATE processed SET duplicates = duplicates + 1 WHERE bus = ? AND event_id = ?"
        return self._db.execute(count, (self._bus, event_id)).rowcount > 0

    def settle(self, event_id: str, write: Callable[[sqlite3.Connection], object]) -> bool:
        """Commit that an event was processed, with what `write` makes of it; False where another was quicker.

        Two members of a group can have the same event in hand while partitions are moved from one to the other.
        """
        add = "INSERT OR IGNORE INTO processed (bus, event_id, at) VALUES (?, ?, ?)"
        with transaction(self._db):
            if self._db.execute(add, (self._bus, event_id, self._clock())).rowcount == 0:
                return False
            write(self._db)
            return True

    def note_breaker(self, state: str) -> None:
        """Write down that the circuit breaker of this consumer is now `state`."""
        self._db.execute("INSERT INTO breaker_changes VALUES (?, ?, ?)", (self._bus, state, self._clock()))

    def close(self) -> None:
        """Close the database."""
        self._db.close()
