"""The shapes of redrive in the API, shared with the client: nothing in here knows the framework."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from monitor.letters import Guarantee, OnAmbiguous, Outcome
from monitor.model import System
from monitor.redrive.model import JobState


class LetterHeader(TypedDict):
    """One header, property or attribute of a message."""

    name: str
    value: str | None
    encoding: Annotated[str | None, Field(description="utf-8 or base64; null where there is no value")]
    kind: Annotated[str | None, Field(description="the broker's own type, if it has types")]


class LetterItem(TypedDict):
    """One dead letter."""

    position: Annotated[str, Field(description="names it within its queue; for `positions` of a plan")]
    coordinates: dict[str, Any]
    enqueued_at: float | None
    expires_at: float | None
    deliveries: int | None
    attempts: int | None
    origin: str | None
    origin_found_by: str | None
    origin_detail: dict[str, Any]
    exception: str | None
    exception_message: str | None
    value_bytes: int | None
    key: str | None
    key_encoding: str | None
    value: Annotated[str | None, Field(description="null for the role viewer; see `note`")]
    value_encoding: str | None
    value_cut: Annotated[bool, Field(description="whether only the beginning is shown")]
    headers: list[LetterHeader]
    properties: dict[str, Any]
    note: str | None


class LetterPage(TypedDict):
    """A page of dead letters. `warning` says what looking has changed."""

    items: list[LetterItem]
    next: str | None
    warning: str | None


class LetterGroup(TypedDict):
    """Dead letters of one exception class and normalised message."""

    exception: str | None
    message: str | None
    messages: int
    first_at: float | None
    last_at: float | None
    origins: list[str]
    positions: Annotated[list[str], Field(description="some of them")]


class LetterGroups(TypedDict):
    """All groups, the largest first; `complete` is false where only the first messages were looked at."""

    items: list[LetterGroup]
    next: str | None
    looked_at: int
    complete: bool
    warning: str | None


class PlanItem(TypedDict):
    """What would be moved, and how."""

    id: str
    hash: Annotated[str, Field(description="to be given when starting: it says that this plan was seen")]
    created_at: float
    expires_at: float
    dead_letters: str
    system: System
    cluster: str
    source: str
    target: str | None
    count: int
    count_is_exact: Annotated[bool, Field(description="false: at most that many")]
    guarantee: Guarantee
    max_duplicates_per_interruption: int
    on_ambiguous: OnAmbiguous
    origin_evidence: list[dict[str, Any]]
    also_receives: list[str]
    ordering: str
    warnings: list[str]
    blockers: Annotated[list[str], Field(description="why it cannot be started; empty when it can")]
    headers: dict[str, Any]
    duration_seconds: Annotated[float, Field(description="an estimate")]
    rate: float | None
    canary: int | None
    request: dict[str, Any]
    bounds: Annotated[dict[str, Any], Field(description="what the job may touch, in the broker's own terms")]
    samples: list[LetterItem]


class JobCounts(TypedDict):
    """Each item has one outcome: `planned` is the sum of all others."""

    planned: int
    sent: int
    skipped: int
    failed: int
    expired: int
    bounced: int
    ambiguous: int
    left: int


class JobItem(TypedDict):
    """A redrive job."""

    id: str
    state: JobState
    reason: str | None
    dead_letters: str
    system: System
    cluster: str
    source: str
    target: str | None
    guarantee: Guarantee
    rate: float | None
    wanted: Annotated[str, Field(description="what was asked of it last: run, overrule, pause, cancel")]
    counts: JobCounts
    sent_per_second: float | None
    plan_id: str
    created_by: str
    created_at: float
    started_at: float | None
    ended_at: float | None


class ReportItem(JobItem):
    """What became of everything."""

    adds_up: bool
    plan: dict[str, Any]
    interruptions: int
    sent_again: Annotated[int, Field(description="ambiguous ones that were sent once more")]
    at_most_duplicates: int
    reasons: list[dict[str, Any]]
    ranges: Annotated[list[dict[str, Any]], Field(description="Kafka: from which offsets to which, a transaction each")]
    consumers: Annotated[dict[str, int], Field(description="what is known of what they did: bounced, unknown")]


class JobPage(TypedDict):
    """A page of jobs, the newest first."""

    items: list[JobItem]
    next: str | None


class JobMessage(TypedDict):
    """One message of a job."""

    position: str
    redrive_id: str | None
    stage: str
    outcome: Outcome | None
    at_target: str | None
    reason: str | None
    coordinates: dict[str, Any]


class JobMessagePage(TypedDict):
    """A page of a job's messages: on Kafka those that were not sent, elsewhere all that were touched."""

    items: list[JobMessage]
    next: str | None


class AuditPage(TypedDict):
    """A page of audit records, the newest first."""

    items: list[dict[str, Any]]
    next: str | None


class AuditVerification(TypedDict):
    """Whether the chain of audit records holds."""

    intact: bool
    records: int
    broken_at: Annotated[int | None, Field(description="the sequence number of the first record that does not fit")]
    last_hash: Annotated[str, Field(description="to be kept elsewhere: it tells when the end has been cut off")]
