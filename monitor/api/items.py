"""The shapes that the API answers with, and how they are made of what the store holds.

Field names are the metric names without prefix and family; absent is null and never 0. The types are shared with the
client (`monitor.apiclient`), so this module knows nothing of the web framework.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

from monitor.analysis.objectives import budget_left
from monitor.model import (
    AgeMethod,
    ClusterView,
    CollectionError,
    DeadLetterQueue,
    FoundBy,
    Mute,
    Problem,
    Role,
    Snapshot,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
)

Number = int | float
T = TypeVar("T")

AsOf = Annotated[float, Field(description="when this was read, in Unix seconds")]
DataAge = Annotated[float, Field(description="how many seconds ago this was read")]
MutedUntil = Annotated[float | None, Field(description="when its mute ends, in Unix seconds; null when not muted")]
Id = Annotated[str, Field(description="parts joined by /, each percent-encoded")]

# The stems of the metric families, longest first where one begins another.
_FAMILIES = (
    "kafka_consumer_group_topic_",
    "kafka_consumer_group_",
    "kafka_partition_",
    "kafka_probe_",
    "rabbitmq_queue_",
    "rabbitmq_",
    "sqs_queue_",
    "sns_topic_",
    "sns_subscription_",
)


class Page(TypedDict, Generic[T]):
    """One page of a list. `next` is the cursor of the page after it, null on the last."""

    items: list[T]
    next: str | None
    total: Annotated[int, Field(description="how many there are on all pages")]


class AboutItem(TypedDict):
    """Which monitor answers, and who asks."""

    version: str
    python: str
    started_at: Annotated[float, Field(description="Unix seconds")]
    now: Annotated[float, Field(description="the monitor's clock, in Unix seconds")]
    name: Annotated[str, Field(description="whose token was given; `local` where none is needed")]
    role: Annotated[str, Field(description="viewer, operator or admin")]
    bodies: Annotated[bool, Field(description="whether dead letters are shown with what they hold")]


class ClusterSummary(TypedDict):
    """How one cluster is, in numbers; all are null while nothing is known of it. Retry queues do not count."""

    cluster: str
    system: Annotated[str, Field(description="the kind: kafka, rabbitmq or aws")]
    up: bool | None
    as_of: float | None
    statuses: Annotated[dict[str, int] | None, Field(description="subscriptions by status")]
    need_a_look: Annotated[int | None, Field(description="neither ok nor lagging, and not muted")]
    muted: Annotated[int | None, Field(description="neither ok nor lagging, but muted")]
    dead_letter_messages: Annotated[Number | None, Field(description="of all queues whose depth is known")]
    dead_letter_queues: int | None
    dead_letter_problems: Annotated[int | None, Field(description="queues whose set-up is wrong")]
    expiry_timestamp_seconds: Annotated[Number | None, Field(description="worst case of the next loss")]


class SummaryItem(TypedDict):
    """How everything is."""

    clusters: list[ClusterSummary]
    owners: Annotated[list[str], Field(description="the teams that own any of the subscriptions")]


class SubscriptionItem(TypedDict):
    """One consumer's view of a destination."""

    id: Id
    system: System
    cluster: str
    destination: str
    subscriber: str
    role: Role
    owner: str | None
    status: Status
    status_reason: str
    status_since: Annotated[float, Field(description="when the status last changed, in Unix seconds")]
    backlog_messages: Number | None
    oldest_age_seconds: Number | None
    age_method: AgeMethod
    in_flight_messages: Number | None
    consumers: int | None
    published_messages_total: Number | None
    consumed_messages_total: Number | None
    published_per_second: Number | None
    consumed_per_second: Number | None
    drain_seconds: Annotated[Number | None, Field(description="null when it is not known, or never; see drains")]
    drains: Annotated[bool | None, Field(description="whether the backlog shrinks; null when that is not known")]
    retention_seconds: Number | None
    unread_lost_messages_total: Number | None
    rewinds_total: Number | None
    abandoned: Annotated[bool, Field(description="messages wait, and for days nobody was there to consume")]
    objective_age_seconds: Number | None
    objective_budget_left_ratio: Annotated[
        Number | None, Field(description="share of the error budget that is left; below 0 it is overdrawn")
    ]
    muted_until: MutedUntil
    muted_reason: str | None
    expected: Annotated[int, Field(description="parts (partitions) that there are")]
    measured: Annotated[int, Field(description="parts that could be read; below expected, sums are null")]
    as_of: AsOf
    data_age_seconds: DataAge


