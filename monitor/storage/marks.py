"""Marks: what people noted as having happened, such as a deployment, so that what changed can be told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from monitor.clock import Clock
from monitor.storage.database import Database
from monitor.storage.tables import MARKS

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment (Unix seconds), noted by `actor` at `created_at`."""

    id: int
    at: float
    name: str
    note: str
    actor: str
    created_at: float


class Marks:
    """The marks of one database. Thread-safe; raises StorageError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def add(self, name: str, note: str, at: float, actor: str) -> Mark:
        """Note one, and return it."""
        mark = Mark(0, at, name, note, actor, self._clock.now())
        values = {key: value for key, value in asdict(mark).items() if key != "id"}
        with self._database.writing() as connection:
            (number,) = connection.execute(sa.insert(MARKS).values(values)).inserted_primary_key or (0,)
        return replace(mark, id=number)

    def between(self, start: float, end: float) -> Sequence[Mark]:
        """Return those of a time, the oldest first: the newest thousand where there are more."""
        query = sa.select(MARKS).where(MARKS.c.at >= start, MARKS.c.at <= end)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(MARKS.c.at.desc(), MARKS.c.id.desc()).limit(_MOST)).mappings()
            found = [_mark(row) for row in rows]
        return found[::-1]


def _mark(row: Mapping[Any, Any]) -> Mark:
    return Mark(row["id"], row["at"], row["name"], row["note"], row["actor"], row["created_at"])
