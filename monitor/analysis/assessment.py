"""What a snapshot means, in the light of those before it: the one way into this package."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitor.analysis.objectives import OUTCOMES, Seconds, add_seconds, begin_seconds, realign_seconds
from monitor.analysis.patterns import FirstMatch
from monitor.analysis.rates import Rates, Track, drain_seconds, extend, measure, realign_track
from monitor.analysis.reasons import Facts, tell
from monitor.analysis.status import STATUS_OF, Cause, Finding, Limits, Whole, judge
from monitor.analysis.subscriptions import Columns, Seen, look_at, parts_of_wholes
from monitor.analysis.windows import Flags, Window, begin, follow, realigned, taken
from monitor.config import Objective, Owner
from monitor.model import Floats, Ids, Role, Snapshot, Status, Subscription, Verdict

Ranks = NDArray[np.int8]

NOTHING_LEFT: Mapping[str, tuple[float, float]] = {}

_RANK = {status: rank for rank, status in enumerate(Status)}
_RANK_OF_CAUSE = np.array([_RANK[STATUS_OF[cause]] for cause in Cause], np.int8)
_NOT_FINISHED = [Cause.HELD, Cause.STUCK]
_NOT_CONSUMED = [_RANK[Status.STOPPED], _RANK[Status.STALLED]]


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a cluster is judged. `interval` and `rate_span` are seconds."""

    interval: float
    limits: Limits
    rate_span: float
    owners: FirstMatch[str]
    objectives: FirstMatch[tuple[float, float]]
    left: Mapping[str, tuple[float, float]]

    @classmethod
    def of(
        cls,
        interval: float,
        owners: Iterable[Owner] = (),
        objectives: Iterable[Objective] = (),
        counters_every: float = 0.0,
        left: Mapping[str, tuple[float, float]] = NOTHING_LEFT,
    ) -> Self:
        """Return the rules for a cluster that is looked at every `interval` seconds.

        `counters_every` is how often the broker itself renews its counters, where that is more seldom. `left` are the
        seconds for which objectives were met and missed before this process, by the ids of their subscriptions.
        """
        step = max(interval, counters_every)
        return cls(
            interval,
            Limits(window=max(600.0, 8 * step), absence=max(60.0, 3 * interval), age=max(60.0, 4 * step)),
            rate_span=max(120.0, 5 * step),
            owners=FirstMatch((owner.match, owner.team) for owner in owners),
            objectives=FirstMatch((it.subscription, (it.max_age, it.target)) for it in objectives),
            left=left,
        )


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What is remembered of the snapshots up to the moment `at`, for the subscriptions `ids` in that order.

    `ranks` are the last statuses, `since` (Unix seconds) when they began. `owners` (empty for nobody), `objectives` and
    their `targets` (NaN for none) are what the configuration says, as `rules` had it. `window` is None where the parts
    are numbered anew. `gone` are those that were seen and went, of which a process before this one had left anything.
    """

    at: float
    ids: Sequence[str]
    owners: Sequence[str]
    objectives: Floats
    targets: Floats
    ranks: Ranks
    since: Floats
    seen: Seen
    track: Track
    seconds: Seconds
    window: Window | None
    rules: Rules | None
    gone: frozenset[str] = frozenset()

    def with_new_collector(self) -> Self:
        """Return the history for a collector that numbers its parts anew."""
        return replace(self, window=None)


def assess(snapshot: Snapshot, history: History | None, rules: Rules, at: float) -> tuple[tuple[Verdict, ...], History]:
    """Judge every subscription of a snapshot that was begun at the moment `at` (seconds of `Clock.monotonic`).

    Returns a verdict for each, in the snapshot's order, and the history to judge the next snapshot by.
    """
    columns = Columns.of(snapshot.subscriptions)
    history = _aligned(history or _nothing(at), snapshot.subscriptions, rules)
    seen = history.seen.follow(columns, at, rules.limits.absence, rules.limits.window)
    track = extend(history.track, columns.totals, at, rules.rate_span)
    rates = measure(track)
    parts = snapshot.parts or parts_of_wholes(history.ids, columns)
    looks = look_at(parts, columns, _consuming(history, seen, rules, at))
    window = follow(history.window, looks, at, rules.limits.window) if history.window else begin(looks, at)
    finding = judge(window, parts.subscription, _whole(columns, history, seen, rates, at), rules.limits)
    ranks = _RANK_OF_CAUSE[finding.cause]
    history = replace(
        history,
        at=at,
        ranks=ranks,
        since=np.where(ranks == history.ranks, history.since, snapshot.taken_at),
        seen=seen,
        track=track,
        seconds=add_seconds(
            history.seconds,
            _ages(columns, finding),
            columns.age_is_bound,
            history.objectives,
            np.where(history.ranks < 0, 0.0, at - history.at),  # a new one was not watched before
            rules.interval,
        ),
        window=window,
    )
    all_parts = np.bincount(parts.subscription, minlength=len(columns))
    return _verdicts(snapshot, columns, history, finding, rates, all_parts, rules), history


def _ages(columns: Columns, finding: Finding) -> Floats:
    """Return the ages that objectives go by: where only messages in flight are left, what these have at least."""
    held = (columns.backlog == 0) & np.isin(finding.cause, _NOT_FINISHED)
    return np.where(held, finding.waited, columns.age)


def _nothing(at: float) -> History:
    none = np.empty(0)
    ranks = np.empty(0, np.int8)
    return History(at, (), (), none, none, ranks, none, Seen.nothing(0), (), begin_seconds(0), None, None)


def _aligned(history: History, subscriptions: Sequence[Subscription], rules: Rules) -> History:
    """Put the history into the order of these subscriptions; forget those that are gone, begin those that are new."""
    ids = [it.id for it in subscriptions]
    if ids == history.ids and rules is history.rules:
        return history
    index = {identity: place for place, identity in enumerate(history.ids)}
    where = np.fromiter((index.get(identity, -1) for identity in ids), np.int64, len(ids))
    owners, objectives, targets = _configured(history, subscriptions, where, rules)
    return replace(
        history,
        ids=ids,
        owners=owners,
        objectives=objectives,
        targets=targets,
        ranks=taken(history.ranks, where),
        since=taken(history.since, where),
        seen=realigned(history.seen, where),
        track=realign_track(history.track, where),
        seconds=realign_seconds(history.seconds, where),
        rules=rules,
        gone=history.gone.union((index.keys() - set(ids)) & rules.left.keys()),
    )


def _configured(
    history: History, subscriptions: Sequence[Subscription], where: Ids, rules: Rules
) -> tuple[Sequence[str], Floats, Floats]:
    """Return owner, objective and its target of each subscription; patterns are tried only for those that are new."""
    known = where if rules is history.rules else np.full_like(where, -1)
    owners, objectives, targets = [], taken(history.objectives, known), taken(history.targets, known)
    for place, (subscription, before) in enumerate(zip(subscriptions, known.tolist(), strict=True)):
        owners.append(history.owners[before] if before >= 0 else rules.owners.find(subscription.id) or "")
        # What waits in a retry queue is meant to wait, whatever pattern it matches.
        if before < 0 and subscription.role is not Role.RETRY:
            objective = rules.objectives.find(subscription.id)
            objectives[place], targets[place] = objective or (np.nan, np.nan)
    return owners, objectives, targets


def _consuming(history: History, seen: Seen, rules: Rules, at: float) -> Flags:
    """Mark the subscriptions that are consumed from, as far as is known, so that a new part of them is no riddle."""
    lately: Flags = at - seen.consumed_at <= rules.limits.window
    return lately & ~np.isin(history.ranks, _NOT_CONSUMED)


def _whole(columns: Columns, history: History, seen: Seen, rates: Rates, at: float) -> Whole:
    return Whole(
        complete=columns.complete,
        retry=columns.retry,
        backlog=columns.backlog,
        in_flight=columns.in_flight,
        age=columns.age,
        retention=columns.retention,
        consumed_per_second=rates.consumed,
        present=columns.present,
        absent_for=seen.absent_for,
        back_for=at - seen.back_at,
        lost_for=at - seen.lost_at,
        set_back_for=at - seen.rewound_at,
        allowed=history.objectives,
    )


def _verdicts(
    snapshot: Snapshot,
    columns: Columns,
    history: History,
    finding: Finding,
    rates: Rates,
    all_parts: NDArray[np.int64],
    rules: Rules,
) -> tuple[Verdict, ...]:
    published, consumed = _or_none(rates.published), _or_none(rates.consumed)
    facts = map(
        Facts._make,
        zip(
            map(Cause, finding.found.tolist()),
            finding.parts.tolist(),
            all_parts.tolist(),
            finding.waited.tolist(),
            _or_none(history.seen.absent_for),
            np.where(np.isnan(history.objectives), rules.limits.age, history.objectives).tolist(),
            published,
            consumed,
            strict=True,
        ),
    )
    causes = [Cause(cause) for cause in finding.cause.tolist()]
    return tuple(
        map(
            Verdict,
            [STATUS_OF[cause] for cause in causes],
            map(tell, causes, snapshot.subscriptions, facts),
            history.since.tolist(),
            published,
            consumed,
            _or_none(drain_seconds(columns.backlog, rates)),
            history.owners,
            _or_none(history.objectives),
            _outcomes(history.seconds, history.objectives),
            _or_none(history.targets),
            _lifetimes(history, rules.left),
        )
    )


def _outcomes(seconds: Seconds, objectives: Floats) -> list[Mapping[str, float] | None]:
    counts = zip(seconds.met.tolist(), seconds.missed.tolist(), seconds.unknown.tolist(), strict=True)
    configured = (~np.isnan(objectives)).tolist()
    return [
        dict(zip(OUTCOMES, count, strict=True)) if has_objective else None
        for count, has_objective in zip(counts, configured, strict=True)
    ]


def _lifetimes(history: History, left: Mapping[str, tuple[float, float]]) -> list[Mapping[str, float] | None]:
    lifetimes: list[Mapping[str, float] | None] = [None] * len(history.ids)
    for place in np.flatnonzero(~np.isnan(history.objectives)).tolist():
        identity = history.ids[place]
        met, missed = left.get(identity, (0.0, 0.0)) if identity not in history.gone else (0.0, 0.0)
        seconds = history.seconds
        lifetimes[place] = {"met": met + float(seconds.met[place]), "missed": missed + float(seconds.missed[place])}
    return lifetimes


def _or_none(column: Floats) -> list[float | None]:
    return [None if value != value else value for value in column.tolist()]
