"""Which series of a cluster the page shows, where its configuration leaves some out: by family, and by a limit.

The limit holds in every cycle for the same series, whatever the order in which things were seen, and for two monitors
that watch the same: tables come in a fixed order, from what is told of the whole to what is told of each partition, and
within a table the rows come by the names of what they speak of. Where a table does not fit, its last rows go, a queue
or a group's topic at a time so that sums over one stay right, and so does every table after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.config import Filter
from monitor.exposition.families import PREFIX
from monitor.model import Ids, Labels, Table

UNIFIED = "unified "
"""How the names of tables begin that every bus has."""

SAMPLES_OF_COUNTS = 2
"""How many samples will tell how many are shown and how many left out."""

_COLLECTOR = f"{UNIFIED}collector"
_SUBJECTS = frozenset({"system", "destination", "subscriber", "vhost", "queue", "group", "topic"})


_ALL = Filter()


@dataclass(frozen=True, slots=True)
class Choice:
    """The families to show, named with or without the prefix, and how many samples at most; None for any number.

    What is told of the collector itself is always shown.
    """

    families: Filter = _ALL
    most: int | None = None


EVERYTHING = Choice()


def choose(tables: Mapping[str, Table], choice: Choice) -> tuple[Mapping[str, Table], int]:
    """Return what of the tables is shown, and how many samples the limit leaves out."""
    if choice.families != _ALL:
        tables = {
            name: table if _is_own(name) else _of_families(table, choice.families) for name, table in tables.items()
        }
    if choice.most is None:
        return tables, 0
    left, dropped, shown = max(0, choice.most - SAMPLES_OF_COUNTS), 0, {}
    for name in sorted(tables, key=lambda name: (_rank(name, tables[name]), name)):
        table, samples = tables[name], count_samples(tables[name])
        if samples > left and not _is_own(name):
            table = _cut(table, left)
            dropped += samples - count_samples(table)
            left = 0
        else:
            left = max(0, left - samples)
        shown[name] = table
    return shown, dropped


def count_samples(table: Table) -> int:
    """Return how many numbers of a table are there."""
    return sum(int(np.count_nonzero(~np.isnan(values))) for values in table.columns.values())


def _is_own(name: str) -> bool:
    return name.startswith(_COLLECTOR)


def _rank(name: str, table: Table) -> int:
    if _is_own(name):
        return 0
    if name.startswith(UNIFIED):
        return 1
    return 3 if any(label.name == "partition" for label in table.labels) else 2


def _of_families(table: Table, families: Filter) -> Table:
    shown = {
        name: values
        for name, values in table.columns.items()
        if families.matches(name) or families.matches(PREFIX + name)
    }
    return Table(table.labels, shown)


def _cut(table: Table, most: int) -> Table:
    """Return the first rows of a table, by the names of their subjects, whose samples are no more than that."""
    subjects = _number_subjects(table)
    present = np.sum([~np.isnan(values) for values in table.columns.values()], axis=0)
    samples = np.bincount(subjects, weights=present) if len(subjects) else np.empty(0)
    fits = np.cumsum(samples) <= most
    rows = np.flatnonzero(fits[subjects])
    labels = tuple(Labels(label.name, label.values, label.codes[rows]) for label in table.labels)
    return Table(labels, {name: values[rows] for name, values in table.columns.items()})


def _number_subjects(table: Table) -> Ids:
    """Return for each row the number of its subject, in the order of their names."""
    ranks = [_rank_values(label) for label in table.labels if label.name in _SUBJECTS]
    if not ranks:
        return np.arange(len(table))
    _, numbers = np.unique(np.stack(ranks, axis=1), axis=0, return_inverse=True)
    subjects: Ids = numbers.reshape(-1)
    return subjects


def _rank_values(label: Labels) -> Ids:
    order = sorted(range(len(label.values)), key=label.values.__getitem__)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[label.codes]
