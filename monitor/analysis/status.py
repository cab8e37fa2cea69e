"""How every subscription is doing, and by which rule. The rules and their reasons are told in docs/status.md.

Each rule is a `Cause`. The parts are judged first, the worst of them counts, then the rules that look at a subscription
as a whole are laid over it. All of it works on columns.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from monitor.analysis.windows import CLEARLY, CLEARLY_MESSAGES, MARKERS, Flags, Window
from monitor.model import Codes, Floats, Ids, Status

Causes = NDArray[np.int8]


class Cause(IntEnum):
    """The rule that a verdict rests on, from worst to best."""

    LOST = 0  # messages were lost unread
    EXPIRING = 1  # the oldest message is about to be lost
    NOBODY = 2  # something waits and nobody is there
    UNTOUCHED = 3  # nothing was consumed for a whole window, and nobody is known to be there
    STUCK = 4  # consumers are there, and nothing was consumed for a whole window
    UNMEASURED = 5  # some parts could not be read
    UNCOUNTED = 6  # the backlog is not known
    UNSEEN = 7  # not watched for long enough to tell
    SET_BACK = 8  # a position went back
    OLD = 9  # older than allowed
    HELD = 10  # everything that is left was handed out, and none of it finished for longer than allowed
    SLOW = 11  # the backlog takes the consumers longer than allowed
    GROWING = 12  # the backlog has only grown for a whole window
    STANDING = 13  # the backlog has not fallen for a whole window, and what is consumed cannot be seen
    RETRYING = 14  # a retry queue: what waits in it goes back by itself
    REMAINDER = 15  # what is left is no more than a log's own markers
    KEEPING_UP = 16
    EMPTY = 17  # nothing waits


STATUS_OF = {
    Cause.LOST: Status.LOSING,
    Cause.EXPIRING: Status.LOSING,
    Cause.NOBODY: Status.STOPPED,
    Cause.UNTOUCHED: Status.STOPPED,
    Cause.STUCK: Status.STALLED,
    Cause.UNMEASURED: Status.UNKNOWN,
    Cause.UNCOUNTED: Status.UNKNOWN,
    Cause.UNSEEN: Status.UNKNOWN,
    Cause.SET_BACK: Status.REWOUND,
    Cause.OLD: Status.LAGGING,
    Cause.HELD: Status.LAGGING,
    Cause.SLOW: Status.LAGGING,
    Cause.GROWING: Status.LAGGING,
    Cause.STANDING: Status.LAGGING,
    Cause.RETRYING: Status.OK,
    Cause.REMAINDER: Status.OK,
    Cause.KEEPING_UP: Status.OK,
    Cause.EMPTY: Status.OK,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The lengths of time that the rules go by, in seconds.

    `window` is how long something may wait with nothing consumed, `absence` how long nobody may be there, `age` what
    the oldest message may have where no objective is configured.
    """

    window: float
    absence: float
    age: float


PATIENCE = 6.0
"""How many windows a consumer that is known to take long steps is waited for at most."""

_STEPS_WAITED = 2.0
_NEAR_RETENTION = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """What the rules need of every subscription as a whole; NaN is not known.

    `present` says that somebody is known to be there, `absent_for` for how long nobody has been, `back_for` for how
    long somebody has been again after a long absence; `lost_for` and `set_back_for` how long ago messages were last
    seen to be lost and a position to go back. `allowed` is the objective.
    """

    complete: Flags
    retry: Flags
    backlog: Floats
    in_flight: Floats
    age: Floats
    retention: Floats
    consumed_per_second: Floats
    present: Flags
    absent_for: Floats
    back_for: Floats
    lost_for: Floats
    set_back_for: Floats
    allowed: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """The rule for every subscription, how many of its parts it fits, and how long the longest of these has waited.

    `found` is the rule by what could be read; the same unless something could not, which hides none of it. The parts
    are those of that rule.
    """

    cause: Causes
    found: Causes
    parts: Ids
    waited: Floats


