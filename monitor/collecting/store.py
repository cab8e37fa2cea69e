"""The latest view of every cluster, and who is told when it changes."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    """Why a listener is told. One `SUCCESS` or `FAILURE` comes for every cycle that was begun.

    `LEFT` says that the cluster is not read here: another monitor does, or the configuration no longer has it.
    """

    ADDED = "added"
    SUCCESS = "success"
    FAILURE = "failure"
    MISSED = "missed"
    EXPIRED = "expired"
    LEFT = "left"


Listener = Callable[[ClusterView, Occasion], None]


class Store:
    """Keeps one immutable `ClusterView` a cluster, swapped as a whole, so that readers need no lock.

    The clusters are those of the configuration. A listener is called in the thread of the cluster that changed, with
    its changes in order and never two at once for one cluster; clusters do not wait for each other. What a listener
    raises is logged and counted as an `internal` error of that cluster, and keeps no other from being told. What comes
    of a cluster that is no longer configured is let fall.
    """

    def __init__(self, clusters: Sequence[Cluster], clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[Listener] = []
        self._entries: Mapping[str, _Entry] = {cluster.name: _Entry(_first_view(cluster)) for cluster in clusters}

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called after every change from now on. To be called before the schedule starts."""
        self._listeners.append(listener)
        for cluster, entry in self._entries.items():
            entry.listeners.append(self._logged(listener, cluster))

    def replace(self, clusters: Sequence[Cluster]) -> None:
        """Keep these clusters from now on. What is known of one that stays goes on, also when it is read otherwise."""
        before = self._entries
        entries = {cluster.name: before.get(cluster.name) or _Entry(_first_view(cluster)) for cluster in clusters}
        for cluster in clusters:
            entry = entries[cluster.name]
            if entry.view.health.kind != cluster.kind:
                entries[cluster.name] = _Entry(_first_view(cluster))
            elif entry.view.health.interval != cluster.interval:
                with entry.lock:
                    health = replace(entry.view.health, interval=cluster.interval)
                    entry.view = replace(entry.view, health=health)
        self._entries = entries
        for name, entry in before.items():
            if entries.get(name) is not entry:
                with entry.lock:
                    self._swap(entry, ClusterView(entry.view.health), Occasion.LEFT)
        for name, entry in entries.items():
            if before.get(name) is not entry:
                entry.listeners = [self._logged(listener, name) for listener in self._listeners]
                with entry.lock:
                    self._swap(entry, entry.view, Occasion.ADDED)

    def _logged(self, listener: Listener, cluster: str) -> tuple[Listener, OutcomeLog]:
        name = getattr(listener, "__qualname__", type(listener).__name__)
        return listener, OutcomeLog(f"cluster {cluster}, listener {name}", self._clock)

    def view(self, cluster: str) -> ClusterView:
        """Return the latest view of a cluster. Raises KeyError for one that is not configured."""
        return self._entries[cluster].view

    def views(self) -> tuple[ClusterView, ...]:
        """Return the latest view of every cluster, in the order of the configuration."""
        return tuple(entry.view for entry in self._entries.values())

    def succeed(self, cluster: str, snapshot: Snapshot, verdicts: tuple[Verdict, ...], seconds: float) -> None:
        """Put the snapshot of a cycle that took `seconds` in the place of the one before."""
        with self._changing(cluster) as entry:
            entry.succeeded_at = self._clock.monotonic()
            health = replace(
                _with_errors(entry.view.health, snapshot.errors),
                up=True,
                last_success=self._clock.now(),
                cycle_seconds=seconds,
                read_by=None,
            )
            self._swap(entry, ClusterView(health, snapshot, verdicts), Occasion.SUCCESS)

    def fail(self, cluster: str, error: CollectionError, seconds: float) -> None:
        """Note that a cycle got nothing. The last values stay as long as they are young enough."""
        with self._changing(cluster) as entry:
            health = replace(_with_errors(entry.view.health, (error,)), up=False, cycle_seconds=seconds, read_by=None)
            self._swap(entry, self._aged(entry, health), Occasion.FAILURE)

    def leave(self, cluster: str, read_by: str) -> None:
        """Note that another monitor reads a cluster, `read_by` its address or empty: nothing of it is told here."""
        with self._changing(cluster) as entry:
            health = entry.view.health
            if health.read_by is None:
                nobody_counted = dict.fromkeys(health.errors_total, 0)
                away = Health(cluster, health.kind, health.interval, errors_total=nobody_counted, read_by=read_by)
                self._swap(entry, ClusterView(away), Occasion.LEFT)
            elif health.read_by != read_by:
                entry.view = ClusterView(replace(health, read_by=read_by))

    def miss(self, cluster: str, runs: int) -> None:
        """Note that `runs` cycles could not begin when they were due."""
        with self._changing(cluster) as entry:
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

    @contextmanager
    def _changing(self, cluster: str) -> "Iterator[_Entry]":
        entry = self._entries.get(cluster)
        if entry:
            with entry.lock:
                # Asked under the lock: what comes after the configuration has let go of it changes nothing.
                if self._entries.get(cluster) is entry:
                    yield entry
                    return
        yield _Entry(_NO_VIEW)

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


_NO_VIEW = ClusterView(Health("", "", 0.0))


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
