"""Dead letters set aside in the database, where the broker cannot keep them itself: sealed, with a cap and an end.

To set aside is to move: each message is taken into the hand, kept here, and then removed from its queue; the way back
is the same the other way round. So both are a `letters.Held`, and what an interruption leaves behind is settled as in
any other job.
"""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from monitor.clock import Clock
from monitor.letters import DeadMessage, Held, Job, Outgoing, Returner, SendResult
from monitor.redrive.sealing import Sealer
from monitor.storage.database import Database, upsert
from monitor.storage.tables import ARCHIVE

TAKEN_AT_ONCE = 500
"""Messages that a job of restoring has in its hand, and so may double when it is interrupted."""


_COUNT_EVERY_SECONDS = 10.0


class ArchiveFull(Exception):
    """The cap is reached."""


@dataclass(frozen=True, slots=True)
class Stock:
    """How much of one archive there is, and when it is deleted (Unix seconds); None where nothing is."""

    messages: int
    bytes: int
    delete_at: float | None


class Archive:
    """What is set aside in one database. Thread-safe; raises StorageError."""

    def __init__(self, database: Database, sealer: Sealer, keep_seconds: float, most_bytes: int, clock: Clock) -> None:
        self._database, self._sealer, self._keep, self._clock = database, sealer, keep_seconds, clock
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes, self._summed_at = 0, float("-inf")

    @property
    def usable(self) -> bool:
        """Say whether anything can be set aside here."""
        return self._sealer.has_keys

    def put(self, job: str, messages: Sequence[tuple[str, DeadMessage]]) -> None:
        """Keep messages under their names within a job; one that is there already is kept once. Raises ArchiveFull."""
        delete_at = self._clock.now() + self._keep
        sealed = [(name, self._sealer.seal(message)) for name, message in messages]
        added = sum(len(body) for _, body in sealed)
        with self._lock, self._database.writing() as connection:
            if self._sum(connection) + added > self.most_bytes:
                raise ArchiveFull
            newest = sa.select(sa.func.max(ARCHIVE.c.sequence)).where(ARCHIVE.c.job == job)
            first = (connection.execute(newest).scalar() or 0) + 1
            rows = [
                {
                    "job": job,
                    "position": name,
                    "sequence": number,
                    "bytes": len(body),
                    "delete_at": delete_at,
                    "body": body,
                }
                for number, (name, body) in enumerate(sealed, start=first)
            ]
            upsert(connection, ARCHIVE, rows)
            self._bytes += added

    def _sum(self, connection: sa.Connection) -> int:
        """Return how much there is of all, counted anew every few seconds: other monitors add and take away as well."""
        now = self._clock.monotonic()
        if now - self._summed_at > _COUNT_EVERY_SECONDS:
            self._bytes = int(connection.execute(sa.select(sa.func.sum(ARCHIVE.c.bytes))).scalar() or 0)
            self._summed_at = now
        return self._bytes

    def page(self, job: str, limit: int, after: int = 0) -> list[tuple[int, DeadMessage]]:
        """Return messages of an archive with their numbers, in the order in which they were taken.

        Their positions are their names in the archive.
        """
        columns = (ARCHIVE.c.sequence, ARCHIVE.c.position, ARCHIVE.c.body)
        query = sa.select(*columns).where(ARCHIVE.c.job == job, ARCHIVE.c.sequence > after)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(ARCHIVE.c.sequence).limit(limit)).all()
        return [(number, replace(self._sealer.open(body), position=position)) for number, position, body in rows]

    def remove(self, job: str, positions: Sequence[str]) -> None:
        """Let go of messages."""
        with self._database.writing() as connection:
            where = (ARCHIVE.c.job == job, ARCHIVE.c.position.in_(positions))
            connection.execute(sa.delete(ARCHIVE).where(*where))

    def stock(self, job: str) -> Stock:
        """Return how much of one archive there is."""
        columns = (sa.func.count(), sa.func.sum(ARCHIVE.c.bytes), sa.func.max(ARCHIVE.c.delete_at))
        with self._database.reading() as connection:
            messages, size, delete_at = connection.execute(sa.select(*columns).where(ARCHIVE.c.job == job)).one()
        return Stock(messages, int(size or 0), delete_at)

    def bytes(self) -> int:
        """Return how much there is of all."""
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.sum(ARCHIVE.c.bytes))).scalar() or 0)

    def expire(self) -> int:
        """Delete what has come to its date, and return how many messages that were."""
        with self._database.writing() as connection:
            return connection.execute(sa.delete(ARCHIVE).where(ARCHIVE.c.delete_at <= self._clock.now())).rowcount


class ArchivingHeld:
    """Takes from a queue, and sends into the archive."""

    def __init__(self, held: Held, archive: Archive, job: Job) -> None:
        self._held, self._archive, self._job = held, archive, job
        self.positions_are_unique = getattr(held, "positions_are_unique", True)

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        """Take from the queue."""
        return self._held.take(limit, deadline)

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        """Keep messages; when the archive is full, they stay where they are."""
        named = [(self._name(it.message), it.message) for it in messages]
        try:
            self._archive.put(self._job.id, named)
        except ArchiveFull:
            reason = f"the archive is full ({self._archive.most_bytes:,} bytes, archive.most_bytes)"
            return [SendResult(False, reason=reason)] * len(messages)
        return [SendResult(True, f"archive {self._job.id}: {name}") for name, _ in named]

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        """Remove from the queue."""
        return self._held.remove(messages, deadline)

    def release(self, messages: Sequence[DeadMessage]) -> None:
        """Give back to the queue."""
        self._held.release(messages)

    def close(self) -> None:
        """Let go of the queue."""
        self._held.close()

    def _name(self, message: DeadMessage) -> str:
        # Equal messages share a position: each is kept, and after an interruption one may be kept twice, never none.
        return message.position if self.positions_are_unique else f"{message.position}#{uuid.uuid4().hex[:12]}"


class RestoringHeld:
    """Takes from an archive, and sends into the queue that the messages came from."""

    positions_are_unique = True

    def __init__(self, archive: Archive, of: str, returner: Returner) -> None:
        self._archive, self._of, self._returner = archive, of, returner
        self._last = 0

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        """Take what comes next in the archive; what is left there is not taken again."""
        numbered = self._archive.page(self._of, min(limit, TAKEN_AT_ONCE), self._last)
        if numbered:
            self._last = numbered[-1][0]
        return [message for _, message in numbered]

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        """Put messages into their queue as they were."""
        return self._returner.put([it.message for it in messages], deadline)

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        """Let go of them here."""
        self._archive.remove(self._of, [message.position for message in messages])
        return [True] * len(messages)

    def release(self, messages: Sequence[DeadMessage]) -> None:
        """Do nothing: what is not removed is still there."""

    def close(self) -> None:
        """Let go of the broker."""
        self._returner.close()
