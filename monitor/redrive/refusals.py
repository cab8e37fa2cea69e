"""Refused reads, written down so that whoever asks again and again cannot fill the log.

Of one kind (who, and what for) the first refusal is a record at once; those of the next ten minutes are counted, and
become one record with their number (`repeated`). What is counted and not yet told when a monitor is killed is lost.
"""

import logging
import threading
from dataclasses import dataclass, replace

from monitor.clock import Clock
from monitor.errors import BrokerFailed, Forbidden, RequestError, StorageError
from monitor.redrive.audit import Actor, Audit

_LOG = logging.getLogger(__name__)
_TELL_EVERY_SECONDS = 600.0
_MOST_KINDS = 100  # beyond them, the kind is that of everybody else
_LONGEST_PATH = 300
_OTHERS = Actor("others", "various")


@dataclass(frozen=True, slots=True)
class _Kind:
    actor: Actor
    operation: str
    path: str
    told_at: float
    repeated: int = 0


class Refusals:
    """Counts refusals, and writes them into the audit log. Thread-safe."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit, self._clock = audit, clock
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._lock = threading.Lock()

    def note(self, actor: Actor, operation: str, path: str, error: RequestError) -> None:
        """Write down that somebody was refused something, or count it."""
        now = self._clock.monotonic()
        with self._lock:
            if (actor.name, operation) not in self._kinds and len(self._kinds) >= _MOST_KINDS:
                actor, operation, path = _OTHERS, "read", ""
            known = self._kinds.get((actor.name, operation))
            if known is not None:
                self._kinds[actor.name, operation] = replace(known, repeated=known.repeated + 1)
                return
            self._kinds[actor.name, operation] = _Kind(actor, operation, path[:_LONGEST_PATH], now)
        self._write(actor, operation, path=path[:_LONGEST_PATH] or None, error=str(error.title))

    def tell(self) -> None:
        """Write down how many there were of each kind since it was told, and forget those that were not repeated."""
        now = self._clock.monotonic()
        with self._lock:
            due = [key for key, it in self._kinds.items() if now - it.told_at >= _TELL_EVERY_SECONDS]
            found = [self._kinds.pop(key) for key in due]
            for it in found:
                if it.repeated:
                    self._kinds[it.actor.name, it.operation] = replace(it, told_at=now, repeated=0)
        for it in found:
            if it.repeated:
                self._write(it.actor, it.operation, path=it.path or None, repeated=it.repeated)

    def _write(self, actor: Actor, operation: str, **told: object) -> None:
        try:
            self._audit.write(actor, operation, "refused", **told)
        except StorageError:  # the refusal itself stands, whether it can be written down or not
            _LOG.warning("a refusal could not be written into the audit log", extra={"operation": operation})


def is_refusal(error: RequestError) -> bool:
    """Say whether an error is about what somebody may do, and not about what was asked for."""
    forbidden = isinstance(error, BrokerFailed) and error.members.get("reason") == Forbidden.reason
    return error.status in (401, 403) or forbidden
