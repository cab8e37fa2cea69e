"""A cluster's view as text: a block of deflated pieces a family, rendered once a cycle.

No object is made for a sample. Labels are dictionary-encoded, so each distinct value is escaped once, and a line is
joined from the family's name, its labels' prepared texts and its number. Rows are rendered in pieces, and a piece whose
numbers and labels are those of the cycle before is taken over with its deflated bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.exposition.choice import EVERYTHING, SAMPLES_OF_COUNTS, UNIFIED, Choice, choose
from monitor.exposition.families import BY_NAME, Family
from monitor.exposition.gzipping import Piece, concatenate, deflate
from monitor.exposition.text import encode, escape_label, numbers
from monitor.exposition.unified import unified_tables
from monitor.model import ClusterView, Floats, Ids, Labels, Table

# Small enough that a text stays in the processor's cache and no other thread waits long for the interpreter,
# large enough that the loss of compression at each start (1 %) and the overhead a piece do not count.
_ROWS_A_PIECE = 2048
_SECONDS_ROUNDED = 1e12  # beyond, a float64 has no thousandths


NOTHING_FURTHER: Mapping[str, Table] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The labels of a table, ready to be joined: `texts[k]` holds `,name="value"` for each value of label k."""

    labels: tuple[Labels, ...]
    texts: tuple[NDArray[np.object_], ...]

    def pick(self, rows: Ids) -> list[list[str]]:
        """Return the text of each label of some rows, label by label."""
        return [text[label.codes[rows]].tolist() for label, text in zip(self.labels, self.texts, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One column of one table, rendered. `pieces` are of `_ROWS_A_PIECE` rows each."""

    rows: Rows
    values: Floats
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """All samples of one family in one cluster. `strips` are by the name of their table."""

    strips: Mapping[str, Strip]
    piece: Piece


@dataclass(frozen=True, slots=True, eq=False)
class ClusterText:
    """All samples of one cluster, by family name without prefix; `samples` is their number.

    `dropped` is how many more there would be without the limit of the cluster's configuration.
    `mistakes` are sentences about columns of the snapshot that were left out, since the table of families does not
    have them: mistakes of a collector, not of a broker.
    """

    cluster: str
    blocks: Mapping[str, Block]
    samples: int
    dropped: int
    mistakes: frozenset[str]


def render_cluster(
    view: ClusterView,
    previous: ClusterText | None = None,
    further: Mapping[str, Table] = NOTHING_FURTHER,
    choice: Choice = EVERYTHING,
) -> ClusterText:
    """Render what is known of a cluster and chosen, taking from the `previous` text of it what did not change.

    `further` are tables of what the monitor itself knows of the cluster, beside what its collector saw.
    """
    cluster = view.health.cluster
    every = {f"{UNIFIED}{name}": table for name, table in unified_tables(view).items()}
    every |= {f"further {name}": table for name, table in further.items()}
    if view.snapshot is not None:
        every |= view.snapshot.tables
    chosen, dropped = choose(every, choice)
    tables = dict(chosen)
    # The number of samples counts the samples that tell it.
    samples = SAMPLES_OF_COUNTS + sum(
        _count(values) for table in tables.values() for _, values in _known_columns(table)
    )
    tables[f"{UNIFIED}series"] = Table.of_rows(
        ("system",),
        [(view.health.kind,)],
        {"collector_series": [samples], "collector_series_dropped": [dropped]},
    )

    strips: dict[str, dict[str, Strip]] = {}
    for name, table in tables.items():
        rows: Rows | None = None
        for family, values in _known_columns(table):
            before = _strip_before(previous, family.name, name)
            rows = rows or _rows_of(table.labels, before)
            strips.setdefault(family.name, {})[name] = _render(_head(family, cluster), rows, values, before)
    blocks = {family: _block(by_table) for family, by_table in strips.items()}
    mistakes = frozenset(mistake for table in tables.values() for mistake in _mistakes(table))
    shown = {name: block for name, block in blocks.items() if block.piece.size}
    return ClusterText(cluster, shown, samples, dropped, mistakes)


def _known_columns(table: Table) -> Iterable[tuple[Family, Floats]]:
    for name, values in table.columns.items():
        if _is_known(name, table.labels):
            yield BY_NAME[name], _to_milliseconds(values) if BY_NAME[name].unit.startswith("seconds") else values


def _to_milliseconds(values: Floats) -> Floats:
    """Round seconds. No age or time here is surer, and further digits would be most of the text."""
    with np.errstate(over="ignore"):
        rounded = np.rint(values * 1000) / 1000
    return np.where(np.abs(values) < _SECONDS_ROUNDED, rounded, values)


def _mistakes(table: Table) -> Iterable[str]:
    for name in table.columns:
        if not _is_known(name, table.labels):
            labels = ", ".join(label.name for label in table.labels)
            yield f"the table of metric families has no {name} with the labels ({labels}); it is left out"


def _is_known(name: str, labels: Sequence[Labels]) -> bool:
    return name in BY_NAME and set(BY_NAME[name].labels) == {"cluster", *(label.name for label in labels)}


def _count(values: Floats) -> int:
    return int(np.count_nonzero(~np.isnan(values)))


def _strip_before(previous: ClusterText | None, family: str, table: str) -> Strip | None:
    block = previous.blocks.get(family) if previous else None
    return block.strips.get(table) if block else None


def _rows_of(labels: tuple[Labels, ...], before: Strip | None) -> Rows:
    if before is not None and _same_labels(labels, before.rows.labels):
        return before.rows
    texts = tuple(_texts(label, last=label is labels[-1]) for label in labels)
    return Rows(labels, texts)


def _same_labels(new: tuple[Labels, ...], old: tuple[Labels, ...]) -> bool:
    return new is old or (
        len(new) == len(old)
        and all(
            a is b or (a.name == b.name and a.values == b.values and np.array_equal(a.codes, b.codes))
            for a, b in zip(new, old, strict=True)
        )
    )


def _texts(label: Labels, *, last: bool) -> NDArray[np.object_]:
    end = '"} ' if last else '"'
    texts: NDArray[Any] = np.empty(len(label.values), dtype=object)
    texts[:] = [f',{label.name}="{escape_label(value)}{end}' for value in label.values]
    return texts


def _head(family: Family, cluster: str) -> str:
    alone = family.labels == ("cluster",)
    return f'\n{family.full_name}{{cluster="{escape_label(cluster)}"' + ("} " if alone else "")


def _render(head: str, rows: Rows, values: Floats, before: Strip | None) -> Strip:
    starts = np.arange(0, len(values), _ROWS_A_PIECE)
    if before is not None and before.rows is rows and len(before.values) == len(values) > 0:
        # Compared as bits: NaN is equal to itself, and that is what is meant here.
        differs = _bits(before.values) != _bits(values)
        changed = np.logical_or.reduceat(differs, starts).tolist()
        old: Iterable[Piece | None] = before.pieces
    else:
        changed, old = [True] * len(starts), repeat(None)
    pieces = tuple(
        piece if piece is not None and not new else _piece(head, rows, values, start)
        for start, new, piece in zip(starts.tolist(), changed, old, strict=False)
    )
    return Strip(rows, values, pieces)


def _bits(values: Floats) -> Ids:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.int64)


def _piece(head: str, rows: Rows, values: Floats, start: int) -> Piece:
    part = values[start : start + _ROWS_A_PIECE]
    present = np.flatnonzero(~np.isnan(part))
    lines = zip(repeat(head), *rows.pick(present + start), numbers(part[present]), strict=False)
    return deflate(encode("".join(chain.from_iterable(lines))))


def _block(strips: Mapping[str, Strip]) -> Block:
    return Block(strips, concatenate(piece for strip in strips.values() for piece in strip.pieces))
