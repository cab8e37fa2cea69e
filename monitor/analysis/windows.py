"""What is remembered of every part (a partition of a group, or a queue): a few numbers each, kept as columns.

The rules of `status` ask "since when": since when has something waited and nothing been consumed, since when has the
backlog not fallen. Each such moment is one number a part that is carried forward, so that a window costs the same
memory however long it is and however often one looks. What has to be compared over a stretch, the backlog, is compared
at `ANCHORS` points of the window. That is 33 bytes a part beside the last snapshot: 33 MB for a million.

A part that one look could not read is taken up by the next that can, as after a gap between two looks: what was read of
it last is kept for as long as a window.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.model import Floats, Ids

Moments = NDArray[np.float32]
Flags = NDArray[np.bool_]
Columns = TypeVar("Columns")

ANCHORS = 8
"""How often in a window backlogs are compared. Between two looks they rise and fall with every commit; over an eighth
of a window what remains is the trend."""

CLEARLY, CLEARLY_MESSAGES = 1.2, 10.0
"""A backlog has clearly grown, or fallen, when it did so by a fifth and ten messages."""

MARKERS = 1.0
"""What may be left of a log that was read to its end: a transaction ends with one record that no consumer is given."""

_MOMENTS = ("idle_since", "fell_at", "set_back_at", "read_at")
_REBASE_SECONDS = float(2**18)  # where a float32 still tells 0.03 s apart


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What one snapshot says of every part; columns of one length.

    `waiting` is what somebody has yet to finish; NaN is not known. `consumed` and `published` as in `model.Parts`.
    `of_log` marks parts of a log, where a position that goes back was set back; elsewhere a counter began anew.
    `vague` marks those of them where what is left may be no more than a transaction's marker.
    `attended` marks parts of a subscription that somebody is known to be there for.
    `consuming` marks parts of a subscription that is known to be consumed from: a part that is new among such is taken
    to be so as well, until a window has passed.
    """

    ids: Ids
    waiting: Floats
    consumed: Floats
    published: Floats
    of_log: Flags
    vague: Flags
    attended: Flags
    consuming: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What is carried forward for every part; moments are seconds since `Window.origin`.

    `idle_since`: the last moment at which something was consumed or nothing waited, or the first look.
    `known`: whether that was seen, and is not just when looking began.
    `arrived`: whether since then something was published behind what was waiting already.
    `pace`: how long this consumer was seen to take for a step.
    `fell_at`: when the backlog was last seen to fall, `low`: how far, `anchor`: the backlog at the last anchor.
    `set_back_at`: when the position last went back, -inf for never.
    `read_at`: the last look that could read it.
    """

    idle_since: Moments
    known: Flags
    arrived: Flags
    pace: Moments
    fell_at: Moments
    low: Moments
    anchor: Moments
    set_back_at: Moments
    read_at: Moments

    @classmethod
    def begun(cls, looks: Looks, now: float) -> Self:
        """Return what is known after the first look."""
        length = len(looks.ids)
        waiting = looks.waiting.astype(np.float32)
        return cls(
            idle_since=np.full(length, now, np.float32),
            known=(waiting <= 0) | looks.consuming,
            arrived=np.zeros(length, np.bool_),
            pace=np.zeros(length, np.float32),
            fell_at=np.full(length, now, np.float32),
            low=waiting,
            anchor=waiting,
            set_back_at=np.full(length, -np.inf, np.float32),
            read_at=np.full(length, now, np.float32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The last looks and what is remembered of those before, up to the moment `at` (seconds of `Clock.monotonic`).

    `known` are the same looks, where a part that could not be read has what was last read of it.
    """

    at: float
    origin: float
    anchored_at: float
    looks: Looks
    known: Looks
    memory: Memory

    @property
    def now(self) -> float:
        """The moment `at` on the scale of the memory's moments."""
        return self.at - self.origin


def begin(looks: Looks, at: float) -> Window:
    """Return the window of a first snapshot."""
    return Window(at, at, at, looks, looks, Memory.begun(looks, 0.0))


def follow(window: Window, looks: Looks, at: float, span: float) -> Window:
    """Return the window after one more snapshot; `span` is the window's length in seconds."""
    window = _rebased(window, at)
    now = at - window.origin
    where = places(window.looks.ids, looks.ids)
    before, kept = realigned(window.known, where), realigned(window.memory, where)
    anchoring = at - window.anchored_at >= span / ANCHORS
    unread = np.isnan(looks.waiting)
    known = _bridged(before, looks, unread & (now - kept.read_at <= span)) if unread.any() else looks
    memory = _advanced(before, kept, known, now, anchoring=anchoring)
    if unread.any():
        memory = _merged(memory, kept, unread)
    fresh = _fresh(before, known, where)
    if fresh.any():
        memory = _merged(memory, Memory.begun(known, now), fresh)
    return Window(at, window.origin, at if anchoring else window.anchored_at, looks, known, memory)


