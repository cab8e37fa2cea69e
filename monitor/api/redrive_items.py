"""The shapes of redrive in the API, shared with the client: nothing in here knows the framework."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from monitor.analysis.advice import Advised
from monitor.analysis.faults import Certainty, Kind
from monitor.letters import Action, Guarantee, OnAmbiguous, Outcome
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
    value: Annotated[str | None, Field(description="null or masked for whoever may not see bodies; see `note`")]
    value_encoding: str | None
    value_cut: Annotated[bool, Field(description="whether only the beginning is shown")]
    value_form: Annotated[str | None, Field(description="what it looks like; nothing is opened or decoded for that")]
    value_flaw: Annotated[str | None, Field(description="why it cannot be read as that; null where nothing is wrong")]
    value_decoded: NotRequired[Annotated[str | None, Field(description="as JSON, where a schema decodes it")]]
    value_schema: NotRequired[Annotated[str | None, Field(description="by what it was decoded")]]
    value_note: NotRequired[Annotated[str | None, Field(description="why it could not be decoded")]]
    headers: list[LetterHeader]
    properties: dict[str, Any]
    note: Annotated[str | None, Field(description="why something is hidden from you; null when nothing is")]
    group: Annotated[str, Field(description="the id of its cause, as `groups` lists them and plans take them")]


class LetterPage(TypedDict):
    """A page of dead letters. `warning` says what looking has changed."""

    items: list[LetterItem]
    next: str | None
    warning: str | None


class EvidenceItem(TypedDict):
    """What says why a message died."""

    where: Annotated[str, Field(description="a header, a property, or `body`")]
    text: str


class ProducerItem(TypedDict):
    """Who made messages, where their headers tell."""

    name: str
    version: str | None
    messages: int


class ChangeItem(TypedDict):
    """What changed near the first message of a group."""

    at: float
    before_seconds: Annotated[float, Field(description="how long before the first one died; negative after it")]
    what: Annotated[str, Field(description="status (of a subscription) or mark (such as a deployment)")]
    subject: Annotated[str, Field(description="the id of the subscription, or the name of the mark")]
    text: str


class AdviceItem(TypedDict):
    """What to do with a group, and why."""

    action: Advised
    reason: str


class ViolationItem(TypedDict):
    """A field that does not fit."""

    field: Annotated[str, Field(description="dotted; empty for the whole body")]
    expected: str
    found: str


class HeldItem(TypedDict):
    """What the catalog says of the messages: of the first twenty, of which version most are."""

    event: str
    wrote: Annotated[str | None, Field(description="the version that the producer wrote")]
    told_by: Annotated[str, Field(description="how that is known")]
    read_as: Annotated[str | None, Field(description="the version that they were held against")]
    known: Annotated[list[str], Field(description="versions that the consumer lists in the catalog")]
    violations: list[ViolationItem]
    fits: Annotated[str | None, Field(description="the newest version that they fit; null for none")]
    patch: Annotated[
        list[dict[str, Any]] | None, Field(description="JSON Patch that makes them fit `read_as`, tried on them")
    ]
    looked_at: int
    notes: list[str]


class ConcernedService(TypedDict):
    """A service that was to read the messages."""

    name: str
    owner: str | None


class ConcernedEvent(TypedDict):
    """A business event, and how many of the messages are one."""

    name: str
    messages: int


class ImpactItem(TypedDict):
    """Whom the messages concern, by the catalog."""

    services: list[ConcernedService]
    events: Annotated[list[ConcernedEvent], Field(description="of the first 500; empty where bodies are hidden")]
    state: Annotated[str, Field(description="waiting, lost (as they are), or done (duplicates)")]
    messages: int
    lost_at: Annotated[float | None, Field(description="when the first of them expires")]


class LetterGroup(TypedDict):
    """Dead letters of one cause. What quotes messages is null for whoever may not see bodies."""

    id: Annotated[str, Field(description="for `group` of a plan and of `messages`; the same on all buses")]
    kind: Annotated[Kind, Field(description="why they died")]
    certainty: Annotated[Certainty, Field(description="how sure that is")]
    exception: str | None
    message: Annotated[str | None, Field(description="what the exception says, without what varies")]
    frame: Annotated[str | None, Field(description="where in the program it came up, without file and line")]
    subject: Annotated[str | None, Field(description="the field, or the type, that it is about")]
    expected: Annotated[str | None, Field(description="what that was to be")]
    found: Annotated[str | None, Field(description="what that was instead")]
    evidence: list[EvidenceItem]
    messages: int
    first_at: float | None
    last_at: float | None
    per_second: Annotated[float | None, Field(description="how many died a second, from the first to the last")]
    origins: list[str]
    producers: list[ProducerItem]
    types: Annotated[list[str], Field(description="of the events")]
    schemas: Annotated[list[str], Field(description="schemas or their versions that the messages name")]
    consumers: Annotated[list[str], Field(description="who failed at them: as the headers say, else who reads there")]
    came_back: Annotated[int, Field(description="how many had been redriven before")]
    changes: Annotated[list[ChangeItem], Field(description="what changed near the first one, the nearest first")]
    advice: AdviceItem
    positions: Annotated[list[str], Field(description="some of them")]
    schema: Annotated[HeldItem | None, Field(description="null where bodies are hidden or no catalog knows them")]
    impact: Annotated[ImpactItem | None, Field(description="null without a catalog")]


class PlannedCause(TypedDict):
    """A cause that a plan takes messages of."""

    group: str
    kind: Kind
    exception: str | None
    messages: Annotated[int, Field(description="of those that were looked at")]
    advice: AdviceItem


class LetterGroups(TypedDict):
    """All groups, the largest first; `complete` is false where only the first messages were looked at."""

    items: list[LetterGroup]
    next: str | None
    looked_at: int
    complete: bool
    warning: str | None


class ChangedLetter(TypedDict):
    """What a message would look like at the target, the stamps of redrive aside."""

    headers: list[LetterHeader]
    value: str | None
    value_encoding: str | None
    value_cut: bool


class SampleItem(LetterItem):
    """A message of a plan, and what would become of it on the way."""

    after: Annotated[ChangedLetter | None, Field(description="null where the plan changes nothing of it")]
    skipped: Annotated[str | None, Field(description="why it would be skipped, as where the patch does not apply")]


class WindowItem(TypedDict):
    """The hours in which a job may run: from `begin` to `end`, on the days on which it begins."""

    begin: Annotated[str, Field(description="HH:MM")]
    end: Annotated[str, Field(description="HH:MM; before `begin` where it goes over midnight")]
    days: Annotated[list[str], Field(description="mon to sun")]
    timezone: Annotated[str, Field(description="a name of the IANA database, such as Europe/Berlin")]


class CanaryItem(TypedDict):
    """The first messages of a job."""

    messages: int
    wait_seconds: float
    verdict: Annotated[
        str | None, Field(description="passed; failed; unknown where nobody can see what comes back; null before")
    ]


class PlanItem(TypedDict):
    """What would be moved, and how."""

    id: str
    action: Action
    reason: Annotated[str, Field(description="why it is set aside; empty otherwise")]
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
    start_at: float | None
    deadline: Annotated[float | None, Field(description="when the job ends, whatever is left (Unix seconds)")]
    window: WindowItem | None
    approval: Annotated[str | None, Field(description="why a second person must approve it; null when none must")]
    causes: Annotated[
        list[PlannedCause],
        Field(description="why they died: of the first thousand where looking harms nothing, else of the samples"),
    ]
    request: dict[str, Any]
    bounds: Annotated[dict[str, Any], Field(description="what the job may touch, in the broker's own terms")]
    samples: list[SampleItem]


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
    """A job: a redrive, or dead letters being set aside or put back into their queue."""

    id: str
    action: Action
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
    seconds_left: Annotated[float | None, Field(description="at the present speed; null while nothing moves")]
    canary: CanaryItem | None
    start_at: float | None
    deadline: float | None
    window: WindowItem | None
    approval: Annotated[str | None, Field(description="why a second person must approve it; null when none must")]
    approved_by: str | None
    approved_at: float | None
    plan_id: str
    created_by: str
    created_at: float
    started_at: float | None
    ended_at: float | None


class SubscriberItem(TypedDict):
    """What one reader of the target has done with what was sent, as far as its own position tells."""

    subscription: Annotated[str, Field(description="its id")]
    processed: Annotated[int, Field(description="sent messages that it is past, those that came back included")]
    unknown: int


class EditsItem(TypedDict):
    """What was changed on the way. No payloads."""

    messages: int
    digest: Annotated[
        str | None, Field(description="SHA-256 over all positions and hashes; it is in the audit log too")
    ]


class ReportItem(JobItem):
    """What became of everything."""

    adds_up: bool
    plan: dict[str, Any]
    interruptions: int
    sent_again: Annotated[int, Field(description="ambiguous ones that were sent once more")]
    at_most_duplicates: int
    reasons: list[dict[str, Any]]
    ranges: Annotated[list[dict[str, Any]], Field(description="Kafka: from which offsets to which, a transaction each")]
    consumers: Annotated[
        dict[str, int], Field(description="what they did with what was sent: processed, bounced, unknown")
    ]
    subscribers: Annotated[list[SubscriberItem], Field(description="the readers whose positions are known")]
    may_have_bounced: Annotated[
        int | None, Field(description="new dead letters since the start that cannot be told from what came back")
    ]
    edits: EditsItem


class JobPage(TypedDict):
    """A page of jobs, the newest first."""

    items: list[JobItem]
    next: str | None


class EditItem(TypedDict):
    """The hashes of a message before and after it was changed: SHA-256 of its body and headers."""

    before_sha256: str
    after_sha256: str


class OriginalItem(EditItem):
    """A message as it was before it was changed; `letter` is null once it is deleted, or where the broker has it."""

    position: str
    letter: LetterItem | None


class OriginalPage(TypedDict):
    """A page of originals."""

    items: list[OriginalItem]
    next: str | None


class ArchiveItem(TypedDict):
    """Dead letters that one job has set aside."""

    id: Annotated[str, Field(description="that of the job")]
    dead_letters: str
    system: System
    cluster: str
    source: str
    reason: str
    archived_by: str
    archived_at: float
    messages: int
    kept_in: Annotated[str, Field(description="ledger (Kafka: the messages stay in their topic) or database")]
    bytes: Annotated[int | None, Field(description="in the database; null where they lie in the ledger")]
    delete_at: Annotated[float | None, Field(description="when they are deleted; null where the broker decides")]


class ArchivePage(TypedDict):
    """What is set aside, the newest first."""

    items: list[ArchiveItem]
    next: str | None
    bytes: Annotated[int, Field(description="in the database, of all")]
    most_bytes: Annotated[int, Field(description="the cap of that")]
    notes: Annotated[list[str], Field(description="what could not be read")]


class PurgeAnswer(TypedDict):
    """What a purge has removed."""

    dead_letters: str
    removed: int
    export_id: str


class JobMessage(TypedDict):
    """One message of a job."""

    position: str
    redrive_id: str | None
    stage: str
    outcome: Outcome | None
    at_target: str | None
    reason: str | None
    coordinates: dict[str, Any]
    edit: Annotated[EditItem | None, Field(description="null where nothing was changed, or it was not sent")]


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
