"""Lists over what the store holds now: filtered, sorted, searched, in pages.

Rows are made once for each view of a cluster, orders once for each state of all of them, items only for the page.
A list keeps the order that its first page was asked in: whoever follows `next` gets every row once, with its present
values, whatever has moved meanwhile; rows that have gone are left out.
"""

import base64
import binascii
import heapq
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise
from operator import itemgetter
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from monitor.api.items import Page
from monitor.errors import BadRequest, NotFound
from monitor.model import ClusterView

T = TypeVar("T")

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
_LISTS_KEPT = 64
_SELECTIONS_KEPT = 64
_NEAREST_SHOWN = 3
_NEAREST_TRIED = 50
_LONGEST_COMPARED = 300
_LEAST_LIKENESS = 0.7


class Row(NamedTuple):
    """The thing at `place` of a view's list of such things."""

    id: str
    view: ClusterView
    place: int


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What there is to know of one kind of thing in order to list it.

    `sort_keys` give a value that can be compared, or None; `filters` the texts of which one must be asked for;
    `search_texts` what `q` looks into; `worst_first` the keys of the default order, one a row.
    """

    noun: str
    rows: Callable[[ClusterView], Iterable[Row]]
    item: Callable[[Row, float], T]
    worst_first: Callable[[ClusterView], Iterable[Any]]
    sort_keys: Mapping[str, Callable[[Row], Any]]
    filters: Mapping[str, Callable[[Row], Iterable[str]]]
    search_texts: Callable[[Row], Iterable[str]]


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which part of a list is asked for. `filters` map a name of the kind's filters to the accepted texts."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    cursor: str | None = None
    sort: str | None = None
    q: str | None = None
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def selection(self) -> tuple[object, ...]:
        """What must stay the same from page to page."""
        return (self.sort, self.q, tuple(sorted((name, tuple(sorted(it))) for name, it in self.filters.items())))


class Listing(Generic[T]):
    """The list of one kind. `views` gives the present views of all clusters. Thread-safe."""

    def __init__(self, kind: Kind[T], views: Callable[[], Iterable[ClusterView]]) -> None:
        self._kind, self._views = kind, views
        self._index = _Index(kind, (), {})
        self._kept: OrderedDict[str, tuple[tuple[object, ...], list[str]]] = OrderedDict()
        self._lock = Lock()

    def page(self, request: ListRequest, now: float) -> Page[T]:
        """Return one page. Raises BadRequest for an unknown sort field or cursor."""
        index = self._current()
        if request.cursor is None:
            start, ids = request.offset, index.select(request)
        elif request.offset:
            raise BadRequest("offset: a cursor says already where to go on; give one of them", parameter="offset")
        else:
            start, ids = self._resume(request)
        rows, end = _take(index.by_id, ids, start, request.limit)
        items = [self._kind.item(row, now) for row in rows]
        following = self._cursor(request, ids, end) if end < len(ids) else None
        return {"items": items, "next": following, "total": len(ids)}

    def find(self, raw: str) -> Row:
        """Return the row whose id was given as it stands in the path: as it is, or percent-encoded once more.

        A slash inside of a part that was not encoded is understood when that leaves one choice.
        Raises NotFound, which tells the nearest ids.
        """
        index = self._current()
        once = unquote(raw)
        for candidate in (raw, once):
            if candidate in index.by_id:
                return index.by_id[candidate]
        for plain in (once, unquote(once)):
            found = index.by_plain_id.get(plain, ())
            if len(found) == 1:
                return index.by_id[found[0]]
        raise NotFound(f"there is no {self._kind.noun} {once!r}", nearest=_nearest(once, index.by_id))

    def _current(self) -> "_Index[T]":
        views = tuple(self._views())
        index = self._index
        if len(views) == len(index.views) and all(new is old for new, old in zip(views, index.views, strict=True)):
            return index
        # Two requests at once may both make it; they make the same, so the last one stands.
        self._index = index = _Index(self._kind, views, index.shelves)
        return index

    def _resume(self, request: ListRequest) -> tuple[int, list[str]]:
        token, start = _read_cursor(request.cursor or "")
        with self._lock:
            selection, ids = self._kept.get(token, (None, []))
        if selection is None:
            raise BadRequest("cursor: it is not known any more; ask for the first page again", parameter="cursor")
        if selection != request.selection:
            raise BadRequest("cursor: it belongs to other filters, q or sort; repeat those", parameter="cursor")
        return start, ids

    def _cursor(self, request: ListRequest, ids: list[str], end: int) -> str:
        if request.cursor is not None:
            token = _read_cursor(request.cursor)[0]
        else:
            token = secrets.token_urlsafe(9)
            with self._lock:
                self._kept[token] = (request.selection, ids)
                if len(self._kept) > _LISTS_KEPT:
                    self._kept.popitem(last=False)
        return base64.urlsafe_b64encode(f"{token} {end}".encode()).decode().rstrip("=")


class _Shelf(Generic[T]):
    """What was prepared for one view of one cluster."""

    def __init__(self, kind: Kind[T], view: ClusterView) -> None:
        self.rows = list(kind.rows(view))
        self._kind, self._view = kind, view
        self._texts: list[str] | None = None
        self._worst_first: list[tuple[Any, Row]] | None = None

    def worst_first(self) -> list[tuple[Any, Row]]:
        """Return the rows in the default order, each with its key."""
        if self._worst_first is None:
            keyed = zip(self._kind.worst_first(self._view), self.rows, strict=True)
            self._worst_first = sorted(keyed, key=itemgetter(0))
        return self._worst_first

    def texts(self) -> list[str]:
        if self._texts is None:
            # A line break stands between, so that nothing is found across two texts.
            self._texts = ["\n".join(self._kind.search_texts(row)).casefold() for row in self.rows]
        return self._texts


class _Index(Generic[T]):
    """All rows of one state of the store, with the orders that were asked for so far."""

    def __init__(
        self, kind: Kind[T], views: tuple[ClusterView, ...], before: Mapping[int, tuple[ClusterView, _Shelf[T]]]
    ) -> None:
        self.views, self._kind = views, kind
        self.shelves = {id(view): before.get(id(view)) or (view, _Shelf(kind, view)) for view in views}
        self.by_id = {row.id: row for _, shelf in self.shelves.values() for row in shelf.rows}
        self._plain: dict[str, list[str]] | None = None
        self._orders: dict[str | None, Sequence[Row]] = {}
        self._selected: dict[tuple[object, ...], list[str]] = {}

    @property
    def by_plain_id(self) -> Mapping[str, Sequence[str]]:
        """Ids by their text without any encoding, which several can share."""
        if self._plain is None:
            plain: dict[str, list[str]] = {}
            for id_ in self.by_id:
                plain.setdefault(unquote(id_), []).append(id_)
            self._plain = plain
        return self._plain

    def select(self, request: ListRequest) -> list[str]:
        """Return the ids of what is asked for, in order. Many look at the same: each selection is made once."""
        ids = self._selected.get(request.selection)
        if ids is None:
            ids = [row.id for row in self._select(request)]
            if len(self._selected) < _SELECTIONS_KEPT:
                self._selected[request.selection] = ids
        return ids

    def _select(self, request: ListRequest) -> Sequence[Row]:
        rows = self._ordered(request.sort)
        for name, accepted in request.filters.items():
            texts = self._kind.filters[name]
            rows = [row for row in rows if not accepted.isdisjoint(texts(row))]
        if request.q and (words := request.q.casefold().split()):
            matching = self._matching(words)
            rows = [row for row in rows if row.id in matching]
        return rows

    def _matching(self, words: Sequence[str]) -> set[str]:
        return {
            row.id
            for _, shelf in self.shelves.values()
            for row, text in zip(shelf.rows, shelf.texts(), strict=True)
            if all(word in text for word in words)
        }

    def _ordered(self, sort: str | None) -> Sequence[Row]:
        if sort not in self._orders:
            self._orders[sort] = self._sorted(sort) if sort else self._worst_first()
        return self._orders[sort]

    def _worst_first(self) -> Sequence[Row]:
        # Sorted shelves are runs, which sorting joins without comparing everything anew.
        runs = [pair for _, shelf in self.shelves.values() for pair in shelf.worst_first()]
        return [row for _, row in sorted(runs, key=itemgetter(0))]

    def _sorted(self, sort: str) -> Sequence[Row]:
        """Return the rows by one field; those without a value come last in either direction, equals by id."""
        key = self._kind.sort_keys.get(sort.removeprefix("-"))
        if key is None:
            known = ", ".join(self._kind.sort_keys)
            detail = f"sort: {sort!r} is not possible; known are {known}, each with - for descending"
            raise BadRequest(detail, parameter="sort")
        by_id = [self.by_id[id_] for id_ in sorted(self.by_id)]
        known_rows = [row for row in by_id if key(row) is not None]
        known_rows.sort(key=key, reverse=sort.startswith("-"))
        return known_rows + [row for row in by_id if key(row) is None]


def _take(by_id: Mapping[str, Row], ids: Sequence[str], start: int, limit: int) -> tuple[list[Row], int]:
    """Return up to `limit` rows from `start` on that are still there, and where the next page starts."""
    rows: list[Row] = []
    place = start
    while place < len(ids) and len(rows) < limit:
        row = by_id.get(ids[place])
        if row is not None:
            rows.append(row)
        place += 1
    return rows, place


def _read_cursor(cursor: str) -> tuple[str, int]:
    try:
        token, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(" ")
        start = int(place)
    except (ValueError, binascii.Error) as error:
        raise BadRequest("cursor: it is none of this list; take it from `next`", parameter="cursor") from error
    if start < 0:
        raise BadRequest("cursor: it is none of this list; take it from `next`", parameter="cursor")
    return token, start


def _nearest(wanted: str, ids: Iterable[str]) -> list[str]:
    """Return the ids that look most like what was asked for.

    Comparing thoroughly costs too much for all of many thousands: those that share the most pairs of letters are.
    """
    wanted = wanted[:_LONGEST_COMPARED]
    pairs = frozenset(_pairs(wanted))
    likely = heapq.nlargest(_NEAREST_TRIED, ids, key=lambda it: len(pairs.intersection(_pairs(it))) / (len(it) + 1))
    scored = ((SequenceMatcher(None, wanted, unquote(it)[:_LONGEST_COMPARED]).ratio(), it) for it in likely)
    return [it for ratio, it in heapq.nlargest(_NEAREST_SHOWN, scored) if ratio > _LEAST_LIKENESS]


def _pairs(text: str) -> Iterable[str]:
    return map("".join, pairwise(text))