class SubscriptionDetail(SubscriptionItem):
    """A subscription with the rows of its bus: table name to rows, each with labels and numbers."""

    details: dict[str, list[dict[str, Any]]]


class MemberItem(TypedDict):
    """One who consumes: a member of a Kafka group, or a consumer of a RabbitMQ queue."""

    name: str
    client: str
    host: str
    owns: Annotated[list[str], Field(description="partitions of this destination")]
    owns_elsewhere: Annotated[int, Field(description="how many partitions of other destinations")]


class MembersAnswer(TypedDict):
    """Who consumes right now; `known` is false where the bus does not tell, as SQS."""

    items: list[MemberItem]
    known: bool


class OriginEvidence(TypedDict):
    """Where dead letters come from, and how that is known."""

    origin: str
    found_by: FoundBy


class DeadLetterItem(TypedDict):
    """A queue or topic that holds dead letters, or a source of them whose set-up is wrong."""

    id: Id
    system: System
    cluster: str
    queue: str
    role: Annotated[Role, Field(description="work or retry: listed for its problems alone, and holds no dead letters")]
    messages: Number | None
    oldest_age_seconds: Number | None
    age_method: AgeMethod
    retention_seconds: Number | None
    expiry_timestamp_seconds: Annotated[Number | None, Field(description="the next loss at worst, as Unix seconds")]
    arrivals_total: Number | None
    found_by: FoundBy
    origins: list[str]
    origin_evidence: list[OriginEvidence]
    problems: list[Problem]
    muted_until: MutedUntil
    muted_reason: str | None
    as_of: AsOf
    data_age_seconds: DataAge


class DeadLetterDetail(DeadLetterItem):
    """A dead-letter queue with the rows of its bus: table name to rows, each with labels and numbers."""

    details: dict[str, list[dict[str, Any]]]


class ErrorItem(TypedDict):
    """What the last cycle could not get."""

    reason: str
    target: str
    message: str


class ProbedBroker(TypedDict):
    """How records fared that were sent through one broker and read back."""

    broker: str
    round_trip_seconds: Annotated[Number | None, Field(description="of the last round; null when it did not return")]
    returned_total: Number
    lost_total: Annotated[Number, Field(description="taken by the broker and not read back in time")]
    refused_total: Annotated[Number, Field(description="not taken by the broker")]


class ProbeItem(TypedDict):
    """What the end-to-end probe of a Kafka cluster found in its last round, and since it began."""

    last_round_timestamp_seconds: Annotated[Number | None, Field(description="when that round ended")]
    commit_seconds: Annotated[Number | None, Field(description="how long its commit took; null when it failed")]
    brokers: list[ProbedBroker]


class CollectorItem(TypedDict):
    """How the reading of one cluster is going."""

    cluster: str
    system: Annotated[str, Field(description="the kind: kafka, rabbitmq, aws")]
    up: Annotated[bool | None, Field(description="null before the first cycle has ended")]
    last_success_timestamp_seconds: float | None
    interval_seconds: float
    read_by: Annotated[
        str | None,
        Field(description="the address of the monitor that reads it in this one's place, empty if unknown; else null"),
    ]
    duration_seconds: Annotated[float | None, Field(description="how long the last cycle took")]
    missed_runs_total: int
    errors: list[ErrorItem]
    errors_total: Annotated[dict[str, int], Field(description="since the start, by reason")]
    expected: int | None
    measured: int | None
    series: Annotated[int | None, Field(description="metric series that the last cycle gave")]
    series_dropped: Annotated[int | None, Field(description="metric series that /metrics leaves out by the limit")]
    probe: Annotated[ProbeItem | None, Field(description="null where none is configured, and before its first round")]
    notes: list[str]
    as_of: float | None
    data_age_seconds: float | None


