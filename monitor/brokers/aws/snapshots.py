"""From what one cycle read to the vocabulary of all buses: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.brokers.aws.cloudwatch import QUEUE_SUMS, TOPIC_FILTERED, TOPIC_SUMS, CloudWatch, topic_series
from monitor.brokers.aws.costs import Costs
from monitor.brokers.aws.dead_letters import DeadLetters, Relations, find_expiry, judge_role
from monitor.brokers.aws.queues import IN_FLIGHT_QUOTA, Queue
from monitor.brokers.aws.topics import TopicSubscription
from monitor.model import (
    Age,
    AgeMethod,
    DeadLetterQueue,
    FoundBy,
    Labels,
    Parts,
    Problem,
    Role,
    Subscription,
    System,
    Table,
    as_floats,
    encode_id,
)

_SENT, _DELETED = "sqs_queue_sent_total", "sqs_queue_deleted_total"


@dataclass(frozen=True, slots=True)
class Sight:
    """One watched queue as a cycle sees it. `queue` is None when it did not answer, `last` is then its last answer.

    `oldest_possible` bounds the age in seconds from above; `sums` has CloudWatch's counters by
    family, None where it says nothing.
    """

    name: str
    role: Role
    queue: Queue | None
    last: Queue | None
    age: Age
    oldest_possible: float
    arrivals: float | None
    sums: Mapping[str, float | None]


class Tables:
    """Builds tables, and hands over the same labels while the rows of a table stay the same."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[list[tuple[str, ...]], tuple[Labels, ...]]] = {}

    def build(
        self,
        table: str,
        names: Sequence[str],
        rows: Iterable[tuple[str, ...]],
        columns: Mapping[str, Iterable[float | None]],
    ) -> Table:
        """Build the table called `table` from one tuple of label values a row."""
        now = list(rows)
        rows_before, labels = self._last.get(table, ([], ()))
        if now != rows_before or not labels:
            labels = tuple(Labels.of(name, (row[i] for row in now)) for i, name in enumerate(names))
            self._last[table] = now, labels
        return Table(labels, {family: as_floats(values) for family, values in columns.items()})


def build_subscriptions(cluster: str, sights: Sequence[Sight]) -> tuple[Subscription, ...]:
    """Return the queues that are not dead-letter queues.

    The backlog is what could be received now: delayed messages are late on purpose, and those in flight are being
    worked on; both are told apart.
    """
    return tuple(_subscription_of(cluster, sight) for sight in sights if sight.role is not Role.DEAD_LETTER)


def _subscription_of(cluster: str, sight: Sight) -> Subscription:
    queue, known = sight.queue, sight.queue or sight.last
    return Subscription(
        id=encode_id(cluster, sight.name),
        system=System.SQS,
        cluster=cluster,
        destination=sight.name,
        subscriber=sight.name,
        backlog_messages=queue.visible if queue else None,
        oldest_age=sight.age,
        in_flight_messages=queue.in_flight if queue else None,
        consumers=None,  # SQS does not know who polls
        published_messages_total=sight.sums[_SENT] if queue else None,
        consumed_messages_total=sight.sums[_DELETED] if queue else None,
        retention_seconds=known.retention if known else None,
        measured=1 if queue else 0,
        role=sight.role,
        scope={"queue": sight.name},
    )


def build_dead_letters(
    cluster: str, sights: Sequence[Sight], relations: Relations, now: float
) -> tuple[DeadLetterQueue, ...]:
    """Return the dead-letter queues, and the sources that have no usable one, under their own names."""
    found = [_dead_letters_of(cluster, sight, relations, now) for sight in sights if sight.role is Role.DEAD_LETTER]
    found += [
        _source_without(System.SQS, cluster, (sight.name,), relations.source_problems[sight.name], sight.role)
        for sight in sights
        if sight.role is not Role.DEAD_LETTER and sight.name in relations.source_problems
    ]
    found += [
        _source_without(System.SNS, cluster, tuple(name.split("/", 1)), problems, Role.WORK)
        for name, problems in sorted(relations.topic_problems.items())
    ]
    return tuple(found)


def _dead_letters_of(cluster: str, sight: Sight, relations: Relations, now: float) -> DeadLetterQueue:
    queue, known = sight.queue, sight.queue or sight.last
    about = relations.dead_letters.get(sight.name) or DeadLetters(judge_role(sight.name)[1] or FoundBy.NAME)
    expires = None
    if queue and queue.depth:
        expires = find_expiry(now, queue.retention, sight.oldest_possible, about.carried_seconds)
    return DeadLetterQueue(
        id=encode_id(cluster, sight.name),
        system=System.SQS,
        cluster=cluster,
        queue=sight.name,
        found_by=about.found_by,
        messages=queue.depth if queue else None,
        oldest_age=sight.age,
        retention_seconds=known.retention if known else None,
        expires_at=expires,
        arrivals_total=sight.arrivals,
        origins=about.origins,
        problems=about.problems + relations.source_problems.get(sight.name, ()),
        scope={"queue": sight.name},
    )


def _source_without(
    system: System, cluster: str, parts: tuple[str, ...], problems: tuple[Problem, ...], role: Role
) -> DeadLetterQueue:
    scope = {"queue": parts[0]} if system is System.SQS else {"topic": parts[0]}
    return DeadLetterQueue(
        id=encode_id(cluster, *parts),
        system=system,
        cluster=cluster,
        queue="/".join(parts),
        found_by=FoundBy.TOPOLOGY,
        problems=problems,
        role=role,
        scope=scope,
    )


