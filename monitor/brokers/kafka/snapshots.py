"""Puts what a cycle has read into the product's model: subscriptions, parts and tables. No I/O."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.brokers.kafka.ages import METHODS, NOTHING_WAITS, RowAges, oldest
from monitor.brokers.kafka.facts import TopicFacts
from monitor.brokers.kafka.groups import STATES, Group
from monitor.brokers.kafka.lag import Lag, Mask, Retention, RowLogs, find_margin
from monitor.brokers.kafka.memory import Memory
from monitor.brokers.kafka.metadata import NO_LEADER, Listing, Partitions, Replication
from monitor.brokers.kafka.offsets import Logs
from monitor.brokers.kafka.rows import Rows
from monitor.brokers.naming import is_retry_by_name
from monitor.model import (
    Age,
    AgeMethod,
    Codes,
    Floats,
    Labels,
    Parts,
    Role,
    Subscription,
    System,
    Table,
    as_floats,
)
from monitor.words import say_duration


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Everything that one cycle has read and reckoned, as columns by row, pair or slot.

    `uncommitted` marks rows that have no committed offset for certain, `unsure` those whose log began anew in this
    cycle: their offsets cannot be compared with those before. `row_logs` are the logs by row; `open_since` is by slot,
    when the oldest transaction that is open there began, NaN where none is. `retention` is by topic, NaN where age
    deletes nothing or it is not known; `capped` marks topics whose size deletes records as well. `owned` is 1 where a
    member owns the row's partition, 0 where none does, NaN where that is not known. `abandoned` marks pairs, `activity`
    has the counters of groups, `shares` are the share groups, and `all_groups` says whether each group could be read.
    """

    now: float

    partitions: Partitions
    replication: Replication
    logs: Logs
    groups: Sequence[Group]
    rows: Rows
    committed: Floats
    uncommitted: Mask
    lag: Lag
    ages: RowAges
    totals: Memory
    retention: Floats
    capped: Mask
    owned: Floats
    unsure: Mask
    row_logs: RowLogs
    open_since: Floats
    abandoned: Mask
    activity: Table
    shares: Sequence[str]
    all_groups: bool


def make_parts(reading: Reading) -> Parts:
    """Return the columns that status is judged on."""
    rows = reading.rows
    consumed, published = reading.committed.copy(), reading.logs.end[rows.slot]
    consumed[reading.unsure] = published[reading.unsure] = np.nan
    return Parts(rows.ids, rows.pair, reading.lag.backlog, consumed, published, reading.lag.counted)


