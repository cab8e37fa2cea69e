"""The subscriptions of a snapshot as columns, and what is remembered of each as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from monitor.analysis.rates import Totals
from monitor.analysis.windows import Flags, Looks
from monitor.model import AgeMethod, Floats, Parts, Role, Subscription, System, as_floats

_LOGS = frozenset({System.KAFKA})
"""Where a consumer's place is a position in a log, which can be set back; a counter that falls has begun anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The fields of all subscriptions of a snapshot; NaN is not known."""

    backlog: Floats
    in_flight: Floats
    consumers: Floats
    age: Floats
    age_is_bound: Flags
    retention: Floats
    lost_while_watched: Floats
    rewinds: Floats
    totals: Totals
    complete: Flags
    retry: Flags
    of_log: Flags

    @classmethod
    def of(cls, subscriptions: Sequence[Subscription]) -> Self:
        """Turn subscriptions into columns."""
        backlog = as_floats(it.backlog_messages for it in subscriptions)
        age = as_floats(it.oldest_age.seconds for it in subscriptions)
        return cls(
            backlog=backlog,
            in_flight=as_floats(it.in_flight_messages for it in subscriptions),
            consumers=as_floats(it.consumers for it in subscriptions),
            age=np.where(np.isnan(age) & (backlog == 0), 0.0, age),  # where nothing waits, nothing is old
            age_is_bound=np.array([it.oldest_age.method is AgeMethod.LOWER_BOUND for it in subscriptions], np.bool_),
            retention=as_floats(it.retention_seconds for it in subscriptions),
            lost_while_watched=as_floats(it.lost_while_watched for it in subscriptions),
            rewinds=as_floats(it.rewinds_total for it in subscriptions),
            totals=Totals(
                as_floats(it.published_messages_total for it in subscriptions),
                as_floats(it.consumed_messages_total for it in subscriptions),
            ),
            complete=np.array([it.complete for it in subscriptions], np.bool_),
            retry=np.array([it.role is Role.RETRY for it in subscriptions], np.bool_),
            of_log=np.array([it.system in _LOGS for it in subscriptions], np.bool_),
        )

    def __len__(self) -> int:
        return len(self.backlog)

    @property
    def present(self) -> Flags:
        """Whether somebody is known to be there: a consumer, or a message that was handed out."""
        return (self.consumers > 0) | (self.in_flight > 0)

    @property
    def absent(self) -> Flags:
        """Whether nobody is known to be there; where neither is known, neither is said."""
        return ~self.present & ~(np.isnan(self.consumers) & np.isnan(self.in_flight))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is remembered of every subscription; moments of the clock that never jumps, NaN for never.

    `nobody_since` is when it was first seen that nobody is there, `nobody_until` when last, `back_at` when
    somebody was there again after a long absence; `consumed`, `lost` and `rewinds` are the last counts that were known.
    """

    nobody_since: Floats
    nobody_until: Floats
    back_at: Floats
    consumed: Floats
    consumed_at: Floats
    lost: Floats
    lost_at: Floats
    rewinds: Floats
    rewound_at: Floats

    @classmethod
    def nothing(cls, length: int) -> Self:
        """Return what is remembered before the first look."""
        return cls(*np.full((9, length), np.nan))

    @property
    def absent_for(self) -> Floats:
        """For how long nobody is known to have been there; NaN where somebody may be."""
        return self.nobody_until - self.nobody_since

    def follow(self, columns: Columns, at: float, absence: float, window: float) -> Self:
        """Return what is remembered after one more look; an absence is long from `absence` seconds on.

        Looks that cannot tell who is there end no absence, unless a whole `window` goes by with them.
        """
        unsure = ~columns.absent & ~columns.present & (at - self.nobody_until <= window)
        lost = columns.lost_while_watched
        # It begins at zero with its collector; what it has above that at a first look went while nobody looked.
        lost_more = lost > np.where(lost >= self.lost, self.lost, 0.0)
        rewound = columns.rewinds > self.rewinds
        consumed_more = columns.totals.consumed > self.consumed
        back = columns.present & (at - self.nobody_since >= absence)
        return replace(
            self,
            back_at=np.where(back, at, self.back_at),
            nobody_since=np.where(columns.absent | unsure, np.fmin(self.nobody_since, at), np.nan),
            nobody_until=np.where(columns.absent, at, self.nobody_until),
            consumed=_known(columns.totals.consumed, self.consumed),
            consumed_at=np.where(consumed_more, at, self.consumed_at),
            lost=_known(lost, self.lost),
            lost_at=np.where(lost_more, at, self.lost_at),
            rewinds=_known(columns.rewinds, self.rewinds),
            rewound_at=np.where(rewound, at, self.rewound_at),
        )


def _known(now: Floats, before: Floats) -> Floats:
    return np.where(np.isnan(now), before, now)


def parts_of_wholes(ids: Sequence[str], columns: Columns) -> Parts:
    """Return parts for a snapshot without any: each subscription is its own only part."""
    return Parts(
        ids=np.fromiter(map(hash, ids), np.int64, len(ids)),
        subscription=np.arange(len(ids), dtype=np.int32),
        backlog=columns.backlog,
        consumed=columns.totals.consumed,
        published=columns.totals.published,
    )


def look_at(parts: Parts, columns: Columns, consuming: Flags) -> Looks:
    """Return what a snapshot says of its parts. `consuming` marks subscriptions that are known to be consumed from."""
    of_log = columns.of_log[parts.subscription]
    return Looks(
        ids=parts.ids,
        waiting=_waiting(parts, columns),
        consumed=parts.consumed,
        published=parts.published,
        of_log=of_log,
        vague=of_log if parts.counted is None else of_log & ~parts.counted,
        attended=columns.present[parts.subscription],
        # Where only messages in flight are left, somebody has taken them.
        consuming=consuming[parts.subscription] | (parts.backlog <= 0),
    )


def _waiting(parts: Parts, columns: Columns) -> Floats:
    """Return what is left to do in each part: what was handed out and not finished waits as well.

    What is in flight is only known of whole subscriptions, so it is added where that is a single part.
    """
    in_flight = np.nan_to_num(columns.in_flight)
    if not in_flight.any():
        return parts.backlog
    single = np.bincount(parts.subscription, minlength=len(columns)) == 1
    return parts.backlog + np.where(single, in_flight, 0.0)[parts.subscription]
