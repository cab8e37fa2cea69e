"""Who has signed in: sessions that end, kept in memory, so that a restart of the dashboard signs everybody out."""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MOST_SESSIONS = 1000


@dataclass(slots=True)
class Session:
    """A token of the API that somebody has given, and when that was and was used last (by a clock that never jumps)."""

    token: str
    began: float
    used: float


class Sessions:
    """All sessions, by the hash of the secret that is in the browser's cookie. Thread-safe.

    A session ends `lasts_seconds` after it began, or when it was not used for `idle_seconds`. When there are too many,
    the one that was not used the longest ends.
    """

    def __init__(self, lasts_seconds: float, idle_seconds: float, monotonic: Callable[[], float]) -> None:
        self.lasts_seconds, self.idle_seconds, self._monotonic = lasts_seconds, idle_seconds, monotonic
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, token: str) -> str:
        """Begin a session and return its secret, which is kept nowhere else."""
        secret, now = secrets.token_urlsafe(32), self._monotonic()
        with self._lock:
            self._sessions[_key(secret)] = Session(token, now, now)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return secret

    def find(self, secret: str | None) -> str | None:
        """Return the token of the session with this secret, which counts as used now; None when there is none."""
        if not secret:
            return None
        key, now = _key(secret), self._monotonic()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if now - session.began > self.lasts_seconds or now - session.used > self.idle_seconds:
                del self._sessions[key]
                return None
            session.used = now
            self._sessions.move_to_end(key)
            return session.token

    def end(self, secret: str | None) -> None:
        """End the session with this secret, if there is one."""
        with self._lock:
            self._sessions.pop(_key(secret or ""), None)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