def tell_limits(reading: Reading) -> tuple[str, ...]:
    """Return sentences for people about what the numbers cannot tell."""
    rows, lag, logs = reading.rows, reading.lag, reading.logs
    notes = [
        "Read through the admin API: offsets that hold no record (compaction, transaction markers) count as lag, and "
        "until they have been read, which takes the right to, as backlog."
    ]
    unknown = np.flatnonzero(reading.uncommitted & np.isnan(lag.backlog))
    if len(unknown):
        group, topic = (label.values[label.codes[unknown[0]]] for label in rows.labels[:2])
        notes.append(
            f"{len(unknown):,} partitions are owned by members that have never committed there, for example in group "
            f"{group} on topic {topic}: what waits in them cannot be known."
        )
    held = np.flatnonzero(logs.stable < logs.end)
    if len(held):
        topic = reading.partitions.topics[reading.partitions.topic[held[0]]]
        longest = reading.now - float(np.nanmin(reading.open_since[held]))
        notes.append(
            f"{len(held):,} partitions have an open transaction, for example of topic {topic}, the oldest for "
            f"{say_duration(longest)}: readers of committed data get on only up to the last stable offset."
        )
    if reading.shares:
        notes.append(
            f"{len(reading.shares):,} share groups, for example {reading.shares[0]}, cannot be measured by this "
            "client: they have no committed offsets, and how far they are behind is not known."
        )
    return tuple(notes)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What is told of each topic of each group."""

    expected: Floats
    measured: Floats
    backlog: Floats
    age: Floats
    method: Codes
    margin: Floats
    time_to_loss: Floats
    unowned_lagging: Floats
    ahead: Floats
    hottest: Floats


def sum_up(reading: Reading) -> Pairs:
    """Sum up rows by pair. A sum over rows of which one is not known is not known."""
    rows, lag = reading.rows, reading.lag
    topic = reading.partitions.topic[rows.slot]
    retention = Retention(reading.retention[topic], reading.capped[topic])
    left = retention.seconds - reading.ages.seconds
    waits = lag.backlog > 0
    age, method = oldest(rows, reading.ages)
    backlog = rows.total(lag.backlog)
    return Pairs(
        expected=rows.total(np.ones(len(rows))),
        measured=rows.total(np.isfinite(lag.backlog).astype(np.float64)),
        backlog=backlog,
        age=age,
        method=method,
        margin=rows.smallest(find_margin(lag, reading.row_logs, reading.ages.seconds, retention)),
        time_to_loss=rows.smallest(np.where(waits, np.maximum(left, 0.0), np.nan)),
        unowned_lagging=rows.total((1.0 - reading.owned) * waits),
        ahead=rows.total(lag.ahead.astype(np.float64)),
        hottest=np.divide(rows.largest(lag.backlog), backlog, out=np.full(len(backlog), np.nan), where=backlog > 0),
    )


def make_subscriptions(cluster: str, reading: Reading, pairs: Pairs) -> tuple[Subscription, ...]:
    """Return one subscription for each topic of each group."""
    rows, totals = reading.rows, reading.totals
    columns = zip(
        rows.names,
        _lists(rows.pair_group, rows.pair_topic),
        _lists(pairs.expected, pairs.measured),
        _lists(pairs.backlog, pairs.age, pairs.method),
        _lists(*(totals[name] for name in ("published", "consumed", "lost", "lost_while_watched", "rewinds"))),
        _lists(reading.retention[rows.pair_topic], reading.abandoned),
        strict=True,
    )
    subscriptions = []
    for (identity, scope), (g, t), (expected, measured), (backlog, age, method), counters, (retention, left) in columns:
        group, topic, whole = reading.groups[g], reading.partitions.topics[t], measured >= expected
        published, consumed, lost, lost_while_watched, rewinds = counters
        subscriptions.append(
            Subscription(
                id=identity,
                system=System.KAFKA,
                cluster=cluster,
                destination=topic,
                subscriber=group.name,
                backlog_messages=backlog if whole else None,
                oldest_age=_age(age, METHODS[method]) if whole else Age.unknown(),
                consumers=None if group.consumers is None else group.consumers.get(topic, 0),
                published_messages_total=published if whole else None,
                consumed_messages_total=consumed if whole else None,
                retention_seconds=None if math.isnan(retention) else retention,
                lost_messages_total=lost,
                lost_while_watched=lost_while_watched,
                rewinds_total=rewinds,
                expected=int(expected),
                measured=int(measured),
                role=Role.RETRY if is_retry_by_name(topic) else Role.WORK,
                abandoned=left,
                scope=scope,
            )
        )
    return tuple(subscriptions)


def _lists(*columns: Floats | Codes | Mask) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _age(seconds: float, method: AgeMethod) -> Age:
    if seconds == 0.0 and method is AgeMethod.EXACT:
        return NOTHING_WAITS
    return Age.unknown() if method is AgeMethod.UNKNOWN else Age(seconds, method)


def find_abandoned(rows: Rows, groups: Sequence[Group], lag: Lag, totals: Memory, before: float) -> Mask:
    """Mark the pairs of groups without members that are behind and have not got on since `before` (Unix seconds).

    A group that was first seen after that cannot be told from one that was just stopped.
    """
    empty = np.array([group.is_empty for group in groups], dtype=bool)[rows.pair_group]
    waits = rows.largest(lag.backlog) > 0
    return empty & waits & (np.fmax(totals["advanced"], totals["since"]) <= before)


def tell_ownership(reading_rows: Rows, groups: Sequence[Group]) -> Floats:
    """Return 1 for rows whose partition a member owns, 0 where none does, NaN where that is not known."""
    owned = np.zeros(len(reading_rows))
    starts = np.searchsorted(reading_rows.pair_group[reading_rows.pair], np.arange(len(groups) + 1))
    for number, group in enumerate(groups):
        begin, end = int(starts[number]), int(starts[number + 1])
        owned[begin:end] = np.nan if group.owned is None else np.isin(group.keys, group.owned)
    return owned


class Tables:
    """Makes the tables, with the same labels for as long as the rows are the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, tuple[Labels, ...]]] = {}

    def make(self, reading: Reading, pairs: Pairs, by_partition: bool) -> dict[str, Table]:
        """Return all tables of a cycle; those with a row a partition only if wanted."""
        tables = self._group_tables(reading) | {"group_topics": _group_topics(reading, pairs)}
        if by_partition:
            tables["group_partitions"] = _group_partitions(reading)
            tables["partitions"] = self._partitions(reading)
        return tables

    def make_for_cluster(self, listing: Listing, reading: Reading, facts: TopicFacts) -> dict[str, Table]:
        """Return what is told of the cluster as a whole, and of topics."""
        topics = reading.partitions.topics
        labels = self._labels("topics", topics, ("topic", topics))
        groups = np.bincount(reading.rows.pair_topic, minlength=len(topics)).astype(np.float64)
        return {
            "cluster": Table((), {"kafka_brokers": as_floats([len(listing.brokers)])}),
            "topics": Table(
                labels,
                {
                    "kafka_topic_min_in_sync_replicas": as_floats(facts.of(topic).min_in_sync for topic in topics),
                    # A group that could not be read may be the only one that consumes a topic.
                    "kafka_topic_consumer_groups": groups if reading.all_groups else np.where(groups, groups, np.nan),
                },
            ),
        }

    def _labels(self, table: str, mark: object, *columns: tuple[str, Sequence[str]]) -> tuple[Labels, ...]:
        known = self._kept.get(table)
        if known is None or known[0] != mark:
            known = self._kept[table] = mark, tuple(Labels.of(name, values) for name, values in columns)
        return known[1]

    def _group_tables(self, reading: Reading) -> dict[str, Table]:
        groups, shares = reading.groups, reading.shares
        names = [group.name for group in groups]
        all_names, types = [*names, *shares], [*(group.type for group in groups), *("share" for _ in shares)]
        members, idle = as_floats(group.members for group in groups), as_floats(group.idle for group in groups)
        states = np.array([[float(group.state == state) for state in STATES] for group in groups]).reshape(-1)
        return {
            "groups": Table(
                self._labels("groups", names, ("group", names)),
                {
                    "kafka_consumer_group_members": members,
                    "kafka_consumer_group_idle_members": idle,
                    **reading.activity.columns,
                },
            ),
            "group_info": Table(
                self._labels("group_info", (all_names, types), ("group", all_names), ("type", types)),
                {"kafka_consumer_group_info": np.ones(len(all_names))},
            ),
            "group_states": Table(
                self._labels(
                    "group_states",
                    names,
                    ("group", [name for name in names for _ in STATES]),
                    ("state", list(STATES) * len(names)),
                ),
                {"kafka_consumer_group_state": states},
            ),
        }

    def _partitions(self, reading: Reading) -> Table:
        partitions, replication, logs = reading.partitions, reading.replication, reading.logs
        known = self._kept.get("partitions")
        if known is None or known[0] is not partitions:
            numbers = tuple(str(number) for number in range(int(partitions.number.max(initial=-1)) + 1))
            labels = (
                Labels("topic", partitions.topics, partitions.topic),
                Labels("partition", numbers, partitions.number),
            )
            known = self._kept["partitions"] = partitions, labels
        columns: Mapping[str, Floats] = {
            "kafka_partition_start_offset": logs.start,
            "kafka_partition_end_offset": logs.end,
            "kafka_partition_last_stable_offset": logs.stable,
            "kafka_partition_leader_available": (replication.leader != NO_LEADER).astype(np.float64),
            "kafka_partition_replicas": replication.replicas.astype(np.float64),
            "kafka_partition_in_sync_replicas": replication.in_sync.astype(np.float64),
            "kafka_partition_open_transaction_seconds": np.maximum(reading.now - reading.open_since, 0.0),
        }
        return Table(known[1], columns)


