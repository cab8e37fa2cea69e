"""Mutes: planned stops that nobody is to be woken for, until a moment that is set beforehand."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import sqlalchemy as sa

from monitor.clock import Clock
from monitor.model import Mute
from monitor.storage.database import Database
from monitor.storage.tables import MUTES


class Mutes:
    """The mutes of one database, held in memory too, so that reading them waits for nothing. Thread-safe.

    A mute changes no number and no status; it is told beside them. It ends by itself when its time is over.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._mutes: tuple[Mute, ...] = ()

    def load(self) -> None:
        """Take over what the database says, also what other monitors have changed there. Raises StorageError."""
        with self._lock:
            query = sa.select(MUTES).where(MUTES.c.ended_at.is_(None), MUTES.c.until > self._clock.now())
            with self._database.reading() as connection:
                found = [_mute(row) for row in connection.execute(query).mappings()]
            self._keep(found)

    def active(self) -> tuple[Mute, ...]:
        """Return the mutes that hold now, the one that lasts longest first."""
        now = self._clock.now()
        return tuple(mute for mute in self._mutes if mute.until > now)

    def find(self, identity: str) -> Mute | None:
        """Return the mute that holds now for a subscription or dead-letter queue, the longest-lasting of several."""
        if not self._mutes:
            return None
        now = self._clock.now()
        return next((it for it in self._mutes if it.until > now and fnmatchcase(identity, it.subject)), None)

    def add(self, subject: str, until: float, reason: str, actor: str) -> Mute:
        """Mute what `subject`, an id or a pattern over ids, matches. Raises StorageError."""
        mute = Mute(0, subject, until, reason, actor, self._clock.now())
        values = {
            "subscription": subject,
            "until": until,
            "reason": reason,
            "actor": actor,
            "created_at": mute.created_at,
        }
        with self._lock:
            with self._database.writing() as connection:
                (number,) = connection.execute(sa.insert(MUTES).values(values)).inserted_primary_key or (0,)
            mute = replace(mute, id=number)
            self._keep([*self._mutes, mute])
        return mute

    def end(self, number: int) -> Mute | None:
        """End a mute before its time and return it; None when there is none with this number. Raises StorageError."""
        with self._lock:
            mute = next((it for it in self.active() if it.id == number), None)
            if mute is None:
                return None
            update = sa.update(MUTES).where(MUTES.c.id == number).values(ended_at=self._clock.now())
            with self._database.writing() as connection:
                connection.execute(update)
            self._keep([it for it in self._mutes if it.id != number])
        return mute

    def _keep(self, mutes: list[Mute]) -> None:
        now = self._clock.now()
        self._mutes = tuple(sorted((it for it in mutes if it.until > now), key=lambda it: (-it.until, it.id)))


def _mute(row: Mapping[Any, Any]) -> Mute:
    return Mute(row["id"], row["subscription"], row["until"], row["reason"], row["actor"], row["created_at"])
