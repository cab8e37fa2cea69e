"""The kinds of things that the API lists: how each is sorted, filtered and searched."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from monitor.analysis.objectives import budget_left
from monitor.analysis.ordering import worst_first
from monitor.api.items import (
    CollectorItem,
    DeadLetterItem,
    SubscriptionItem,
    collector_item,
    dead_letter_item,
    subscription_item,
)
from monitor.api.listing import Kind, Row
from monitor.model import ClusterView, DeadLetterQueue, Mute, Snapshot, Status, Subscription, Verdict

_BADNESS = {status: rank for rank, status in enumerate(Status)}


def snapshot_of(row: Row) -> Snapshot:
    """Return the snapshot that a row of a subscription or dead-letter queue stands in."""
    assert row.view.snapshot is not None  # noqa: S101 (such rows come out of a snapshot)
    return row.view.snapshot


def subscription_of(row: Row) -> Subscription:
    """Return the subscription of a row."""
    return snapshot_of(row).subscriptions[row.place]


def dead_letter_of(row: Row) -> DeadLetterQueue:
    """Return the dead-letter queue of a row."""
    return snapshot_of(row).dead_letters[row.place]


def _verdict_of(row: Row) -> Verdict:
    return row.view.verdicts[row.place]


def _subscription_rows(view: ClusterView) -> Iterable[Row]:
    found = view.snapshot.subscriptions if view.snapshot else ()
    return (Row(it.id, view, place) for place, it in enumerate(found))


def _dead_letter_rows(view: ClusterView) -> Iterable[Row]:
    found = view.snapshot.dead_letters if view.snapshot else ()
    return (Row(it.id, view, place) for place, it in enumerate(found))


def _collector_rows(view: ClusterView) -> Iterable[Row]:
    return (Row(quote(view.health.cluster, safe=""), view, 0),)


def _worst_subscriptions_first(view: ClusterView) -> Iterable[Any]:
    # One expression for all: this is done anew after each cycle, for many thousands.
    found = view.snapshot.subscriptions if view.snapshot else ()
    return [worst_first(it, verdict) for it, verdict in zip(found, view.verdicts, strict=True)]


def _worst_dead_letters_first(view: ClusterView) -> Iterable[Any]:
    return [
        (_dead_letter_rank(it), -(it.oldest_age.seconds or 0.0), -(it.messages or 0.0), it.id)
        for it in (view.snapshot.dead_letters if view.snapshot else ())
    ]


def _dead_letter_rank(it: DeadLetterQueue) -> int:
    """Rank by what waits: dead letters first, then set-up mistakes, then what nobody knows, then the empty ones."""
    return 0 if it.messages else 1 if it.problems else 2 if it.messages is None else 3


def _worst_collector_first(view: ClusterView) -> Iterable[Any]:
    up = view.health.up
    return [(1 if up is None else 2 if up else 0, view.health.cluster)]


def _of_subscription(get: Callable[[Subscription], Any]) -> Callable[[Row], Any]:
    return lambda row: get(subscription_of(row))


def _of_verdict(get: Callable[[Verdict], Any]) -> Callable[[Row], Any]:
    return lambda row: get(_verdict_of(row))


def _of_dead_letter(get: Callable[[DeadLetterQueue], Any]) -> Callable[[Row], Any]:
    return lambda row: get(dead_letter_of(row))


def _of_view(get: Callable[[ClusterView], Any]) -> Callable[[Row], Any]:
    return lambda row: get(row.view)


_SUBSCRIPTION_SORT_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "id": lambda row: row.id,
    "system": _of_subscription(lambda it: it.system),
    "cluster": _of_subscription(lambda it: it.cluster),
    "destination": _of_subscription(lambda it: it.destination),
    "subscriber": _of_subscription(lambda it: it.subscriber),
    "role": _of_subscription(lambda it: it.role),
    "owner": _of_verdict(lambda it: it.owner or None),
    "status": _of_verdict(lambda it: _BADNESS[it.status]),
    "status_since": _of_verdict(lambda it: it.since),
    "backlog_messages": _of_subscription(lambda it: it.backlog_messages),
    "oldest_age_seconds": _of_subscription(lambda it: it.oldest_age.seconds),
    "in_flight_messages": _of_subscription(lambda it: it.in_flight_messages),
    "consumers": _of_subscription(lambda it: it.consumers),
    "published_messages_total": _of_subscription(lambda it: it.published_messages_total),
    "consumed_messages_total": _of_subscription(lambda it: it.consumed_messages_total),
    "published_per_second": _of_verdict(lambda it: it.published_per_second),
    "consumed_per_second": _of_verdict(lambda it: it.consumed_per_second),
    "drain_seconds": _of_verdict(lambda it: it.drain_seconds),
    "retention_seconds": _of_subscription(lambda it: it.retention_seconds),
    "unread_lost_messages_total": _of_subscription(lambda it: it.lost_messages_total),
    "rewinds_total": _of_subscription(lambda it: it.rewinds_total),
    "objective_age_seconds": _of_verdict(lambda it: it.objective_age_seconds),
    "objective_budget_left_ratio": _of_verdict(lambda it: budget_left(it.objective_lifetime, it.objective_target)),
}

_DEAD_LETTER_SORT_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "id": lambda row: row.id,
    "system": _of_dead_letter(lambda it: it.system),
    "cluster": _of_dead_letter(lambda it: it.cluster),
    "queue": _of_dead_letter(lambda it: it.queue),
    "messages": _of_dead_letter(lambda it: it.messages),
    "oldest_age_seconds": _of_dead_letter(lambda it: it.oldest_age.seconds),
    "retention_seconds": _of_dead_letter(lambda it: it.retention_seconds),
    "expiry_timestamp_seconds": _of_dead_letter(lambda it: it.expires_at),
    "arrivals_total": _of_dead_letter(lambda it: it.arrivals_total),
    "found_by": _of_dead_letter(lambda it: it.found_by),
}

_COLLECTOR_SORT_KEYS: Mapping[str, Callable[[Row], Any]] = {
    "cluster": _of_view(lambda it: it.health.cluster),
    "system": _of_view(lambda it: it.health.kind),
    "up": _of_view(lambda it: it.health.up),
    "last_success_timestamp_seconds": _of_view(lambda it: it.health.last_success),
    "interval_seconds": _of_view(lambda it: it.health.interval),
    "duration_seconds": _of_view(lambda it: it.health.cycle_seconds),
    "missed_runs_total": _of_view(lambda it: it.health.missed_runs_total),
}


def _subscription_texts(row: Row) -> Iterable[str]:
    it, verdict = subscription_of(row), _verdict_of(row)
    return (it.cluster, it.destination, it.subscriber, verdict.owner, verdict.status, it.id)


def _dead_letter_texts(row: Row) -> Iterable[str]:
    it = dead_letter_of(row)
    return (it.cluster, it.queue, it.id, *(origin.name for origin in it.origins), *it.problems)


def subscriptions(mute_of: Callable[[str], Mute | None]) -> Kind[SubscriptionItem]:
    """Return the kind of subscriptions; `mute_of` tells the mute that holds for an id."""
    return Kind(
        noun="subscription",
        rows=_subscription_rows,
        item=lambda row, now: subscription_item(snapshot_of(row), row.place, _verdict_of(row), now, mute_of(row.id)),
        worst_first=_worst_subscriptions_first,
        sort_keys=_SUBSCRIPTION_SORT_KEYS,
        filters={
            "cluster": _of_subscription(lambda it: (it.cluster,)),
            "system": _of_subscription(lambda it: (it.system,)),
            "role": _of_subscription(lambda it: (it.role,)),
            "status": _of_verdict(lambda it: (it.status,)),
            "owner": _of_verdict(lambda it: (it.owner,)),
        },
        search_texts=_subscription_texts,
    )


def dead_letters(mute_of: Callable[[str], Mute | None]) -> Kind[DeadLetterItem]:
    """Return the kind of dead-letter queues; `mute_of` tells the mute that holds for an id."""
    return Kind(
        noun="dead-letter queue",
        rows=_dead_letter_rows,
        item=lambda row, now: dead_letter_item(snapshot_of(row), row.place, now, mute_of(row.id)),
        worst_first=_worst_dead_letters_first,
        sort_keys=_DEAD_LETTER_SORT_KEYS,
        filters={
            "cluster": _of_dead_letter(lambda it: (it.cluster,)),
            "system": _of_dead_letter(lambda it: (it.system,)),
            "problem": _of_dead_letter(lambda it: it.problems),
        },
        search_texts=_dead_letter_texts,
    )


def collectors(series: Callable[[str], int | None], dropped: Callable[[str], int | None]) -> Kind[CollectorItem]:
    """Return the kind of collectors.

    `series` tells how many metric series of a cluster are shown, `dropped` how many the limit leaves out.
    """

    def item(row: Row, now: float) -> CollectorItem:
        cluster = row.view.health.cluster
        return collector_item(row.view, series(cluster), dropped(cluster), now)

    return Kind(
        noun="collector",
        rows=_collector_rows,
        item=item,
        worst_first=_worst_collector_first,
        sort_keys=_COLLECTOR_SORT_KEYS,
        filters={
            "cluster": _of_view(lambda it: (it.health.cluster,)),
            "system": _of_view(lambda it: (it.health.kind,)),
        },
        search_texts=lambda row: (row.view.health.cluster, row.view.health.kind),
    )