class CollectorDetail(CollectorItem):
    """A collector with the rows that speak of its cluster as a whole: calls, costs, nodes."""

    details: dict[str, list[dict[str, Any]]]


class MarkItem(TypedDict):
    """Something that people noted as having happened, such as a deployment."""

    id: int
    at: Annotated[float, Field(description="when it happened, in Unix seconds")]
    name: str
    note: str
    actor: Annotated[str, Field(description="who noted it")]
    created_at: float


class MuteItem(TypedDict):
    """A mute: what matches its subject is to wake nobody until it ends."""

    id: Annotated[int, Field(description="its number, by which it is ended")]
    subject: Annotated[str, Field(description="an id, or a pattern over ids")]
    until: Annotated[float, Field(description="when it ends by itself, in Unix seconds")]
    reason: str
    actor: Annotated[str, Field(description="who set it")]
    created_at: float
    subscriptions: Annotated[int, Field(description="subscriptions that it matches now")]
    dead_letters: Annotated[int, Field(description="dead-letter queues that it matches now")]


class HistoryPoint(TypedDict):
    """What was seen from `at` on, for one step; what was not known or not read is null."""

    at: Annotated[int, Field(description="when the step begins, in Unix seconds")]
    messages: Annotated[Number | None, Field(description="the most that waited")]
    oldest_age_seconds: Annotated[Number | None, Field(description="the highest age")]
    published_per_second: Number | None
    consumed_per_second: Number | None
    consumers: Number | None
    status: Annotated[Status | None, Field(description="the worst status")]


class HistoryAnswer(TypedDict):
    """A curve: a point for every step from `from` to `to`, oldest first."""

    subject: str
    step_seconds: int
    points: list[HistoryPoint]
    note: Annotated[str | None, Field(description="why there is no curve, where there is none")]


class CurveItem(TypedDict):
    """Chosen values of one curve, each as a column that has an entry for every step; null is not known."""

    subject: str
    values: dict[str, list[Number | str | None]]


class CurvesAnswer(TypedDict):
    """Curves of those subjects that have one."""

    step_seconds: int | None
    at: Annotated[list[int], Field(description="when each step begins, in Unix seconds")]
    curves: list[CurveItem]


class AlertItem(TypedDict):
    """An alert."""

    name: Annotated[str, Field(description="of its rule, and of its runbook")]
    state: Annotated[str, Field(description="firing, pending or silenced")]
    severity: str | None
    summary: str | None
    description: str | None
    labels: dict[str, str]
    since: float | None
    silences: Annotated[list[str], Field(description="the numbers of those that hold it back")]


class AlertsAnswer(TypedDict):
    """What fires and what is pending, worst first; at most a thousand."""

    source: Annotated[str, Field(description="alertmanager, prometheus, or status where neither is configured")]
    items: list[AlertItem]
    total: int


class SilenceItem(TypedDict):
    """A silence of Alertmanager."""

    id: str
    matchers: list[str]
    reason: str
    actor: str
    since: float | None
    until: float | None


class RunbookItem(TypedDict):
    """What an alert means and what to do."""

    name: str
    text: Annotated[str, Field(description="Markdown")]


