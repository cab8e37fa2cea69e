"""The families that every bus has, as tables: subscriptions, dead-letter queues, collectors.

The tables are like those that collectors make, so that there is one way of rendering.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.analysis.objectives import budget_left
from monitor.errors import REASONS
from monitor.model import (
    AgeMethod,
    ClusterView,
    DeadLetterQueue,
    Health,
    Labels,
    Status,
    Subscription,
    Table,
    Verdict,
    as_floats,
)


def unified_tables(view: ClusterView) -> Mapping[str, Table]:
    """Return the tables of one cluster, by name. Without a snapshot there is only the collector's."""
    tables = _collector_tables(view.health)
    if view.snapshot is not None:
        subscriptions, queues = view.snapshot.subscriptions, view.snapshot.dead_letters
        places = _places_shown([(s.system, s.destination, s.subscriber) for s in subscriptions], subscriptions)
        tables |= _subscription_tables(
            [subscriptions[place] for place in places], [view.verdicts[place] for place in places]
        )
        shown = _places_shown([(q.system, q.queue) for q in queues], queues)
        tables |= _dead_letter_tables([queues[place] for place in shown])
    return tables


def _places_shown(
    subjects: Sequence[tuple[str, ...]], items: Sequence[Subscription | DeadLetterQueue]
) -> Sequence[int]:
    """Return which items get series: of those with equal labels the one whose id comes first, in every cycle.

    Prometheus refuses a page that has a series twice, as it would be of `a/b` in the virtual host `/` and `b` in `a`.
    """
    chosen: dict[tuple[str, ...], int] = {}
    for place, subject in enumerate(subjects):
        before = chosen.setdefault(subject, place)
        if items[place].id < items[before].id:
            chosen[subject] = place
    return sorted(chosen.values())


def _subscription_tables(subscriptions: Sequence[Subscription], verdicts: Sequence[Verdict]) -> dict[str, Table]:
    labels = (
        Labels.of("system", (s.system for s in subscriptions)),
        Labels.of("destination", (s.destination for s in subscriptions)),
        Labels.of("subscriber", (s.subscriber for s in subscriptions)),
    )
    # A sum over fewer parts than there are would look like a smaller backlog.
    whole = np.array([s.complete for s in subscriptions], dtype=bool)
    sums = {
        "subscription_backlog_messages": as_floats(s.backlog_messages for s in subscriptions),
        "subscription_oldest_age_seconds": as_floats(s.oldest_age.seconds for s in subscriptions),
        "subscription_in_flight_messages": as_floats(s.in_flight_messages for s in subscriptions),
        "subscription_drain_seconds": as_floats(v.drain_seconds for v in verdicts),
        "subscription_published_messages_total": as_floats(s.published_messages_total for s in subscriptions),
        "subscription_consumed_messages_total": as_floats(s.consumed_messages_total for s in subscriptions),
    }
    columns = {family: np.where(whole, values, np.nan) for family, values in sums.items()} | {
        "subscription_consumers": as_floats(s.consumers for s in subscriptions),
        "subscription_objective_age_seconds": as_floats(v.objective_age_seconds for v in verdicts),
        "subscription_objective_target_ratio": as_floats(v.objective_target for v in verdicts),
        "subscription_objective_budget_left_ratio": as_floats(
            budget_left(v.objective_lifetime, v.objective_target) for v in verdicts
        ),
    }
    ages = (s.oldest_age.method if s.complete else AgeMethod.UNKNOWN for s in subscriptions)
    info = (*labels, Labels.of("owner", (v.owner for v in verdicts)), Labels.of("age_method", ages))
    return {
        "subscriptions": Table(labels, columns),
        "subscription_status": _status_table(labels, verdicts),
        "subscription_objective": _objective_table(subscriptions, verdicts),
        "subscription_info": Table(info, {"subscription_info": np.ones(len(subscriptions))}),
        "subscription_abandoned": _abandoned_table(subscriptions),
    }


def _abandoned_table(subscriptions: Sequence[Subscription]) -> Table:
    rows = [(s.system, s.destination, s.subscriber) for s in subscriptions if s.abandoned]
    return Table.of_rows(("system", "destination", "subscriber"), rows, {"subscription_abandoned": [1.0] * len(rows)})


def _status_table(labels: tuple[Labels, ...], verdicts: Sequence[Verdict]) -> Table:
    positions = {status: i for i, status in enumerate(Status)}
    flags = np.zeros((len(verdicts), len(positions)))
    flags[np.arange(len(verdicts)), [positions[v.status] for v in verdicts]] = 1
    repeated = (Labels(label.name, label.values, np.repeat(label.codes, len(positions))) for label in labels)
    statuses = Labels("status", tuple(positions), np.tile(np.arange(len(positions), dtype=np.int32), len(verdicts)))
    return Table((*repeated, statuses), {"subscription_status": flags.ravel()})


def _objective_table(subscriptions: Sequence[Subscription], verdicts: Sequence[Verdict]) -> Table:
    counted = [
        ((s.system, s.destination, s.subscriber, outcome), seconds)
        for s, v in zip(subscriptions, verdicts, strict=True)
        for outcome, seconds in (v.objective_seconds or {}).items()
    ]
    names = ("system", "destination", "subscriber", "outcome")
    seconds_total = [seconds for _, seconds in counted]
    return Table.of_rows(names, [row for row, _ in counted], {"subscription_objective_seconds_total": seconds_total})


def _dead_letter_tables(queues: Sequence[DeadLetterQueue]) -> dict[str, Table]:
    # A source that lacks a dead-letter queue is told by its problem; there are no dead letters in it.
    real = [q for q in queues if q.holds_dead_letters]
    names = ("system", "queue")
    origins = [
        (q.system, q.queue, name, found_by)
        for q in real
        for name, found_by in ([(o.name, o.found_by) for o in q.origins] or [("", q.found_by)])
    ]
    problems = [(q.system, q.queue, problem) for q in queues for problem in q.problems]
    return {
        "dead_letters": Table.of_rows(
            names,
            [(q.system, q.queue) for q in real],
            {
                "dead_letter_messages": [q.messages for q in real],
                "dead_letter_oldest_age_seconds": [q.oldest_age.seconds for q in real],
                "dead_letter_retention_seconds": [q.retention_seconds for q in real],
                "dead_letter_expiry_timestamp_seconds": [q.expires_at for q in real],
                "dead_letter_arrivals_total": [q.arrivals_total for q in real],
            },
        ),
        "dead_letter_info": Table.of_rows(
            (*names, "origin", "found_by"), origins, {"dead_letter_info": [1.0] * len(origins)}
        ),
        "dead_letter_problem": Table.of_rows(
            (*names, "problem"), problems, {"dead_letter_problem": [1.0] * len(problems)}
        ),
    }


def _collector_tables(health: Health) -> dict[str, Table]:
    errors = dict.fromkeys(REASONS, 0) | dict(health.errors_total)
    return {
        "collector": Table.of_rows(
            ("system",),
            [(health.kind,)],
            {
                "collector_up": [None if health.up is None else float(health.up)],
                "collector_last_success_timestamp_seconds": [health.last_success],
                "collector_interval_seconds": [health.interval],
                "collector_missed_runs_total": [float(health.missed_runs_total)],
            },
        ),
        "collector_errors": Table.of_rows(
            ("system", "reason"),
            [(health.kind, reason) for reason in errors],
            {"collector_errors_total": map(float, errors.values())},
        ),
    }
