"""Who did what, and who was refused: append-only, each record hashed with the one before. No payloads."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.clock import Clock
from monitor.redrive.paging import NEWEST_FIRST, Order
from monitor.storage.database import Database
from monitor.storage.tables import AUDIT

_BEGINNING = "0" * 64
_READ_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as which role, from where. `bodies` is the right to see what messages hold."""

    name: str
    role: str
    address: str = ""
    bodies: bool = True


ENGINE = Actor("eventflow", "engine")
"""The product itself, where nobody asked for what it does."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the chain of records holds; `broken_at` is the sequence number of the first that does not fit."""

    records: int
    broken_at: int | None
    last_hash: str

    @property
    def intact(self) -> bool:
        """Say whether every record fits the one before it."""
        return self.broken_at is None


class Audit:
    """The audit log in one database. Thread-safe; raises StorageError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def write(self, actor: Actor, operation: str, outcome: str, **told: Any) -> str:
        """Append a record and return its id. `told` is what else is worth keeping; None is left out."""
        id_, now = str(uuid.uuid4()), self._clock.now()
        record = {
            "id": id_,
            "at": now,
            "actor": actor.name,
            "role": actor.role,
            "address": actor.address,
            "operation": operation,
            "outcome": outcome,
            **{name: value for name, value in told.items() if value is not None},
        }
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE audit IN EXCLUSIVE MODE")
            last = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(1)).mappings().first()
            sequence, previous = (last["sequence"] + 1, last["hash"]) if last else (1, _BEGINNING)
            text = _canonical({"sequence": sequence, **record})
            values = {
                "sequence": sequence,
                "id": id_,
                "at": now,
                "actor": actor.name,
                "operation": operation,
                "record": text,
                "previous_hash": previous,
                "hash": _hash(previous, text),
            }
            connection.execute(sa.insert(AUDIT).values(values))
        return id_

    def read(self, limit: int, after: int | None = None, order: Order = NEWEST_FIRST) -> Sequence[Mapping[str, Any]]:
        """Return records; `after` is a sequence number to go on from. Words are sought in all that a record tells."""
        query = order.page(AUDIT, after, limit, AUDIT.c.record)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return [
                {**json.loads(row["record"]), "hash": row["hash"], "previous_hash": row["previous_hash"]}
                for row in rows
            ]

    def verify(self) -> Verification:
        """Hash every record anew, from the first on."""
        previous, expected = _BEGINNING, 1
        while rows := self._read_from(expected):
            for row in rows:
                if not _fits(row, expected, previous):
                    return Verification(expected - 1, expected, previous)
                previous, expected = row["hash"], expected + 1
        return Verification(expected - 1, None, previous)

    def _read_from(self, sequence: int) -> Sequence[Mapping[Any, Any]]:
        query = sa.select(AUDIT).where(AUDIT.c.sequence >= sequence).order_by(AUDIT.c.sequence).limit(_READ_AT_ONCE)
        with self._database.reading() as connection:
            return connection.execute(query).mappings().all()


def _fits(row: Mapping[Any, Any], sequence: int, previous: str) -> bool:
    told = json.loads(row["record"])
    same = all(told.get(name) == row[name] for name in ("sequence", "id", "at", "actor", "operation"))
    chained = row["previous_hash"] == previous and row["hash"] == _hash(previous, row["record"])
    return same and chained and row["sequence"] == sequence


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _hash(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
