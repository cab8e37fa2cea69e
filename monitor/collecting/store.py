"""The latest view of every cluster, and who is told when it changes."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from monitor.clock import Clock
from monitor.collecting.outcome import OutcomeLog, attempt
from monitor.config import Cluster
from monitor.errors import REASONS, BrokerError
from monitor.model import ClusterView, CollectionError, Health, Snapshot, Verdict

INTERVALS_KEPT = 3
"""How many intervals the last values outlive the last success."""


class Occasion(StrEnum):
    """Why a listener is told. One `SUCCESS` or `FAILURE` comes for every cycle that was begun."""

    SUCCESS = "success"
    FAILURE = "failure"
    MISSED = "missed"
    EXPIRED = "expired"


Listener = Callable[[ClusterView, Occasion], None]


class Store:
    """Keeps one immutable `ClusterView` a cluster, swapped as a whole, so that readers need no lock.

    The clusters are those of the configuration and stay the same. A listener is called in the thread of the cluster
    that changed, with its changes in order and never two at once for one cluster; clusters do not wait for each other.
    What a listener raises is logged and counted as an `internal` error of that cluster, and keeps no other from being
    told.
    """

    def __init__(self, clusters: Sequence[Cluster], clock: Clock) -> None:
        self._clock = clock
        self._entries = {cluster.name: _Entry(_first_view(cluster)) for cluster in clusters}

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called after every change from now on. To be called before the schedule starts."""
        name = getattr(listener, "__qualname__", type(listener).__name__)
        for cluster, entry in self._entries.items():
            entry.listeners.append((listener, OutcomeLog(f"cluster {cluster}, listener {name}", self._clock)))

    def view(self, cluster: str) -> ClusterView:
        """Return the latest view of a cluster. Raises KeyError for one that is not configured."""
        return self._entries[cluster].view

    def views(self) -> tuple[ClusterView, ...]:
        """Return the latest view of every cluster, in the order of the configuration."""
        return tuple(entry.view for entry in self._entries.values())

    def succeed(self, cluster: str, snapshot: Snapshot, verdicts: tuple[Verdict, ...], seconds: float) -> None:
        """Put the snapshot of a cycle that took `seconds` in the place of the one before."""
        entry = self._entries[cluster]
        with entry.lock:
            entry.succeeded_at = self._clock.monotonic()
            health = replace(
                _with_errors(entry.view.health, snapshot.errors),
                up=True,
                last_success=self._clock.now(),
                cycle_seconds=seconds,
            )
            self._swap(entry, ClusterView(health, snapshot, verdicts), Occasion.SUCCESS)

    def fail(self, cluster: str, error: CollectionError, seconds: float) -> None:
        """Note that a cycle got nothing. The last values stay as long as they are young enough."""
        entry = self._entries[cluster]
        with entry.lock:
            health = replace(_with_errors(entry.view.health, (error,)), up=False, cycle_seconds=seconds)
            self._swap(entry, self._aged(entry, health), Occasion.FAILURE)

    def miss(self, cluster: str, runs: int) -> None:
        """Note that `runs` cycles could not begin when they were due."""
        entry = self._entries[cluster]
        with entry.lock:
            before = entry.view.health
            health = replace(before, missed_runs_total=before.missed_runs_total + runs)
            self._swap(entry, self._aged(entry, health), Occasion.MISSED)

    def expire(self) -> None:
        """Drop the snapshots whose last success is too long ago. To be called often, since nothing else may happen."""
        for entry in self._entries.values():
            if not self._expired(entry):
                continue
            with entry.lock:
                if self._expired(entry):
                    self._swap(entry, self._aged(entry, entry.view.health), Occasion.EXPIRED)

    def _expired(self, entry: "_Entry") -> bool:
        if entry.view.snapshot is None:
            return False
        # By the clock that never jumps: a corrected wall clock neither keeps old values nor drops fresh ones.
        return self._clock.monotonic() - entry.succeeded_at > INTERVALS_KEPT * entry.view.health.interval

    def _aged(self, entry: "_Entry", health: Health) -> ClusterView:
        """Return the view with new health, and without the snapshot if that is too old."""
        return ClusterView(health) if self._expired(entry) else replace(entry.view, health=health)

    def _swap(self, entry: "_Entry", view: ClusterView, occasion: Occasion) -> None:
        entry.view = view
        failed = 0
        for listener, log in entry.listeners:
            error = attempt(lambda told=listener: told(view, occasion)).error  # type: ignore[misc]
            log.record(error)
            failed += error is not None
        if failed:
            totals = _counted(view.health.errors_total, (BrokerError.reason,) * failed)
            entry.view = replace(view, health=replace(view.health, errors_total=totals))


class _Entry:
    """One cluster: its lock is held while its view is swapped and told, so that listeners hear of changes in order."""

    __slots__ = ("listeners", "lock", "succeeded_at", "view")

    def __init__(self, view: ClusterView) -> None:
        self.lock = threading.Lock()
        self.view = view
        self.succeeded_at = 0.0
        self.listeners: list[tuple[Listener, OutcomeLog]] = []


def _first_view(cluster: Cluster) -> ClusterView:
    return ClusterView(Health(cluster.name, cluster.kind, cluster.interval, errors_total=dict.fromkeys(REASONS, 0)))


def _with_errors(health: Health, errors: tuple[CollectionError, ...]) -> Health:
    return replace(
        health, errors=errors, errors_total=_counted(health.errors_total, [error.reason for error in errors])
    )


def _counted(totals: Mapping[str, int], reasons: Sequence[str]) -> Mapping[str, int]:
    # Not `Counter + Counter`, which drops the zeros that the counters begin with.
    more = Counter(reasons)
    return {reason: totals.get(reason, 0) + more[reason] for reason in {**totals, **more}}
