"""The vocabulary that every bus is told in; above the brokers nothing else is spoken.

A *cluster* is one thing that is watched. A *subscription* is one consumer's view of a *destination* (topic or queue).
A *snapshot* is everything that one collector saw in one cycle. Numbers per partition travel as columns (`Table`,
`Parts`); dataclasses begin at the subscription. Absent is `None`, in columns NaN, and never 0.
Times are Unix seconds, ages and durations seconds, sizes bytes, backlogs messages.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Ids = NDArray[np.int64]


class System(StrEnum):
    """The bus that a subscription or dead-letter queue lives on."""

    KAFKA = "kafka"
    RABBITMQ = "rabbitmq"
    SQS = "sqs"
    SNS = "sns"


class AgeMethod(StrEnum):
    """How an age was got, from the surest to none."""

    EXACT = "exact"  # nothing waits, or the message itself was read
    INTERPOLATED = "interpolated"  # between two (time, offset) points
    REPORTED = "reported"  # the broker says so
    ESTIMATED = "estimated"  # derived from rates or from when a backlog was first seen
    LOWER_BOUND = "lower_bound"  # at least this much
    UNKNOWN = "unknown"


class Status(StrEnum):
    """How a subscription is doing, from worst to best; unknown stands high, since it may hide anything."""

    LOSING = "losing"
    STOPPED = "stopped"
    STALLED = "stalled"
    UNKNOWN = "unknown"
    REWOUND = "rewound"
    LAGGING = "lagging"
    OK = "ok"


class Role(StrEnum):
    """What a queue is for. A dead-letter queue is never a subscription, a retry queue is one and never alarmed."""

    WORK = "work"
    RETRY = "retry"
    DEAD_LETTER = "dead_letter"


class FoundBy(StrEnum):
    """What says that a queue holds dead letters, or where they came from; from the surest to the least sure."""

    HEADERS = "headers"
    TOPOLOGY = "topology"
    CONFIGURATION = "configuration"
    NAME = "name"


class Problem(StrEnum):
    """What is wrong with the set-up of a dead-letter queue."""

    NONE_CONFIGURED = "none_configured"
    TARGET_MISSING = "target_missing"
    RETENTION_TOO_SHORT = "retention_too_short"
    NOT_ALLOWED = "not_allowed"
    OTHER_REGION = "other_region"
    DROPS_EVERYTHING = "drops_everything"


def encode_id(*parts: str) -> str:
    """Join the parts of an id by `/`, each percent-encoded, so that a slash inside a name stays inside its part."""
    return "/".join(quote(part, safe="") for part in parts)


_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode_id(id_: str) -> tuple[str, ...]:
    """Return the parts of an id, the cluster first. What only looks unencoded (a space) is taken as it is.

    Raises ValueError for what is no id: fewer than two parts, an empty one, or a percent sign that encodes nothing.
    """
    if _STRAY_PERCENT.search(id_):
        raise ValueError("a percent sign inside a name is written %25")
    parts = tuple(unquote(part, errors="strict") for part in id_.split("/"))
    if len(parts) < 2 or not all(parts):
        raise ValueError("an id has a cluster and a name, as in cluster/queue")
    return parts


@dataclass(frozen=True, slots=True)
class Age:
    """Seconds of the oldest message that waits, and how that was got."""

    seconds: float | None
    method: AgeMethod

    @classmethod
    def unknown(cls) -> Self:
        """Return the age that could not be got."""
        return cls(None, AgeMethod.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer's view of a destination, as one cycle saw it.

    `id` is `cluster/group/topic` or `cluster/queue` with encoded parts; the label fields are raw.
    Counters (`*_total`) only ever rise while the monitor runs. `measured < expected` says that some parts (partitions)
    could not be read: then the sums (backlog, age, in flight, totals) are None, and the status is unknown.
    `lost_while_watched` counts those of the lost messages that went while this collector was there, or since one before
    it looked last: what was gone when nobody had looked yet is in the total alone.
    `abandoned` says that something waits, nobody is there, and for longer than is worth an alarm nothing was consumed.
    `scope` holds the label values by which the snapshot's tables name this subscription.
    """

    id: str
    system: System
    cluster: str
    destination: str
    subscriber: str
    backlog_messages: float | None = None
    oldest_age: Age = field(default_factory=Age.unknown)
    in_flight_messages: float | None = None
    consumers: int | None = None
    published_messages_total: float | None = None
    consumed_messages_total: float | None = None
    retention_seconds: float | None = None
    lost_messages_total: float | None = None
    lost_while_watched: float | None = None
    rewinds_total: float | None = None
    expected: int = 1
    measured: int = 1
    role: Role = Role.WORK
    abandoned: bool = False
    scope: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Say whether every part that was expected has been measured."""
        return self.measured >= self.expected


@dataclass(frozen=True, slots=True)
class Origin:
    """Where dead letters come from, and how that is known. `name` is a destination of the same cluster."""

    name: str
    found_by: FoundBy


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """A queue or topic that holds dead letters, or a source whose own have nowhere to go; `role` tells them apart.

    `id` is `cluster/queue` with encoded parts; `queue` is raw.
    `found_by` says why it is taken for a dead-letter queue. `expires_at` is the worst case of the next loss.
    `arrivals_total` rises with each dead letter that came while the monitor watched.
    A source is told for its `problems` alone (`none_configured`, `target_missing`, ...) under its own name: what is in
    it is live, so `messages` is None, and nothing of it is looked at, redriven or removed as dead.
    """

    id: str
    system: System
    cluster: str
    queue: str
    found_by: FoundBy
    messages: float | None = None
    oldest_age: Age = field(default_factory=Age.unknown)
    retention_seconds: float | None = None
    expires_at: float | None = None
    arrivals_total: float | None = None
    origins: tuple[Origin, ...] = ()
    problems: tuple[Problem, ...] = ()
    role: Role = Role.DEAD_LETTER
    scope: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds_dead_letters(self) -> bool:
        """Say whether what is in it is dead; False for a source that is told for its set-up."""
        return self.role is Role.DEAD_LETTER


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A label of many rows as a dictionary-encoded column: row i has `values[codes[i]]`."""

    name: str
    values: tuple[str, ...]
    codes: Codes

    @classmethod
    def of(cls, name: str, values: Iterable[str]) -> Self:
        """Encode one value a row."""
        index: dict[str, int] = {}
        codes = np.fromiter((index.setdefault(value, len(index)) for value in values), dtype=np.int32)
        return cls(name, tuple(index), codes)

    def decode(self) -> list[str]:
        """Return the value of each row."""
        values = self.values
        return [values[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Numbers of one bus as columns: row i carries one value of each family, under the labels of row i.

    `columns` maps a metric family, named as in the catalogue without the prefix `eventflow_`, to float64 values; NaN is
    absent, and that sample is left out. Every column and label has the same length. A collector hands over the *same*
    `labels` tuple while its rows stay the same, so that whatever was prepared for them can be kept.
    """

    labels: tuple[Labels, ...]
    columns: Mapping[str, Floats]

    @classmethod
    def of_rows(
        cls, names: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, Iterable[float | None]]
    ) -> Self:
        """Build a table from one sequence of label values a row; None becomes NaN."""
        labels = tuple(Labels.of(name, (row[i] for row in rows)) for i, name in enumerate(names))
        return cls(labels, {family: as_floats(values) for family, values in columns.items()})

    def __len__(self) -> int:
        return len(self.labels[0].codes) if self.labels else 0

    def rows_where(self, scope: Mapping[str, str]) -> Ids:
        """Return the indices of the rows that carry every label value of `scope` that this table has as a label.

        A table that shares no label with the scope has none.
        """
        shared = [label for label in self.labels if label.name in scope]
        if not shared:
            return np.empty(0, dtype=np.int64)
        mask = np.ones(len(self), dtype=bool)
        for label in shared:
            wanted = scope[label.name]
            mask &= label.codes == (label.values.index(wanted) if wanted in label.values else -1)
        return np.flatnonzero(mask)


def as_floats(values: Iterable[float | None]) -> Floats:
    """Return float64 values, None as NaN."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The finest grain that a status is judged on: a partition of a group, or a queue. All columns have one length.

    `ids` are stable for the life of a collector and never used again for another part; they need not be sorted.
    `subscription` indexes `Snapshot.subscriptions`. `consumed` and `published` are positions that rise as messages are
    consumed and published (offsets, or counters); NaN where they are not known. `counted` marks parts of a log whose
    backlog is certain to be messages, and no offsets that hold none; None where that is certain of no part.
    """

    ids: Ids
    subscription: Codes
    backlog: Floats
    consumed: Floats
    published: Floats
    counted: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class CollectionError:
    """What one cycle could not get. `reason` is one of `errors.REASONS`, `target` what was asked."""

    reason: str
    target: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that one collector saw in one cycle. Immutable, handed on and never changed.

    `taken_at` is when the reading began. `expected` and `measured` count what the cycle set out to read and what it got
    (partitions, queues). `tables` are named (`group_partitions`, `queues`, ...). `notes` are sentences for people:
    which source is in use, and what it cannot see.
    """

    cluster: str
    kind: str
    taken_at: float
    duration: float
    subscriptions: tuple[Subscription, ...] = ()
    dead_letters: tuple[DeadLetterQueue, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    parts: Parts | None = None
    expected: int = 0
    measured: int = 0
    errors: tuple[CollectionError, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What `eventflow check` found out about one thing that a collector needs. `remedy` says what to do if not ok.

    `required` is False for what only costs depth (an optional source, a permission for one family).
    """

    target: str
    ok: bool
    message: str
    remedy: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of one subscription, beside what was measured.

    `reason` is a sentence for people; `since` is when the status last changed. Rates are messages a second.
    `drain_seconds` is how long the backlog lasts at the present rates: infinite when it does not shrink, None when the
    rates are not known. `owner` is empty where nobody is configured. `objective_seconds` counts, by outcome (`met`,
    `missed`, `unknown`), the seconds watched since the start, and `objective_target` is the share of the time for which
    the objective must hold. `objective_lifetime` counts `met` and `missed` seconds over restarts, since the first look.
    All are None without an objective.
    """

    status: Status
    reason: str
    since: float
    published_per_second: float | None = None
    consumed_per_second: float | None = None
    drain_seconds: float | None = None
    owner: str = ""
    objective_age_seconds: float | None = None
    objective_seconds: Mapping[str, float] | None = None
    objective_target: float | None = None
    objective_lifetime: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One who consumes a subscription: its name and address at the broker, and the partitions that it owns.

    `owns` are those of the subscription's destination, `owns_elsewhere` counts those of others.
    """

    name: str
    client: str
    host: str
    owns: tuple[str, ...] = ()
    owns_elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Mute:
    """A planned stop: what `subject` (an id, or a pattern over ids) matches is to wake nobody before `until`.

    Times are Unix seconds; `actor` is who said so.
    """

    id: int
    subject: str
    until: float
    reason: str
    actor: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Health:
    """How a collector is doing. `up` is None before the first cycle has ended; counters are since the start.

    `errors_total` counts by reason, `cycle_seconds` is how long the last cycle took. `read_by` is the address of the
    monitor that reads the cluster in this one's place, empty while none is known to; None when this one does.
    """

    cluster: str
    kind: str
    interval: float
    up: bool | None = None
    last_success: float | None = None
    cycle_seconds: float | None = None
    missed_runs_total: int = 0
    errors: tuple[CollectionError, ...] = ()
    errors_total: Mapping[str, int] = field(default_factory=dict)
    read_by: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ClusterView:
    """What is known of one cluster now: the last good snapshot with its verdicts, and the health of its collector.

    `verdicts[i]` belongs to `snapshot.subscriptions[i]`. `snapshot` is None before the first success and once the last
    success is more than three intervals old.
    """

    health: Health
    snapshot: Snapshot | None = None
    verdicts: tuple[Verdict, ...] = ()
