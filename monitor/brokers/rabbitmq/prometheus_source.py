"""Numbers from the broker's Prometheus plugin: the cheapest source. A node tells of the queues that live on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.brokers.rabbitmq.client import HttpClient
from monitor.brokers.rabbitmq.prometheus_text import (
    Page,
    escapes_labels,
    queue_key,
    read_labels,
    samples_of,
)
from monitor.brokers.rabbitmq.readings import (
    ACKED,
    AUTO_ACKED,
    BYTES,
    CAPACITY,
    CONSUMERS,
    COUNTERS,
    DELIVERED,
    HEAD,
    PUBLISHED,
    READY,
    REDELIVERED,
    STREAM_LAG,
    UNACKED,
    QueueKey,
    Readings,
)
from monitor.brokers.rabbitmq.totals import Counts
from monitor.errors import BadAnswer
from monitor.model import Floats, Ids

_DETAILED = "/metrics/detailed"
_AGGREGATED = "/metrics"
_ALL = "queue_metrics"  # consumers, capacity, sizes, timestamps and a dozen others, four times what the rest is
_CONSUMERS = "queue_consumer_count"
_FAMILIES = (
    "queue_coarse_metrics",
    "queue_delivery_metrics",  # since 4.0, as the next two; an unknown family is passed over by the plugin
    "queue_exchange_metrics",
    "stream_consumer_metrics",
)
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    READY: ("rabbitmq_detailed_queue_messages_ready",),
    UNACKED: ("rabbitmq_detailed_queue_messages_unacked",),
    CONSUMERS: ("rabbitmq_detailed_queue_consumers",),
    BYTES: ("rabbitmq_detailed_queue_messages_bytes",),
    HEAD: ("rabbitmq_detailed_queue_head_message_timestamp",),
    CAPACITY: ("rabbitmq_detailed_queue_consumer_capacity",),
    STREAM_LAG: ("rabbitmq_detailed_stream_consumer_max_offset_lag",),
    PUBLISHED: ("rabbitmq_detailed_queue_exchange_messages_published_total",),
    DELIVERED: (
        "rabbitmq_detailed_queue_get_ack_total",
        "rabbitmq_detailed_queue_get_total",
        "rabbitmq_detailed_queue_messages_delivered_ack_total",
        "rabbitmq_detailed_queue_messages_delivered_total",
    ),
    ACKED: ("rabbitmq_detailed_queue_messages_acked_total",),
    AUTO_ACKED: ("rabbitmq_detailed_queue_get_total", "rabbitmq_detailed_queue_messages_delivered_total"),
    REDELIVERED: ("rabbitmq_detailed_queue_messages_redelivered_total",),
}
_ALL_FAMILIES = {family for families in _COLUMNS.values() for family in families}
_MANY = 1_000  # queues; the full page of 5,000 has 9 MB and takes 0.2 s, the frugal one 2 MB and 0.05 s
_QUEUE_INFO = "rabbitmq_detailed_queue_info"  # since 4.2
_DEAD_LETTERED = "rabbitmq_global_messages_dead_lettered_"
_REASONS = ("expired", "rejected", "maxlen", "delivery_limit")
_UNROUTABLE = {
    "rabbitmq_global_messages_unroutable_dropped_total": "dropped",
    "rabbitmq_global_messages_unroutable_returned_total": "returned",
}
_LINKS, _COMMAND_LINE = "erlang_vm_dist_node_state", "rabbitmqcli"
_ALARMS = {
    "rabbitmq_alarms_memory_used_watermark": "memory",
    "rabbitmq_alarms_free_disk_space_watermark": "disk",
    "rabbitmq_alarms_file_descriptor_limit": "file_descriptors",
}


Samples = tuple[tuple[bytes, ...], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class NodeTotals:
    """What the plugin counts for its node as a whole.

    `dead_lettered` by (reason, strategy, queue type), `unroutable` by (outcome,), `alarms` by name (0 or 1).
    `peers` are the other nodes of its cluster that it is linked to.
    """

    node: str
    dead_lettered: Counts = field(default_factory=dict)
    unroutable: Counts = field(default_factory=dict)
    alarms: Mapping[str, float] = field(default_factory=dict)
    peers: frozenset[str] = frozenset()


class PrometheusSource:
    """The plugin of one node."""

    def __init__(self, client: HttpClient, wanted: Callable[[QueueKey], bool], vhosts: Sequence[str]) -> None:
        """Make a source for the queues that are `wanted`; `vhosts` are the only virtual hosts to ask for, if any."""
        self._client, self._wanted, self._vhosts = client, wanted, tuple(vhosts)
        self._known: dict[bytes, QueueKey | None] = {}
        self._rows: dict[QueueKey, int] = {}
        self._keys: tuple[QueueKey, ...] = ()
        self._placed: dict[str, tuple[tuple[bytes, ...], Ids]] = {}
        self._escaped = True
        self.node, self.version, self.counts, self.is_frugal = "", "", False, False
        self.types: Mapping[QueueKey, str] = {}

    def close(self) -> None:
        """Cut the connections. Reading under way raises Unreachable."""
        self._client.close()

    @property
    def target(self) -> str:
        """Return what is asked, for people."""
        return self._client.target

    def read(self, deadline: float, *, frugal: bool = False) -> Readings:
        """Return the numbers of all queues of this node; with `frugal` without sizes and timestamps if there are many.

        Raises BrokerError; NotThere or BadAnswer when the plugin has no page of details or not these families.
        """
        self.is_frugal = frugal and len(self._keys) > _MANY
        query: dict[str, Sequence[str]] = {"family": (*_FAMILIES, _CONSUMERS if self.is_frugal else _ALL)}
        if self._vhosts:
            query["vhost"] = self._vhosts
        page = Page(self._client.get(_DETAILED, deadline, query))
        self._identify(page)
        if not page.has(_COLUMNS[READY][0]):
            raise BadAnswer("does not tell details of queues", target=self.target)
        return self._readings(page)

    def read_totals(self, deadline: float) -> NodeTotals:
        """Return the counters and alarms of the node. Raises BrokerError."""
        return parse_totals(self._client.get(_AGGREGATED, deadline), self.node)

    def _identify(self, page: Page) -> None:
        self.node = page.labels("rabbitmq_identity_info").get("rabbitmq_node", self.node)
        version = page.labels("rabbitmq_build_info").get("rabbitmq_version", self.version)
        if version != self.version:
            self.version, self._escaped = version, escapes_labels(version)
            self._known.clear()
            self._placed.clear()
        self.counts = page.has(_COLUMNS[ACKED][0])

    def _readings(self, page: Page) -> Readings:
        samples = {family: page.samples(family) for family in _ALL_FAMILIES if page.has(family)}
        self._settle_rows(samples[_COLUMNS[READY][0]][0])
        columns = {}
        for column, families in _COLUMNS.items():
            if families[0] in samples:
                start = 0.0 if column in COUNTERS else np.nan  # a queue that nothing happened to has no counters yet
                columns[column] = self._column({name: samples[name] for name in families if name in samples}, start)
        self._note_types(page)
        return Readings(self._keys, columns)

    def _note_types(self, page: Page) -> None:
        types = {}
        for raw in page.samples(_QUEUE_INFO)[0]:
            labels = read_labels(raw)
            types[labels["vhost"], labels["queue"]] = short_type(labels["queue_type"])
        if types != self.types:
            self.types = types

    def _settle_rows(self, labels: Sequence[bytes]) -> None:
        """Keep the rows while the queues are the same, so that all that hangs on them can stay."""
        keys = {key for key in map(self._key, labels) if key is not None}
        if len(keys) != len(self._keys) or not keys.issuperset(self._keys):
            self._keys = tuple(sorted(keys))
            self._rows = {key: i for i, key in enumerate(self._keys)}
            self._known = {label: self._known[label] for label in labels}
            self._placed.clear()

    def _key(self, labels: bytes) -> QueueKey | None:
        if labels not in self._known:
            key = queue_key(labels, escaped=self._escaped)
            self._known[labels] = key if key is not None and self._wanted(key) else None
        return self._known[labels]

    def _column(self, families: Mapping[str, Samples], start: float) -> Floats:
        """Add up families, and within a family the samples of one queue. Absent stays `start`."""
        count = len(self._keys)
        sums, seen = np.zeros(count + 1), np.zeros(count + 1, dtype=bool)
        for family, (labels, values) in families.items():
            rows = self._rows_of(family, labels)
            np.add.at(sums, rows, np.array([float(value) for value in values]))
            seen[rows] = True
        return np.where(seen, sums, start)[:count]

    def _rows_of(self, family: str, labels: tuple[bytes, ...]) -> Ids:
        """Return the row of each sample; those of queues that are not wanted go into one behind the last."""
        placed = self._placed.get(family)
        if placed is None or placed[0] != labels:
            outside = len(self._keys)
            keys = (self._key(label) for label in labels)
            rows = [outside if key is None else self._rows.get(key, outside) for key in keys]
            placed = self._placed[family] = (labels, np.array(rows, dtype=np.int64))
        return placed[1]


def parse_totals(text: bytes, node: str) -> NodeTotals:
    """Read the aggregated page of a node. A family that this version does not have stays out."""
    dead_lettered: dict[tuple[str, ...], float] = {}
    unroutable: dict[tuple[str, ...], float] = {}
    alarms: dict[str, float] = {}
    peers = set()
    for family, labels, value in samples_of(text, ("rabbitmq_global_", "rabbitmq_alarms_", _LINKS)):
        if family.startswith(_DEAD_LETTERED):
            reason = family.removeprefix(_DEAD_LETTERED).removesuffix("_total")
            if reason in _REASONS:  # `confirmed` counts some of these again, as they reach their target
                key = (reason, labels["dead_letter_strategy"], short_type(labels["queue_type"]))
                dead_lettered[key] = dead_lettered.get(key, 0.0) + value
        elif family in _UNROUTABLE:
            outcome = (_UNROUTABLE[family],)
            unroutable[outcome] = unroutable.get(outcome, 0.0) + value  # one sample a protocol
        elif family in _ALARMS:
            alarms[_ALARMS[family]] = value
        elif family == _LINKS and not labels["peer"].startswith(_COMMAND_LINE):
            peers.add(labels["peer"])
    return NodeTotals(node, dead_lettered, unroutable, alarms, frozenset(peers))


def short_type(queue_type: str) -> str:
    """Return `quorum` for `rabbit_quorum_queue`."""
    return queue_type.removeprefix("rabbit_").removesuffix("_queue")
