"""From what was read to the shapes of `monitor.model`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.brokers.rabbitmq.dead_letters import DEFAULT_EXCHANGE, Topology, dead_letter_exchange, message_ttl
from monitor.brokers.rabbitmq.facts import QueueFacts
from monitor.brokers.rabbitmq.ledger import Accounts
from monitor.brokers.rabbitmq.readings import (
    ACKED,
    BYTES,
    CAPACITY,
    CONSUMERS,
    DELIVERED,
    PUBLISHED,
    READY,
    REDELIVERED,
    STREAM_LAG,
    UNACKED,
    QueueKey,
    Readings,
    label_of,
)
from monitor.model import (
    Age,
    AgeMethod,
    DeadLetterQueue,
    Floats,
    Labels,
    Parts,
    Role,
    Subscription,
    System,
    Table,
    as_floats,
    encode_id,
)

_GAUGES = {
    "rabbitmq_queue_messages_ready": READY,
    "rabbitmq_queue_messages_unacked": UNACKED,
    "rabbitmq_queue_messages_bytes": BYTES,
    "rabbitmq_queue_consumers": CONSUMERS,
}
_COUNTERS = {
    "rabbitmq_queue_published_total": PUBLISHED,
    "rabbitmq_queue_delivered_total": DELIVERED,
    "rabbitmq_queue_acked_total": ACKED,
    "rabbitmq_queue_redelivered_total": REDELIVERED,
}
STREAM = "stream"
UNKNOWN_TYPE = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """All that one cycle knows of the queues. Rows are those of `readings`; `names` and `facts` have each of them."""

    cluster: str
    now: float
    names: "Names"
    readings: Readings
    accounts: Accounts
    facts: Mapping[QueueKey, QueueFacts]
    topology: Topology


class Names:
    """Ids, labels and scopes of queues, made once for each set of rows; `ambiguous` are labels of several queues."""

    def __init__(self, cluster: str, keys: Sequence[QueueKey]) -> None:
        self.keys = keys
        self.ids = [queue_id(cluster, key) for key in keys]
        self.labels = [label_of(key) for key in keys]
        self.scopes = [{"vhost": vhost, "queue": name} for vhost, name in keys]
        named = Counter(self.labels)
        self.ambiguous = sorted(label for label, number in named.items() if number > 1)


def queue_id(cluster: str, key: QueueKey) -> str:
    """Return the id of a queue: `cluster/queue` in the virtual host `/`, `cluster/vhost/queue` elsewhere."""
    vhost, name = key
    return encode_id(cluster, name) if vhost == "/" else encode_id(cluster, vhost, name)


def build_subscriptions(sight: Sight) -> tuple[tuple[Subscription, ...], Parts]:
    """Return a subscription for each queue that is no dead-letter queue, and one part for each of them."""
    rows = [row for row, key in enumerate(sight.readings.keys) if sight.topology.roles.get(key) is not Role.DEAD_LETTER]
    backlog = _backlogs(sight)
    columns = _Columns(sight, backlog)
    subscriptions = tuple(columns.subscription(row) for row in rows)
    accounts = sight.accounts
    parts = Parts(
        accounts.ids[rows],
        np.arange(len(rows), dtype=np.int32),
        backlog[rows],
        accounts.consumed[rows],
        accounts.counters[PUBLISHED][rows],
    )
    return subscriptions, parts


def build_dead_letters(sight: Sight) -> tuple[DeadLetterQueue, ...]:
    """Return the dead-letter queues, and the sources whose dead letters have nowhere to go."""
    rows = {key: row for row, key in enumerate(sight.readings.keys)}
    columns = _Columns(sight, _depth(sight.readings))
    return tuple(
        columns.dead_letter_queue(key, rows[key]) for key in sorted(sight.topology.dead_letters) if key in rows
    )


class Tables:
    """Builds the tables, and hands out the same labels while the rows are the same."""

    def __init__(self) -> None:
        self._labels: dict[str, tuple[object, tuple[Labels, ...]]] = {}

    def build(self, sight: Sight) -> dict[str, Table]:
        """Return the tables `queues` and `queue_info`."""
        keys = sight.readings.keys
        queues = self._kept("queues", (keys,), lambda: _labels(("vhost", "queue"), keys))
        infos = self._kept("queue_info", (keys, sight.facts, sight.topology), lambda: _info_labels(sight))
        columns = {family: sight.readings.column(name) for family, name in _GAUGES.items()}
        columns |= {family: sight.accounts.counters[name] for family, name in _COUNTERS.items()}
        columns["rabbitmq_queue_redelivery_ratio"] = sight.accounts.redelivered
        # The broker says 0 of a queue that has no consumers, which is not that these are slow.
        consumed = sight.readings.column(CONSUMERS) > 0
        columns["rabbitmq_queue_consumer_capacity_ratio"] = np.where(consumed, sight.readings.column(CAPACITY), np.nan)
        return {
            "queues": Table(queues, columns),
            "queue_info": Table(infos, {"rabbitmq_queue_info": np.ones(len(keys))}),
        }

    def build_counts(
        self, name: str, family: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], float]
    ) -> Table:
        """Return a small table with one family."""
        rows = tuple(sorted(counts))
        kept = self._kept(name, rows, lambda: _labels(labels, rows))
        return Table(kept, {family: as_floats(counts[row] for row in rows)})

    def _kept(self, name: str, rows: object, make: Callable[[], tuple[Labels, ...]]) -> tuple[Labels, ...]:
        found = self._labels.get(name)
        if found is None or not _same(found[0], rows):
            found = self._labels[name] = (rows, make())
        return found[1]


def _same(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(a is b or (isinstance(a, tuple) and a == b) for a, b in zip(one, other, strict=True))
    return False


def _labels(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Labels, ...]:
    return tuple(Labels.of(name, (row[i] for row in rows)) for i, name in enumerate(names))


def _info_labels(sight: Sight) -> tuple[Labels, ...]:
    rows = []
    for key in sight.readings.keys:
        facts = sight.facts[key]
        exchange = dead_letter_exchange(facts)
        shown = "" if exchange is None else exchange or DEFAULT_EXCHANGE
        policy = facts.policy or facts.operator_policy
        rows.append((*key, facts.type, sight.topology.roles.get(key, Role.WORK).value, shown, policy))
    return _labels(("vhost", "queue", "type", "role", "dlx", "policy"), rows)


def _depth(readings: Readings) -> Floats:
    return readings.column(READY) + np.nan_to_num(readings.column(UNACKED))


def _backlogs(sight: Sight) -> Floats:
    """Return what waits. A stream keeps what was read: only how far its slowest reader is behind is a backlog."""
    ready, lag = sight.readings.column(READY), sight.readings.column(STREAM_LAG)
    streams = np.fromiter((sight.facts[key].type == STREAM for key in sight.readings.keys), dtype=bool)
    return np.where(streams, lag, ready) if streams.any() else ready


class _Columns:
    """The columns of one cycle as lists, from which the rows of the model are made."""

    def __init__(self, sight: Sight, messages: Floats) -> None:
        accounts, readings = sight.accounts, sight.readings
        self._sight, self._keys, self._names = sight, readings.keys, sight.names
        self._messages = _optional(messages)
        self._measured = (~np.isnan(readings.column(READY))).tolist()
        self._unacked, self._consumers = _optional(readings.column(UNACKED)), _optional(readings.column(CONSUMERS))
        self._ages, self._methods = _optional(accounts.ages), accounts.methods
        self._published, self._consumed = _optional(accounts.counters[PUBLISHED]), _optional(accounts.consumed)
        self._arrivals = _optional(accounts.arrivals)

    def subscription(self, row: int) -> Subscription:
        sight, key = self._sight, self._keys[row]
        name, facts = self._names.labels[row], sight.facts[key]
        consumers, measured = self._consumers[row], self._measured[row]
        return Subscription(
            self._names.ids[row],
            System.RABBITMQ,
            sight.cluster,
            name,
            name,
            backlog_messages=self._messages[row] if measured else None,
            oldest_age=self._oldest_age(row, facts) if measured else Age.unknown(),
            in_flight_messages=self._unacked[row] if measured else None,
            consumers=None if consumers is None else int(consumers),
            published_messages_total=self._published[row] if measured else None,
            consumed_messages_total=self._consumed[row] if measured else None,
            retention_seconds=None if sight.topology.targets.get(key) else message_ttl(facts),
            measured=1 if measured else 0,
            role=sight.topology.roles.get(key, Role.WORK),
            scope=self._names.scopes[row],
        )

    def dead_letter_queue(self, key: QueueKey, row: int) -> DeadLetterQueue:
        sight = self._sight
        said = sight.topology.dead_letters[key]
        names, scope = self._names, self._names.scopes[row]
        common = (names.ids[row], System.RABBITMQ, sight.cluster, names.labels[row], said.found_by)
        role = sight.topology.roles.get(key, Role.WORK)
        if role is not Role.DEAD_LETTER:
            return DeadLetterQueue(*common, origins=said.origins, problems=said.problems, role=role, scope=scope)
        retention = message_ttl(sight.facts[key])
        age = self._age(row)
        return DeadLetterQueue(
            *common,
            messages=self._messages[row],
            oldest_age=age,
            retention_seconds=retention,
            expires_at=_expiry(sight.now, retention, age, self._messages[row]),
            arrivals_total=self._arrivals[row],
            origins=said.origins,
            problems=said.problems,
            scope=scope,
        )

    def _oldest_age(self, row: int, facts: QueueFacts) -> Age:
        return _stream_age(self._messages[row]) if facts.type == STREAM else self._age(row)

    def _age(self, row: int) -> Age:
        return Age(self._ages[row], self._methods[row])


def _stream_age(lag: float | None) -> Age:
    return Age(0.0, AgeMethod.EXACT) if lag == 0 else Age.unknown()


def _expiry(now: float, retention: float | None, age: Age, messages: float | None) -> float | None:
    """Return when the oldest dead letter is lost at the earliest; None when none will, or when that cannot be said.

    A time to live begins anew in each queue. The publisher's timestamp is older than the arrival here, so what follows
    from it is the worst case; a lower bound of the age gives no such thing.
    """
    if retention is None or not messages or age.seconds is None or age.method is AgeMethod.LOWER_BOUND:
        return None
    return max(now, now + retention - age.seconds)


def _optional(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
