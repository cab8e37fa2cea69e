"""Counters that outlive collectors and restarts: held in memory, written to the database at a slow pace."""

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import sqlalchemy as sa

from monitor.clock import Clock
from monitor.memory import Memory, Remembered
from monitor.model import Table
from monitor.storage.database import Database, upsert
from monitor.storage.tables import COUNTERS

_UNCLAIMED_KEPT_SECONDS = 3600.0
"""How long what the first tables do not have waits for its owner: a group may not be seen in the first cycles."""

_FORSAKEN_SECONDS = 30 * 86400.0
"""How long the counters of a cluster that is no longer configured are kept, in case it is again."""

_ROWS_AT_ONCE = 5_000

Numbers = dict[str, dict[str, float]]  # by the labels as JSON, then by column


class Counters:
    """The memories of all clusters in one database. Thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._memories: dict[str, _ClusterMemory] = {}

    def load(self, clusters: Collection[str]) -> None:
        """Read what was kept for the configured clusters, and drop what none has claimed for long.

        Raises StorageError.
        """
        forsaken = sa.delete(COUNTERS).where(
            COUNTERS.c.cluster.not_in(list(clusters)), COUNTERS.c.settled_until < self._clock.now() - _FORSAKEN_SECONDS
        )
        with self._database.writing() as connection:
            connection.execute(forsaken)
        self._memories = {name: self._read(name) for name in clusters}

    def memory_of(self, cluster: str) -> Memory:
        """Return the memory of a cluster; read now if it was never loaded or was forgotten. Raises StorageError."""
        if cluster not in self._memories:
            self._memories[cluster] = self._read(cluster)
        return self._memories[cluster]

    def forget(self, cluster: str) -> None:
        """Let go of a cluster that is not read here any more: whoever reads it writes its counters."""
        self._memories.pop(cluster, None)

    def _read(self, cluster: str) -> "_ClusterMemory":
        memory = _ClusterMemory(self._clock)
        with self._database.reading() as connection:
            for row in connection.execute(sa.select(COUNTERS).where(COUNTERS.c.cluster == cluster)):
                name, _, column = row.family.partition(".")
                memory.restore(name, row.labels, column, row.value)
        return memory

    def save(self) -> None:
        """Write what has changed since the last time. Raises StorageError; what could not be written is next time."""
        now = self._clock.now()
        memories = dict(self._memories)
        changes = {cluster: memory.changes() for cluster, memory in memories.items()}
        gone = [{"c": c, "f": f, "l": labels} for c, it in changes.items() for f, labels in it.gone]
        changed = (
            {"cluster": c, "family": f, "labels": labels, "value": value, "settled_until": now}
            for c, it in changes.items()
            for f, labels, value in it.changed
        )
        some = list(islice(changed, _ROWS_AT_ONCE))
        if gone or some:
            with self._database.writing() as connection:
                if gone:
                    connection.execute(_DELETE, gone)
                while some:
                    upsert(connection, COUNTERS, some)
                    some = list(islice(changed, _ROWS_AT_ONCE))
        for cluster, it in changes.items():
            memories[cluster].note_saved(it)


class _Changes:
    """What is to be written of one cluster: (family, labels) that are gone, (family, labels, value) that changed.

    The latter are made while they are written: of all groups of a large cluster at once they would be its peak memory.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.expired: list[str] = []
        self.gone: list[tuple[str, str]] = []
        self.changed: Iterator[tuple[str, str, float]] = iter(())


class _ClusterMemory:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: dict[str, Table] = {}
        self._saved: dict[str, Table] = {}
        self._unclaimed: dict[str, Numbers] = {}
        self._since: dict[str, float] = {}

    def restore(self, name: str, labels: str, column: str, value: float) -> None:
        """Take over one number from the database."""
        self._unclaimed.setdefault(name, {}).setdefault(labels, {})[column] = value
        self._since[name] = self._clock.monotonic()

    def recall(self, name: str, labels: Sequence[str]) -> Remembered:
        """Return what was kept last; see `Memory.recall`."""
        with self._lock:
            found = self._unclaimed.setdefault(name, {})
            if name in self._latest:
                # Whoever asks begins anew, and may not see everything at once.
                found.update(_numbers(self._latest[name]))
            self._since[name] = self._clock.monotonic()
            known = dict(found)
        return {tuple(json.loads(key)[label] for label in labels): columns for key, columns in known.items()}

    def keep(self, name: str, table: Table) -> None:
        """Keep a table; see `Memory.keep`."""
        with self._lock:
            self._latest[name] = table

    def changes(self) -> _Changes:
        """Return what differs from what was saved."""
        found = _Changes()
        with self._lock:
            found.tables = dict(self._latest)
            self._let_claimed_go()
            found.expired = [
                name
                for name in found.tables
                if self._unclaimed.get(name) and self._clock.monotonic() - self._since[name] >= _UNCLAIMED_KEPT_SECONDS
            ]
            unclaimed = {name: set(self._unclaimed.get(name, ())) for name in found.tables}
        for name, table in found.tables.items():
            saved = self._saved.get(name)
            found.changed = chain(found.changed, _changed(name, table, saved))
            leaving: set[str] = unclaimed[name] if name in found.expired else set()
            if saved is not None and saved.labels is not table.labels:
                leaving |= set(_keys(saved)) - unclaimed[name]
            if leaving:
                leaving -= set(_keys(table))
            found.gone += [(f"{name}.{column}", key) for key in leaving for column in table.columns]
        return found

    def _let_claimed_go(self) -> None:
        for name, table in self._latest.items():
            if self._unclaimed.get(name):
                claimed = set(_keys(table))
                self._unclaimed[name] = {key: it for key, it in self._unclaimed[name].items() if key not in claimed}

    def note_saved(self, changes: _Changes) -> None:
        """Note that changes have been written."""
        self._saved = changes.tables
        with self._lock:
            for name in changes.expired:
                self._unclaimed[name] = {}


def _changed(name: str, table: Table, saved: Table | None) -> Iterator[tuple[str, str, float]]:
    comparable = saved is not None and saved.labels is table.labels
    for column, values in table.columns.items():
        differs = np.isfinite(values)
        if comparable and saved is not None and column in saved.columns:
            differs &= values != saved.columns[column]
        rows = np.flatnonzero(differs)
        if len(rows):
            pairs = zip(_keys(table, rows), values[rows].tolist(), strict=True)
            yield from ((f"{name}.{column}", key, value) for key, value in pairs)


def _keys(table: Table, rows: "np.ndarray[Any, Any] | None" = None) -> list[str]:
    labels = sorted(table.labels, key=lambda label: label.name)
    codes = [(label.codes if rows is None else label.codes[rows]).tolist() for label in labels]
    names = [label.name for label in labels]
    texts = ([label.values[code] for code in column] for label, column in zip(labels, codes, strict=True))
    return [json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=True) for values in zip(*texts, strict=True)]


def _numbers(table: Table) -> Iterable[tuple[str, dict[str, float]]]:
    columns = {name: values.tolist() for name, values in table.columns.items()}
    for row, key in enumerate(_keys(table)):
        yield key, {name: values[row] for name, values in columns.items() if np.isfinite(values[row])}


_DELETE = sa.delete(COUNTERS).where(
    COUNTERS.c.cluster == sa.bindparam("c"),
    COUNTERS.c.family == sa.bindparam("f"),
    COUNTERS.c.labels == sa.bindparam("l"),
)
