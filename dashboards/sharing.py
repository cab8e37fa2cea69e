"""Answers of the API that hold for a moment: several who look at once, and the parts of one page, ask once."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from monitor.apiclient import ApiClient


class Answers:
    """What was asked a moment ago, or is being asked just now. Thread-safe.

    `lasts_seconds` is how long an answer holds, counted from when it was asked for. Failures are not kept.
    """

    def __init__(self, lasts_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.lasts_seconds, self._monotonic = lasts_seconds, monotonic
        self._known: dict[Hashable, tuple[float, Future[Any]]] = {}
        self._lock = threading.Lock()

    def find(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """Return the answer that holds for a key, else what `ask` gives. Raises what it raises."""
        with self._lock:
            now = self._monotonic()
            for old in [it for it, (at, _) in self._known.items() if now - at >= self.lasts_seconds]:
                del self._known[old]
            known = self._known.get(key)
            mine: Future[Any] = Future()
            if known is None:
                self._known[key] = (now, mine)
        if known is not None:
            return known[1].result()
        try:
            mine.set_result(ask())
        except BaseException as error:
            # Whatever it is, nobody must wait for an answer that does not come.
            self._forget(key, mine)
            mine.set_exception(error)
            raise
        return mine.result()

    def _forget(self, key: Hashable, failed: Future[Any]) -> None:
        with self._lock:
            if self._known.get(key, (0.0, None))[1] is failed:
                del self._known[key]

    def forget(self) -> None:
        """Forget everything: something has been changed."""
        with self._lock:
            self._known.clear()


class SharingClient(ApiClient):
    """A client whose answers are shared among all that ask by the same token for the same person."""

    def __init__(
        self, answers: Answers, url: str, token: str | None, person: str | None, timeout_seconds: float
    ) -> None:
        super().__init__(url, token, person=person, timeout_seconds=timeout_seconds)
        self._answers, self._asker = answers, (url, token, person)

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        if method == "GET":
            key = (self._asker, path, repr(sorted((query or {}).items())))
            return self._answers.find(key, lambda: ApiClient._ask(self, method, path, query))
        try:
            return super()._ask(method, path, query, body, headers)
        finally:
            self._answers.forget()