def subscription_item(
    snapshot: Snapshot, place: int, verdict: Verdict, now: float, mute: Mute | None = None
) -> SubscriptionItem:
    """Return the subscription at `place` of a snapshot as the API tells it."""
    it = snapshot.subscriptions[place]
    drain = verdict.drain_seconds
    return {
        "id": it.id,
        "system": it.system,
        "cluster": it.cluster,
        "destination": it.destination,
        "subscriber": it.subscriber,
        "role": it.role,
        "owner": verdict.owner or None,
        "status": verdict.status,
        "status_reason": verdict.reason,
        "status_since": verdict.since,
        "backlog_messages": as_number(it.backlog_messages),
        "oldest_age_seconds": as_number(it.oldest_age.seconds),
        "age_method": it.oldest_age.method,
        "in_flight_messages": as_number(it.in_flight_messages),
        "consumers": it.consumers,
        "published_messages_total": as_number(it.published_messages_total),
        "consumed_messages_total": as_number(it.consumed_messages_total),
        "published_per_second": as_number(verdict.published_per_second),
        "consumed_per_second": as_number(verdict.consumed_per_second),
        "drain_seconds": as_number(drain),
        "drains": None if drain is None or math.isnan(drain) else math.isfinite(drain),
        "retention_seconds": as_number(it.retention_seconds),
        "unread_lost_messages_total": as_number(it.lost_messages_total),
        "rewinds_total": as_number(it.rewinds_total),
        "abandoned": it.abandoned,
        "objective_age_seconds": as_number(verdict.objective_age_seconds),
        "objective_budget_left_ratio": as_number(budget_left(verdict.objective_lifetime, verdict.objective_target)),
        "muted_until": mute.until if mute else None,
        "muted_reason": mute.reason if mute else None,
        "expected": it.expected,
        "measured": it.measured,
        "as_of": snapshot.taken_at,
        "data_age_seconds": max(0.0, now - snapshot.taken_at),
    }


def dead_letter_item(snapshot: Snapshot, place: int, now: float, mute: Mute | None = None) -> DeadLetterItem:
    """Return the dead-letter queue at `place` of a snapshot as the API tells it."""
    it = snapshot.dead_letters[place]
    return {
        "id": it.id,
        "system": it.system,
        "cluster": it.cluster,
        "queue": it.queue,
        "role": it.role,
        "messages": as_number(it.messages),
        "oldest_age_seconds": as_number(it.oldest_age.seconds),
        "age_method": it.oldest_age.method,
        "retention_seconds": as_number(it.retention_seconds),
        "expiry_timestamp_seconds": as_number(it.expires_at),
        "arrivals_total": as_number(it.arrivals_total),
        "found_by": it.found_by,
        "origins": [origin.name for origin in it.origins],
        "origin_evidence": [{"origin": origin.name, "found_by": origin.found_by} for origin in it.origins],
        "problems": list(it.problems),
        "muted_until": mute.until if mute else None,
        "muted_reason": mute.reason if mute else None,
        "as_of": snapshot.taken_at,
        "data_age_seconds": max(0.0, now - snapshot.taken_at),
    }


def collector_item(view: ClusterView, series: int | None, dropped: int | None, now: float) -> CollectorItem:
    """Return the health of one collector as the API tells it.

    `series` is how many metric series are shown of it, `dropped` how many are left out.
    """
    health, snapshot = view.health, view.snapshot
    return {
        "cluster": health.cluster,
        "system": health.kind,
        "up": health.up,
        "last_success_timestamp_seconds": health.last_success,
        "interval_seconds": health.interval,
        "read_by": health.read_by,
        "duration_seconds": health.cycle_seconds,
        "missed_runs_total": health.missed_runs_total,
        "errors": [_error_item(error) for error in health.errors],
        "errors_total": dict(health.errors_total),
        "expected": snapshot.expected if snapshot else None,
        "measured": snapshot.measured if snapshot else None,
        "series": series,
        "series_dropped": dropped,
        "probe": _probe_item(snapshot) if snapshot else None,
        "notes": [*(snapshot.notes if snapshot else ()), *_tell_dropped(dropped)],
        "as_of": snapshot.taken_at if snapshot else None,
        "data_age_seconds": max(0.0, now - snapshot.taken_at) if snapshot else None,
    }


