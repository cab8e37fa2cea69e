"""Dead letters one by one, and what a bus must be able to do so that they can be seen and redriven.

The vocabulary that the broker folders and `monitor.redrive` share; it stands below both. Each bus implements
`RedriveBus` in `brokers/<bus>/redrive.py`. A bus whose broker can move messages and remember that in one transaction
(Kafka) implements `Mover` itself; the others implement `Held`, and `redrive.journaled` makes a `Mover` of it: journal,
send, journal, remove. All calls raise BrokerErrors; deadlines are in seconds of `Clock.monotonic`, other times Unix
seconds. Messages are kept byte for byte.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from monitor.model import Finding, Origin

GROUP_PREFIX = "eventflow.redrive."
LEDGER_TOPIC = "eventflow.redrive.ledger"
ARCHIVED = "archive"
"""The target of a plan that sets messages aside."""
HEADER_ID = "x-redrive-id"
HEADER_JOB = "x-redrive-job"
HEADER_COUNT = "x-redrive-count"


class Guarantee(StrEnum):
    """What a plan promises about loss and duplicates; nothing is ever lost under either."""

    EXACTLY_ONCE = "exactly_once"  # for readers that read committed
    AT_LEAST_ONCE = "at_least_once"


class OnAmbiguous(StrEnum):
    """What to do with a message of which nobody knows whether it was sent before an interruption."""

    SEND = "send"
    HOLD = "hold"


class Action(StrEnum):
    """What a plan is for: dead letters back to where they belong, set aside, or out of there into their queue again."""

    REDRIVE = "redrive"
    ARCHIVE = "archive"
    RESTORE = "restore"


class Outcome(StrEnum):
    """What became of one item, finally. `left` is what a job that ended early never touched."""

    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"
    EXPIRED = "expired"
    BOUNCED = "bounced"
    AMBIGUOUS = "ambiguous"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Header:
    """One header, property or attribute as the broker keeps it. `kind` is the broker's own type name, if any."""

    name: str
    value: bytes | None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """One dead letter, byte for byte, as far as people and plans need it.

    `coordinates` name it at its broker (`partition` and `offset`; `message_id`; a fingerprint) and are stable as long
    as the message stays. `position` is a short text of them for people. Times are Unix seconds. `raw` is what the bus
    needs besides to put the message back as it was, in the broker's own encoding.
    """

    position: str
    coordinates: Mapping[str, Any]
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    enqueued_at: float | None = None
    expires_at: float | None = None
    deliveries: int | None = None
    origin: Origin | None = None
    origin_detail: Mapping[str, Any] = field(default_factory=dict)  # partition, routing key, consumer group, ...
    exception: str = ""
    exception_message: str = ""
    attempts: int | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What somebody asks for. `dead_letters` is the id of a dead-letter queue; None leaves a choice to the product.

    Of the messages those are meant that fit everything said: `select` (an expression), `positions`, `group` (the id of
    a cause), and the broker's time of the message not after `enqueued_before` and not before `enqueued_after`.
    `masked` are JSON pointers to what whoever asks may not see: what selects does not see it either. `start_at`,
    `deadline` and the `enqueued_` times are Unix seconds; `window` is what `redrive.timing` reads; `archive` is the job
    whose archive is to be restored.
    """

    dead_letters: str
    action: Action = Action.REDRIVE
    reason: str = ""
    target: str | None = None
    select: str | None = None
    positions: tuple[str, ...] = ()
    group: str | None = None
    enqueued_before: float | None = None
    enqueued_after: float | None = None
    masked: tuple[str, ...] = ()
    first: int | None = None
    rate_per_second: float | None = None
    max_target_backlog: int | None = None
    canary: int | None = None
    canary_wait_seconds: float | None = None
    start_at: float | None = None
    deadline: float | None = None
    window: Mapping[str, Any] | None = None
    on_ambiguous: OnAmbiguous | None = None
    strip_failure_headers: bool = False
    set_headers: Mapping[str, str] = field(default_factory=dict)
    remove_headers: tuple[str, ...] = ()
    patch: tuple[Mapping[str, Any], ...] = ()
    native: bool = False
    archive: str | None = None

    @property
    def selective(self) -> bool:
        """Say whether some messages are chosen and others stay, `first` aside."""
        return self.filtered or bool(self.positions)

    @property
    def filtered(self) -> bool:
        """Say whether each message has to be looked at to know whether it is chosen."""
        sought = (self.select, self.group, self.enqueued_before, self.enqueued_after)
        return any(it is not None for it in sought)

    @property
    def edits(self) -> bool:
        """Say whether headers or bodies are changed on the way."""
        return bool(self.set_headers or self.remove_headers or self.patch)

    @property
    def plain(self) -> bool:
        """Say whether every message goes as it is, so that a bus need not ask about each."""
        return not (self.selective or self.edits)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a bus finds out for a plan, without harming a message.

    `count` is an upper bound where `count_is_exact` is False. `bounds` say what the job may touch, in the bus's own
    terms, as JSON: what arrives later is outside of them. `target` is the destination that messages go to by default.
    `blockers` are reasons why the plan cannot be carried out.
    """

    count: int
    count_is_exact: bool
    bounds: Mapping[str, Any]
    target: str | None
    guarantee: Guarantee
    max_duplicates_per_interruption: int
    origin_evidence: tuple[Mapping[str, Any], ...] = ()
    also_receives: tuple[str, ...] = ()
    ordering: str = ""
    warnings: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    samples: tuple[DeadMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of messages. `next` is where the next one begins; `warning` says what looking has changed."""

    messages: tuple[DeadMessage, ...]
    next: str | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What a mover needs to know of its job: the plan's request, its bounds and target, and the job's own id.

    `reached` is the last `Step.reached` that the journal has; empty for a job that begins.
    """

    id: str
    request: PlanRequest
    queue: str
    target: str
    bounds: Mapping[str, Any]
    reached: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way: the bytes, headers and properties to send, changed only where the plan says so."""

    message: DeadMessage
    redrive_id: str
    count: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is not to be sent, with its outcome and the reason."""

    message: DeadMessage
    outcome: Outcome
    reason: str


Choose = Callable[[DeadMessage], Outgoing | Refusal | None]
"""Decides on each message: send it so, refuse it with an outcome, or leave it where it is since it is not selected."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one message in a step: where it is at the target, or why it is not there."""

    message: DeadMessage
    outcome: Outcome
    at_target: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did. `finished` says that nothing within the bounds is left.

    `fates` are messages one by one; `moved` counts those that were sent besides, where the bus keeps the proof itself,
    and `ranges` say where these came to lie; `resent` of them may have been sent before. `reached` replaces what the
    journal had.
    """

    fates: tuple[Fate, ...] = ()
    moved: int = 0
    finished: bool = False
    reached: Mapping[str, Any] = field(default_factory=dict)
    ranges: tuple[Mapping[str, Any], ...] = ()
    expired: int = 0
    resent: int = 0


class Mover(Protocol):
    """Moves the messages of one job, a step at a time. One thread uses it."""

    def recover(self, deadline: float) -> Step:
        """Find out what an interruption left behind and bring each such item to one outcome; called once, first."""
        ...

    def step(self, limit: int, deadline: float) -> Step:
        """Move up to `limit` messages. When it raises, what it was about is settled by the next `recover`."""
        ...

    def close(self) -> None:
        """Let go; what is held and not sent goes back to its queue unharmed as far as the broker can."""
        ...


@dataclass(frozen=True, slots=True)
class SendResult:
    """Whether a send was confirmed (with the place at the target), refused for good, or not known.

    `outcome` is what a refusal counts as.
    """

    confirmed: bool
    at_target: str = ""
    reason: str = ""
    known: bool = True
    outcome: Outcome = Outcome.FAILED


@runtime_checkable
class Held(Protocol):
    """A queue whose messages are taken into the hand, sent, and then removed."""

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        """Take up to `limit` messages into the hand; none when the queue has no more of them for now."""
        ...

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        """Send and wait for the broker's confirmation of each; a message that reaches no queue is refused."""
        ...

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        """Remove messages that are in the hand; False where that could not be confirmed."""
        ...

    def release(self, messages: Sequence[DeadMessage]) -> None:
        """Give messages in the hand back to the queue."""
        ...

    def close(self) -> None:
        """Give everything back and let go of the connections."""
        ...


Await = Callable[[float], Sequence[SendResult]]
"""Waits until a deadline for the confirmation of each message that was sent. Raises as `Held.send` does."""


@runtime_checkable
class SendsAhead(Protocol):
    """What a held queue can do besides: send messages while earlier ones are on their way.

    `overlaps` says whether their order allows it. What is taken at once is then half of what may be in doubt.
    """

    overlaps: bool

    def begin_send(self, messages: Sequence[Outgoing], deadline: float) -> Await:
        """Begin to send, and return what waits for the end of it."""
        ...


AwaitRemoval = Callable[[float], Sequence[bool]]
"""Waits until a deadline for the confirmation of each message that is being removed. Raises as `Held.remove` does."""


@runtime_checkable
class RemovesAhead(Protocol):
    """What a held queue can do besides: remove messages while the next ones are prepared."""

    def begin_remove(self, messages: Sequence[DeadMessage], deadline: float) -> AwaitRemoval:
        """Begin to remove, and return what waits for the end of it."""
        ...


@runtime_checkable
class SeesBounces(Protocol):
    """What a mover or a held queue can do besides, where looking harms nothing."""

    def look_for_bounces(self, deadline: float) -> Sequence[str]:
        """Return the redrive ids of messages of this job that came back since the last look."""
        ...


@runtime_checkable
class CountsSelected(Protocol):
    """What a bus can do besides, where looking harms nothing."""

    def count_selected(
        self, queue: str, bounds: Mapping[str, Any], selected: Callable[[DeadMessage], bool], deadline: float
    ) -> tuple[int, bool, Sequence[DeadMessage]]:
        """Return how many are selected within bounds, whether that is exact, and some of them."""
        ...


@runtime_checkable
class CountsWaiting(Protocol):
    """What a bus can do besides, whose broker tells exactly and at once how many messages are in no hand."""

    def count_waiting(self, bounds: Mapping[str, Any], deadline: float) -> int:
        """Return how many messages of the queue that a plan's bounds are about are ready to be taken."""
        ...


@runtime_checkable
class CountsAll(Protocol):
    """What a bus can do besides, whose broker tells about how many messages a queue has, in hands or not.

    What has changed later than `counts_late_seconds` ago may not be in it.
    """

    counts_late_seconds: float

    def count_all(self, queue: str, deadline: float) -> int:
        """Return how many messages a queue has."""
        ...


Peers = Callable[[str], "RedriveBus"]
"""Gives the redrive side of a cluster by its name. Raises BadAnswer for an unknown one, ReadOnly for a watched one."""


@runtime_checkable
class SendsElsewhere(Protocol):
    """What a bus can do besides: send to another cluster of its kind."""

    def meet(self, peers: Peers) -> None:
        """Take what gives the redrive side of other clusters."""
        ...


class Returner(Protocol):
    """Puts messages back into the queue that they were set aside from. One thread uses it."""

    def put(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[SendResult]:
        """Send each as it was, and wait for the broker's confirmation."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@runtime_checkable
class TakesBack(Protocol):
    """What a bus can do besides, whose messages lie in the database while they are set aside."""

    def open_return(self, queue: str) -> Returner:
        """Connect so that messages can be put back into a queue."""
        ...


@runtime_checkable
class KeepsArchive(Protocol):
    """A bus whose broker keeps what is set aside: its `open` gives movers for jobs of archiving and restoring too."""

    def survey_archive(self, queue: str, archive: str, deadline: float) -> Survey:
        """Find out what of an archive can be restored."""
        ...

    def browse_archive(self, queue: str, archive: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return messages of an archive."""
        ...


@runtime_checkable
class Purges(Protocol):
    """What a bus can do besides: remove all that is in a queue."""

    def purge(self, queue: str, deadline: float) -> int:
        """Remove everything that waits, and return how many messages that were, as far as the broker tells."""
        ...


class RedriveBus(Protocol):
    """The dead letters of one cluster. Thread-safe; connects when it is first asked."""

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return messages without harming them. Raises Forbidden where looking could remove a message."""
        ...

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say."""
        ...

    def open(self, job: Job, choose: Choose) -> "Mover | Held":
        """Connect for a job."""
        ...

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what is missing for redriving, changing nothing. A broker's errors are findings."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...
