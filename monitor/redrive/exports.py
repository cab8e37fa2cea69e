"""Which queues were exported to their end: what a purge asks for."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from monitor.storage.database import Database
from monitor.storage.tables import EXPORTS


@dataclass(frozen=True, slots=True)
class Export:
    """One export of all messages of a queue, with nothing hidden. `at` is its end (Unix seconds)."""

    id: str
    dead_letters: str
    actor: str
    at: float
    messages: int
    sha256: str


class Exports:
    """The exports in one database. Thread-safe; raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, export: Export) -> None:
        """Keep one."""
        with self._database.writing() as connection:
            connection.execute(sa.insert(EXPORTS).values(asdict(export)))

    def spend(self, id_: str) -> bool:
        """Let an export be used once: False when it has been used already."""
        with self._database.writing() as connection:
            return bool(connection.execute(sa.delete(EXPORTS).where(EXPORTS.c.id == id_)).rowcount)

    def find(self, id_: str) -> Export | None:
        """Return one, None where there is no such export or it did not come to its end."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(EXPORTS).where(EXPORTS.c.id == id_)).mappings().first()
        return Export(**row) if row else None