def _tell_dropped(dropped: int | None) -> Iterator[str]:
    if dropped:
        order = "those by partition first, and the last by name"
        yield f"{dropped:,} series are left out of /metrics by max_series: {order}."


def _probe_item(snapshot: Snapshot) -> ProbeItem | None:
    if "probe" not in snapshot.tables:
        return None
    whole, by_broker, by_outcome = (
        _plain_rows(snapshot, name) for name in ("probe", "probe_brokers", "probe_messages")
    )
    counts = {(row["broker"], row["outcome"]): row["messages_total"] for row in by_outcome}
    return {
        "last_round_timestamp_seconds": whole[0]["last_round_timestamp_seconds"],
        "commit_seconds": whole[0]["commit_seconds"],
        "brokers": [
            {
                "broker": row["broker"],
                "round_trip_seconds": row["round_trip_seconds"],
                "returned_total": counts[row["broker"], "returned"],
                "lost_total": counts[row["broker"], "lost"],
                "refused_total": counts[row["broker"], "refused"],
            }
            for row in by_broker
        ],
    }


def _error_item(error: CollectionError) -> ErrorItem:
    return {"reason": error.reason, "target": error.target, "message": error.message}


def detail_rows(snapshot: Snapshot, it: Subscription | DeadLetterQueue) -> dict[str, list[dict[str, Any]]]:
    """Return, by table, the rows of the snapshot's tables that speak of `it`."""
    found = {name: list(_rows(table, it)) for name, table in snapshot.tables.items()}
    return {name: rows for name, rows in found.items() if rows}


_SINGLE_THINGS = frozenset(("topic", "group", "queue", "partition"))
_WIRING = frozenset(("sns_subscriptions",))
"""Tables of what leads where, which belong to no single thing."""
_MOST_WHOLE_ROWS = 500


def whole_rows(snapshot: Snapshot | None) -> dict[str, list[dict[str, Any]]]:
    """Return, by table, the rows of the snapshot's tables that speak of the cluster and not of single things in it."""
    tables = snapshot.tables if snapshot else {}
    whole = [
        name
        for name, it in tables.items()
        if name in _WIRING or _SINGLE_THINGS.isdisjoint(label.name for label in it.labels)
    ]
    found = {name: _plain_rows(snapshot, name)[:_MOST_WHOLE_ROWS] for name in whole} if snapshot else {}
    return {name: rows for name, rows in found.items() if rows}


def _plain_rows(snapshot: Snapshot, name: str) -> list[dict[str, Any]]:
    table = snapshot.tables[name]
    return list(_told(table, range(max((len(values) for values in table.columns.values()), default=0))))


def _rows(table: Table, it: Subscription | DeadLetterQueue) -> Iterator[dict[str, Any]]:
    return _told(table, table.rows_where(it.scope).tolist())


def _told(table: Table, rows: Iterable[int]) -> Iterator[dict[str, Any]]:
    labels = {label.name for label in table.labels}
    columns = [(field_name(family, labels), values) for family, values in table.columns.items()]
    for row in rows:
        told: dict[str, Any] = {label.name: label.values[label.codes[row]] for label in table.labels}
        told.update((name, as_number(float(values[row]))) for name, values in columns)
        yield told


def field_name(family: str, labels: Collection[str]) -> str:
    """Return the name of a family's value in the API: without the stem that its neighbours share.

    Where one of its labels has that name already (the state of a group), the value keeps the whole one.
    """
    short = next((family.removeprefix(stem) for stem in _FAMILIES if family.startswith(stem)), family)
    return family if short in labels else short


def as_number(value: float | None) -> Number | None:
    """Return what JSON can carry: whole numbers as such, and None for what is absent or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