def judge(window: Window, subscription: Codes, whole: Whole, limits: Limits) -> Finding:
    """Judge every subscription. `subscription` says for each part of the window whose it is."""
    rows, causes, waited = _judge_parts(window, subscription, whole, limits)
    owners = subscription[rows]
    cause = _worst(_lay_over(whole, limits), owners, causes)
    cause[whole.retry & (cause != Cause.EMPTY)] = Cause.RETRYING
    found = cause.copy()
    cause[np.isnan(whole.backlog)] = Cause.UNCOUNTED
    cause[~whole.complete] = Cause.UNMEASURED
    decisive = causes == found[owners]
    length = len(cause)
    longest = np.zeros(length)
    np.maximum.at(longest, owners[decisive], waited[decisive])
    return Finding(cause, found, np.bincount(owners[decisive], minlength=length), longest)


def _judge_parts(window: Window, subscription: Codes, whole: Whole, limits: Limits) -> tuple[Ids, Causes, Floats]:
    """Return the rows of the parts in which something waits, the rule for each, and how long it has waited."""
    looks, memory, now = window.looks, window.memory, window.now
    rows = np.flatnonzero(~(looks.waiting <= 0))
    waiting, known, blind = looks.waiting[rows], memory.known[rows], np.isnan(looks.consumed[rows])
    owners = subscription[rows]
    absent_for, back_for, present = whole.absent_for[owners], whole.back_for[owners], whole.present[owners]
    idle = (now - memory.idle_since[rows]).astype(np.float64)
    waited = np.fmin(idle, back_for)  # who has just come back is given time as at the start
    patience = np.clip(_STEPS_WAITED * memory.pace[rows], 0.0, PATIENCE * limits.window)
    still = waited >= np.maximum(limits.window, patience)
    fell_for = now - memory.fell_at[rows]
    grown = waiting > CLEARLY * memory.low[rows] + CLEARLY_MESSAGES

    # From best to worst, so that the worst that fits is what stays.
    causes = np.full(len(rows), Cause.KEEPING_UP, np.int8)
    causes[still & blind] = Cause.STANDING
    causes[grown & ~blind & (fell_for >= limits.window)] = Cause.GROWING
    # Nobody tells the age of what was handed out. None was finished for so long, so the oldest is that old, to a look.
    held = (whole.backlog[owners] == 0) & (whole.in_flight[owners] > 0)
    causes[held & ~blind & (waited > np.maximum(whole.allowed[owners], limits.age))] = Cause.HELD
    causes[now - memory.set_back_at[rows] <= limits.window] = Cause.SET_BACK
    causes[~known | (back_for < idle)] = Cause.UNSEEN
    causes[still & present & ~blind] = Cause.STUCK
    causes[still & ~present & ~blind] = Cause.UNTOUCHED
    left_over = looks.vague[rows] & (waiting <= MARKERS) & ~memory.arrived[rows] & present
    causes[still & left_over] = Cause.REMAINDER
    causes[np.minimum(idle, absent_for) >= np.maximum(limits.absence, patience)] = Cause.NOBODY
    causes[np.isnan(waiting)] = Cause.UNCOUNTED
    return rows, causes, waited


def _lay_over(whole: Whole, limits: Limits) -> Causes:
    """Return the worst rule that fits each subscription as a whole."""
    idle = (whole.backlog == 0) & ~(whole.in_flight > 0)
    cause = np.where(idle, Cause.EMPTY, Cause.KEEPING_UP).astype(np.int8)
    allowed = np.where(np.isnan(whole.allowed), limits.age, whole.allowed)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        behind = np.where(whole.consumed_per_second > 0, whole.backlog / whole.consumed_per_second, np.nan)
    waits = whole.backlog > 0
    cause[waits & np.isnan(whole.age) & (behind > allowed)] = Cause.SLOW
    cause[waits & (whole.age > allowed)] = Cause.OLD
    cause[waits & (whole.set_back_for <= limits.window)] = Cause.SET_BACK
    cause[waits & (whole.age >= _NEAR_RETENTION * whole.retention)] = Cause.EXPIRING
    cause[whole.lost_for <= limits.window] = Cause.LOST
    return cause


def _worst(cause: Causes, owners: Codes, causes: Causes) -> Causes:
    """Return for each subscription the worse of its own rule and those of its parts."""
    for worse in sorted(set(np.unique(causes).tolist()), reverse=True):
        touched = np.zeros(len(cause), np.bool_)
        touched[owners[causes == worse]] = True
        cause = np.where(touched, np.minimum(cause, worse), cause).astype(np.int8)
    return cause
