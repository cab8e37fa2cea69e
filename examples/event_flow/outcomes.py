"""How it ended with messages, and how often."""

import threading
from collections import Counter
from enum import StrEnum


class Outcome(StrEnum):
    """How it ended with one message at one service, on one bus."""

    PUBLISHED = "published"
    PROCESSED = "processed"
    DUPLICATE = "duplicate"  # processed before, so that nothing was done
    IGNORED = "ignored"  # an event that this service has no use for
    POSTPONED = "postponed"  # failed; the bus delivers it again
    DEAD_LETTERED = "dead_lettered"
    ABANDONED = "abandoned"  # the service ends; the bus delivers it again


class Tally:
    """Counts outcomes by worker. Threads count into it, the main thread reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Outcome]] = Counter()

    def add(self, worker: str, outcome: Outcome) -> None:
        """Count one outcome of a worker."""
        with self._lock:
            self._counts[worker, outcome] += 1

    def get(self, worker: str, *outcomes: Outcome) -> int:
        """Return how often any of the outcomes was counted for the worker."""
        with self._lock:
            return sum(self._counts[worker, outcome] for outcome in outcomes)

    def settled(self, worker: str) -> int:
        """Return how many messages the worker has done with for good."""
        return self.get(worker, Outcome.PROCESSED, Outcome.DUPLICATE, Outcome.IGNORED, Outcome.DEAD_LETTERED)

    def copy(self) -> Counter[tuple[str, Outcome]]:
        """Return all counts of now."""
        with self._lock:
            return self._counts.copy()