def build_parts(sights: Sequence[Sight], ids: Mapping[str, int], *, tells_progress: bool) -> Parts:
    """Return one part a subscription, in the order of `build_subscriptions`; without counters that move too seldom."""
    shown = [sight for sight in sights if sight.role is not Role.DEAD_LETTER]
    counted = [sight.sums if sight.queue and tells_progress else {} for sight in shown]
    return Parts(
        ids=np.array([ids[sight.name] for sight in shown], dtype=np.int64),
        subscription=np.arange(len(shown), dtype=np.int32),
        backlog=as_floats(sight.queue.visible if sight.queue else None for sight in shown),
        consumed=as_floats(sums.get(_DELETED) for sums in counted),
        published=as_floats(sums.get(_SENT) for sums in counted),
    )


def build_queue_tables(tables: Tables, sights: Sequence[Sight], relations: Relations) -> dict[str, Table]:
    """Return the tables `queues` and `queue_info`."""
    queues = [sight.queue for sight in sights]
    columns: dict[str, list[float | None]] = {
        "sqs_queue_messages_visible": [queue.visible if queue else None for queue in queues],
        "sqs_queue_messages_in_flight": [queue.in_flight if queue else None for queue in queues],
        "sqs_queue_messages_delayed": [queue.delayed if queue else None for queue in queues],
        "sqs_queue_retention_seconds": [queue.retention if queue else None for queue in queues],
        "sqs_queue_visibility_timeout_seconds": [queue.visibility_timeout if queue else None for queue in queues],
        "sqs_queue_max_receive_count": [queue.max_receive_count if queue else None for queue in queues],
        "sqs_queue_in_flight_quota": [IN_FLIGHT_QUOTA if queue else None for queue in queues],
        "sqs_queue_oldest_message_age_seconds": [_told_age(sight.age) for sight in sights],
        **{family: [sight.sums[family] for sight in sights] for family in QUEUE_SUMS},
    }
    info = [
        (sight.name, _flag(sight.name.endswith(".fifo")), str(sight.role), relations.targets.get(sight.name, ""))
        for sight in sights
    ]
    return {
        "queues": tables.build("queues", ("queue",), [(sight.name,) for sight in sights], columns),
        "queue_info": tables.build(
            "queue_info", ("queue", "fifo", "role", "dlq"), info, {"sqs_queue_info": [1.0] * len(info)}
        ),
    }


def _told_age(age: Age) -> float | None:
    """Return an age that AWS itself tells."""
    return age.seconds if age.method in (AgeMethod.REPORTED, AgeMethod.EXACT) else None


def build_topic_tables(
    tables: Tables, topics: Sequence[str], subscriptions: Sequence[TopicSubscription], watch: CloudWatch
) -> dict[str, Table]:
    """Return the tables `topics`, `topics_filtered_out` and `sns_subscriptions`."""
    sums = {family: [watch.total_of(topic_series(t, metric)) for t in topics] for family, metric in TOPIC_SUMS.items()}
    filtered = [(topic, reason) for topic in topics for reason in TOPIC_FILTERED]
    filtered_out = [watch.total_of(topic_series(topic, TOPIC_FILTERED[reason])) for topic, reason in filtered]
    info = list(dict.fromkeys((s.topic, s.protocol, s.endpoint, _has_dlq(s)) for s in subscriptions if s.attributes))
    return {
        "topics": tables.build("topics", ("topic",), [(topic,) for topic in topics], sums),
        "topics_filtered_out": tables.build(
            "topics_filtered_out", ("topic", "reason"), filtered, {"sns_topic_filtered_out_total": filtered_out}
        ),
        "sns_subscriptions": tables.build(
            "sns_subscriptions",
            ("topic", "protocol", "endpoint", "has_dlq"),
            info,
            {"sns_subscription_info": [1.0] * len(info)},
        ),
    }


def _has_dlq(subscription: TopicSubscription) -> str:
    return _flag(subscription.attributes is not None and subscription.attributes.dead_letter_arn is not None)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def build_api_tables(
    tables: Tables, totals: Mapping[tuple[str, str], tuple[int, int]], costs: Costs, watch: CloudWatch
) -> dict[str, Table]:
    """Return the tables `aws_api` and `cloudwatch`. Calls that nobody has a price for cost nothing (STS)."""
    return {
        "aws_api": tables.build(
            "aws_api",
            ("service", "operation"),
            list(totals),
            {
                "aws_api_requests_total": [sent for sent, _ in totals.values()],
                "aws_api_throttled_total": [throttled for _, throttled in totals.values()],
                "aws_api_monthly_cost_dollars": [costs.get(call, 0.0) for call in totals],
            },
        ),
        "cloudwatch": Table(
            (),
            {
                "cloudwatch_billable_metrics_total": as_floats([watch.billable_total]),
                "cloudwatch_newest_datapoint_timestamp_seconds": as_floats([watch.newest]),
                "cloudwatch_monthly_budget_dollars": as_floats([watch.budget_dollars]),
                "cloudwatch_pace_seconds": as_floats([watch.pace]),
            },
        ),
    }