def _group_partitions(reading: Reading) -> Table:
    columns = {
        "kafka_consumer_group_lag_messages": reading.lag.messages,
        # Without a committed offset there is no lag to tell, also where nothing can be waiting.
        "kafka_consumer_group_lag_seconds": np.where(np.isnan(reading.lag.messages), np.nan, reading.ages.seconds),
        "kafka_consumer_group_committed_offset": reading.committed,
    }
    if reading.row_logs.transactional.any():  # else it would be a column of nothing, in the largest table that there is
        stable = np.maximum(reading.logs.stable[reading.rows.slot] - reading.lag.position, 0.0)
        columns["kafka_consumer_group_stable_lag_messages"] = np.where(reading.row_logs.transactional, stable, np.nan)
    return Table(reading.rows.labels, columns)


def _group_topics(reading: Reading, pairs: Pairs) -> Table:
    return Table(
        reading.rows.pair_labels,
        {
            "kafka_consumer_group_topic_partitions_expected": pairs.expected,
            "kafka_consumer_group_topic_partitions_measured": pairs.measured,
            "kafka_consumer_group_unread_lost_messages_total": reading.totals["lost"],
            "kafka_consumer_group_rewinds_total": reading.totals["rewinds"],
            "kafka_consumer_group_retention_margin_ratio": pairs.margin,
            "kafka_consumer_group_time_to_loss_seconds": pairs.time_to_loss,
            "kafka_consumer_group_unowned_lagging_partitions": pairs.unowned_lagging,
            "kafka_consumer_group_partitions_ahead_of_log": pairs.ahead,
            "kafka_consumer_group_hottest_partition_lag_ratio": pairs.hottest,
            "kafka_consumer_group_last_advance_timestamp_seconds": reading.totals["advanced"],
        },
    )
