"""Which dead-letter queues nobody may start a job on, since all that is in them is being removed.

On PostgreSQL, which several monitors can share, that is an advisory lock, of which the server lets go when the one who
has it dies. On SQLite, which one monitor has to itself, it is a note in its memory.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from monitor.errors import Conflict
from monitor.storage.database import Database
from monitor.storage.locks import PURGES, number_of


class Holds:
    """The queues that are held. Thread-safe; raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, queue: str) -> Iterator[None]:
        """Hold a queue. Raises Conflict when somebody else does, or makes a job on it at this moment.

        Whoever holds it has to look afterwards for jobs that were made before.
        """
        if self._database.engine.dialect.name == "postgresql":
            # The lock is the transaction's, which is idle meanwhile: it needs nobody to let go of it.
            with self._database.reading() as connection:
                if not connection.execute(
                    sa.select(sa.func.pg_try_advisory_xact_lock(PURGES, number_of(queue)))
                ).scalar():
                    raise _busy(queue)
                yield
            return
        with self._lock:
            if queue in self._held:
                raise _busy(queue)
            self._held.add(queue)
        try:
            yield
        finally:
            self._held.discard(queue)

    def check(self, connection: sa.Connection, queue: str) -> None:
        """Raise Conflict when a queue is held; nobody can hold it from now on until this transaction has ended."""
        if connection.dialect.name == "postgresql":
            shared = sa.func.pg_try_advisory_xact_lock_shared(PURGES, number_of(queue))
            free = connection.execute(sa.select(shared)).scalar()
        else:
            free = queue not in self._held  # transactions that write come one after the other
        if not free:
            raise _busy(queue)


def _busy(queue: str) -> Conflict:
    return Conflict(f"{queue} is being purged, or a job is being made on it at this moment; try again")
