"""What jobs have changed on the way: hashes of each message before and after, and the sealed originals."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.clock import Clock
from monitor.letters import DeadMessage
from monitor.redrive.editing import Edit
from monitor.redrive.sealing import Sealer
from monitor.storage.database import Database, upsert
from monitor.storage.tables import REDRIVE_EDITS

_READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class KeptEdit:
    """One change as it is kept; `original` is None once it is deleted, or where the broker keeps it itself."""

    position: str
    before_sha256: str
    after_sha256: str
    original: DeadMessage | None = None


class EditLog:
    """The changes in one database. Thread-safe; raises StorageError."""

    def __init__(self, database: Database, sealer: Sealer, keep_seconds: float, clock: Clock) -> None:
        self._database, self._sealer, self._keep, self._clock = database, sealer, keep_seconds, clock

    def keep(self, job: str, edits: Sequence[Edit], *, originals: bool) -> None:
        """Keep changes; the originals as well, where nobody else does."""
        delete_at = self._clock.now() + self._keep if originals else None
        rows = [
            {
                "job": job,
                "position": it.original.position,
                "before_sha256": it.before_sha256,
                "after_sha256": it.after_sha256,
                "original": self._sealer.seal(it.original) if originals else None,
                "delete_at": delete_at,
            }
            for it in edits
        ]
        if rows:
            with self._database.writing() as connection:
                upsert(connection, REDRIVE_EDITS, rows)

    def hashes(self, job: str, positions: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the hashes before and after of those messages that were changed. At most a page of positions."""
        columns = (REDRIVE_EDITS.c.position, REDRIVE_EDITS.c.before_sha256, REDRIVE_EDITS.c.after_sha256)
        query = sa.select(*columns).where(REDRIVE_EDITS.c.job == job, REDRIVE_EDITS.c.position.in_(positions))
        with self._database.reading() as connection:
            return {position: (before, after) for position, before, after in connection.execute(query)}

    def page(self, job: str, limit: int, after: str | None) -> list[KeptEdit]:
        """Return changes with their originals, in the order of their positions' texts."""
        query = sa.select(REDRIVE_EDITS).where(REDRIVE_EDITS.c.job == job)
        if after is not None:
            query = query.where(REDRIVE_EDITS.c.position > after)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(REDRIVE_EDITS.c.position).limit(limit)).mappings().all()
        return [
            KeptEdit(
                row["position"],
                row["before_sha256"],
                row["after_sha256"],
                None if row["original"] is None else self._sealer.open(row["original"]),
            )
            for row in rows
        ]

    def digest(self, job: str) -> dict[str, Any]:
        """Return how many messages were changed, and one hash over all of them, which the audit log keeps."""
        digest, count, after = hashlib.sha256(), 0, ""
        columns = (REDRIVE_EDITS.c.position, REDRIVE_EDITS.c.before_sha256, REDRIVE_EDITS.c.after_sha256)
        query = sa.select(*columns).where(REDRIVE_EDITS.c.job == job).order_by(REDRIVE_EDITS.c.position)
        with self._database.reading() as connection:
            while rows := connection.execute(query.where(REDRIVE_EDITS.c.position > after).limit(_READ_AT_ONCE)).all():
                for row in rows:
                    digest.update("\t".join(row).encode() + b"\n")
                count, after = count + len(rows), rows[-1][0]
        return {"messages": count, "digest": digest.hexdigest() if count else None}

    def expire(self) -> int:
        """Delete the originals whose date has come; their hashes stay. Return how many."""
        due = sa.update(REDRIVE_EDITS).where(REDRIVE_EDITS.c.delete_at <= self._clock.now())
        with self._database.writing() as connection:
            return connection.execute(due.values(original=None, delete_at=None)).rowcount