def _bridged(before: Looks, looks: Looks, unread: Flags) -> Looks:
    """Let the parts that are `unread` stand where they were read last."""
    return replace(
        looks,
        waiting=np.where(unread, before.waiting, looks.waiting),
        consumed=np.where(unread, before.consumed, looks.consumed),
        published=np.where(unread, before.published, looks.published),
    )


def _advanced(before: Looks, memory: Memory, looks: Looks, now: float, *, anchoring: bool) -> Memory:
    waiting = looks.waiting
    step = looks.consumed - before.consumed
    blind = np.isnan(step)
    consumed = (step > 0) | (blind & (waiting < before.waiting))
    set_back = (step < 0) & looks.of_log
    empty = waiting <= 0
    moved = consumed | empty | set_back
    came = (looks.published > before.published) | (np.isnan(looks.published) & (waiting > before.waiting))
    came_behind = came & (before.waiting > 0) & ~moved
    # What was left so far was perhaps no more than a marker, which nobody could take: only now somebody could.
    began = came_behind & ~memory.arrived & looks.vague & looks.attended & (before.waiting <= MARKERS)
    # One slow step is forgotten over a few quick ones: a consumer that hung once is not slow for ever.
    took = np.maximum(now - memory.idle_since, memory.pace / 2)
    fell = empty | (waiting < (memory.anchor if anchoring else memory.anchor / CLEARLY - CLEARLY_MESSAGES))
    return Memory(
        idle_since=np.where(moved | began, np.float32(now), memory.idle_since),
        known=memory.known | consumed | empty,
        arrived=(memory.arrived & ~moved) | came_behind,
        pace=np.where(consumed & (before.waiting > 0), took, memory.pace),
        fell_at=np.where(fell, np.float32(now), memory.fell_at),
        low=np.where(fell, waiting, memory.low).astype(np.float32),
        anchor=waiting.astype(np.float32) if anchoring else np.where(empty, np.float32(0), memory.anchor),
        set_back_at=np.where(set_back, np.float32(now), memory.set_back_at),
        read_at=np.full(len(looks.ids), now, np.float32),
    )


def _fresh(before: Looks, looks: Looks, where: Ids | None) -> Flags:
    """Mark the parts that are new, known again after long, or begun anew with their log or their broker."""
    began_anew = (looks.published < before.published) | ((looks.consumed < before.consumed) & ~looks.of_log)
    known_again = np.isnan(before.waiting) & ~np.isnan(looks.waiting)
    fresh: Flags = began_anew | known_again
    if where is not None:
        fresh |= where < 0
    return fresh


def _merged(old: Memory, new: Memory, choose_new: Flags) -> Memory:
    return Memory(*(np.where(choose_new, getattr(new, it.name), getattr(old, it.name)) for it in fields(Memory)))


def _rebased(window: Window, at: float) -> Window:
    """Move the origin before float32 becomes too coarse for the seconds since it."""
    shift = at - window.origin
    if shift < _REBASE_SECONDS:
        return window
    memory = window.memory
    moved = {name: getattr(memory, name) - np.float32(shift) for name in _MOMENTS}
    return replace(window, origin=at, memory=replace(memory, **moved))


def places(old: Ids, new: Ids) -> Ids | None:
    """Say for each of the `new` ids where it stands in `old`, -1 for nowhere; None if both are the same."""
    if new is old or np.array_equal(old, new):
        return None
    if not len(old):
        return np.full(len(new), -1, np.int64)
    order = np.argsort(old, kind="stable")
    found = order[np.searchsorted(old, new, sorter=order).clip(max=len(old) - 1)]
    return np.where(old[found] == new, found, -1)


def realigned(columns: Columns, where: Ids | None) -> Columns:
    """Take the rows at `where` of every column of a dataclass of columns; -1 becomes NaN, False or -1."""
    if where is None:
        return columns
    return type(columns)(*(taken(getattr(columns, it.name), where) for it in fields(columns)))  # type: ignore[arg-type]


def taken(column: NDArray[Any], where: Ids) -> NDArray[Any]:
    """Take the values at `where` of a column; -1 becomes NaN, False or -1."""
    absent = {"f": np.nan, "b": False}.get(column.dtype.kind, -1)
    if not len(column):
        return np.full(len(where), absent, column.dtype)
    values = column[where]
    values[where < 0] = absent
    return values
