"""The one edge where every exception is caught: work is tried, and what became of it is kept and told."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from monitor.clock import Clock
from monitor.errors import BrokerError, StorageError
from monitor.logs import without_credentials
from monitor.model import CollectionError

Value = TypeVar("Value")

_LOG = logging.getLogger(__name__)
_REMINDER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Value]):
    """What became of some work: its value, or the error that ended it."""

    value: Value | None
    error: Exception | None = None


def attempt(work: Callable[[], Value]) -> Outcome[Value]:
    """Do `work` and return what became of it. Raises nothing that `work` raises, except what ends a thread."""
    try:
        return Outcome(work())
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in one job must not reach the others
        return Outcome(None, error)


def as_collection_error(error: Exception, target: str) -> CollectionError:
    """Put an error into the shape that health and metrics know.

    What is no BrokerError is a mistake of ours, reason `internal`; its own text is not repeated, it may quote anything.
    """
    if isinstance(error, BrokerError):
        return CollectionError(error.reason, error.target or target, str(error))
    return CollectionError(
        BrokerError.reason, target, f"unexpected {type(error).__name__}; the log of the monitor has its traceback"
    )


class OutcomeLog:
    """Logs what becomes of a job that is done again and again: when it changes, and a reminder while it stays bad."""

    def __init__(self, subject: str, clock: Clock, reminder_seconds: float = _REMINDER_SECONDS) -> None:
        self._subject, self._clock, self._reminder_seconds = subject, clock, reminder_seconds
        self._last: tuple[str, ...] = ()
        self._told_at = 0.0
        self._failures = 0

    def record(self, error: Exception | None) -> None:
        """Take note of one outcome; None is a success."""
        if error is None:
            self._record_success()
            return
        now, kind = self._clock.monotonic(), _kind(error)
        self._failures += 1
        if kind == self._last and now - self._told_at < self._reminder_seconds:
            return
        self._last, self._told_at = kind, now
        _LOG.log(
            logging.WARNING if isinstance(error, BrokerError | StorageError) else logging.ERROR,
            "%s: failed, %d in a row: %s",
            self._subject,
            self._failures,
            _describe(error),
        )

    def _record_success(self) -> None:
        if self._failures:
            _LOG.info("%s: works again after %d failures", self._subject, self._failures)
        self._last, self._failures = (), 0


def _kind(error: Exception) -> tuple[str, ...]:
    """Tell errors apart by what they are about: their texts may carry a number that differs every time."""
    if isinstance(error, BrokerError):
        return (type(error).__name__, error.target)
    if isinstance(error, StorageError):
        return (type(error).__name__,)
    frames = traceback.extract_tb(error.__traceback__)
    return (type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in frames[-1:]))


def _describe(error: Exception) -> str:
    if isinstance(error, BrokerError | StorageError):
        return str(error)
    # A library's text may quote the address that it was given, with the password in it.
    return without_credentials("".join(traceback.format_exception(error)))
