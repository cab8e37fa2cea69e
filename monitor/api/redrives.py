"""`/api/v1/redrives`, the messages of dead-letter queues, and the audit log."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from monitor.api.guard import ROLES, Principal
from monitor.api.paths import id_between
from monitor.api.redrive_items import (
    ArchivePage,
    AuditPage,
    AuditVerification,
    JobItem,
    JobMessagePage,
    JobPage,
    LetterGroups,
    LetterPage,
    OriginalPage,
    PlanItem,
    PurgeAnswer,
    ReportItem,
)
from monitor.api.sources import PREFIX
from monitor.api.streams import Stream
from monitor.errors import NotAllowed, RequestError
from monitor.letters import Action, OnAmbiguous, PlanRequest
from monitor.redrive.audit import Actor
from monitor.redrive.paging import Order
from monitor.redrive.refusals import is_refusal
from monitor.redrive.service import Redrives
from monitor.redrive.timing import LATEST_MOMENT

_bearer = HTTPBearer(auto_error=False)
_SEARCHED = ("id", "kind", "exception", "message", "frame", "subject", "origins", "types", "consumers")
_MEDIA_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in _MEDIA_TYPES.values()}}
}
_STARTED_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"model": JobItem, "description": "It had been started before"}
}

Limit = Annotated[int, Query(ge=1, le=1000, description="items a page")]
LookLimit = Annotated[int, Query(ge=0, le=1000, description="items a page; 0 looks at none and tells only the warning")]
GroupSort = Literal[
    "messages", "-messages", "first_at", "-first_at", "last_at", "-last_at", "per_second", "-per_second"
]
Cursor = Annotated[str | None, Query(max_length=500, description="the `next` of the page before")]
Words = Annotated[str, Query(max_length=200, description="words that all must stand in what is told")]
Text = Annotated[str, Field(max_length=2_000)]
_Age = Annotated[float | None, Field(gt=0, le=1e9)]
_Moment = Annotated[float | None, Field(ge=0, le=LATEST_MOMENT)]
OlderThan = Annotated[_Age, Field(description="by the broker's time of the message")]
YoungerThan = Annotated[_Age, Field(description="by the broker's time of the message")]


class WindowBody(BaseModel):
    """The hours in which a job may run; over midnight where it ends before it begins."""

    model_config = ConfigDict(extra="forbid")

    begin: Annotated[Text, Field(description="HH:MM")]
    end: Annotated[Text, Field(description="HH:MM")]
    days: Annotated[list[Text] | None, Field(description="mon to sun, on which it begins; all by default")] = None
    timezone: Annotated[Text | None, Field(description="such as Europe/Berlin; UTC by default")] = None


class PlanBody(BaseModel):
    """What to plan. What is left out is left to the product."""

    model_config = ConfigDict(extra="forbid")

    dead_letters: Annotated[Text, Field(description="the id of a dead-letter queue")]
    action: Annotated[Action, Field(description="archive sets aside, restore puts that back")] = Action.REDRIVE
    reason: Annotated[Text, Field(description="why; needed to archive")] = ""
    archive: Annotated[Text | None, Field(description="which archive to restore")] = None
    target: Text | None = None
    select: Annotated[Text | None, Field(description="a JMESPath expression over one message")] = None
    positions: Annotated[list[Text], Field(description="chosen messages", max_length=10_000)] = []
    group: Annotated[Text | None, Field(description="the id of a cause, as `groups` lists them")] = None
    older_than_seconds: OlderThan = None
    younger_than_seconds: YoungerThan = None
    first: Annotated[int | None, Field(description="at most so many")] = None
    rate: Annotated[float | None, Field(description="messages a second")] = None
    max_target_backlog: Annotated[int | None, Field(description="pause while more than that wait at the target")] = None
    canary: Annotated[int | None, Field(description="send so many, see whether they come back, then go on")] = None
    canary_wait_seconds: Annotated[float | None, Field(description="how long to see; 5 by default")] = None
    start_at: Annotated[_Moment, Field(description="begin no sooner (Unix seconds)")] = None
    deadline: Annotated[_Moment, Field(description="end no later, whatever is left (Unix seconds)")] = None
    window: Annotated[WindowBody | None, Field(description="the hours in which it may run")] = None
    on_ambiguous: OnAmbiguous | None = None
    strip_failure_headers: bool = False
    set_headers: dict[Text, Text] = {}
    remove_headers: list[Text] = []
    patch: Annotated[list[dict[str, Any]], Field(description="a JSON Patch (RFC 6902) for the body")] = []
    native: Annotated[bool, Field(description="SQS: let AWS move everything")] = False

    def request(self, now: float) -> PlanRequest:
        """Return it in the words of the core; ages are counted from now (Unix seconds)."""
        return PlanRequest(
            dead_letters=self.dead_letters,
            action=self.action,
            reason=self.reason,
            archive=self.archive,
            target=self.target,
            select=self.select,
            positions=tuple(self.positions),
            group=self.group,
            enqueued_before=_before(now, self.older_than_seconds),
            enqueued_after=_before(now, self.younger_than_seconds),
            first=self.first,
            rate_per_second=self.rate,
            max_target_backlog=self.max_target_backlog,
            canary=self.canary,
            canary_wait_seconds=self.canary_wait_seconds,
            start_at=self.start_at,
            deadline=self.deadline,
            window=self.window.model_dump(exclude_none=True) if self.window else None,
            on_ambiguous=self.on_ambiguous,
            strip_failure_headers=self.strip_failure_headers,
            set_headers=self.set_headers,
            remove_headers=tuple(self.remove_headers),
            patch=tuple(self.patch),
            native=self.native,
        )


class SearchQuery(BaseModel):
    """Which messages are sought; without anything, all."""

    select: Annotated[Text | None, Field(description="a JMESPath expression")] = None
    group: Annotated[Text | None, Field(description="the id of a cause, as `groups` lists them")] = None
    older_than_seconds: OlderThan = None
    younger_than_seconds: YoungerThan = None

    def request(self, dead_letters: str, now: float) -> PlanRequest:
        """Return it in the words of the core."""
        return PlanRequest(
            dead_letters,
            select=self.select,
            group=self.group,
            enqueued_before=_before(now, self.older_than_seconds),
            enqueued_after=_before(now, self.younger_than_seconds),
        )


def _before(now: float, seconds: float | None) -> float | None:
    return None if seconds is None else now - seconds


class StartBody(BaseModel):
    """Which plan to start; the hash says which state of it was seen."""

    model_config = ConfigDict(extra="forbid")

    plan_id: Text
    hash: Text
    note: Annotated[Text | None, Field(description="such as a ticket, for the audit log")] = None


class PurgeBody(BaseModel):
    """What says that everything in a queue is to go."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(description="the name of the queue, typed")]
    export_id: Annotated[Text, Field(description="an export of all of it, of the last hour")]


class RateBody(BaseModel):
    """The new rate in messages a second; null is without limit."""

    model_config = ConfigDict(extra="forbid")

    rate: float | None


def make_redrive_router(redrives: Redrives) -> APIRouter:
    """Return the endpoints of redrive. They run in worker threads, since they ask brokers and the database."""
    router = APIRouter(prefix=PREFIX)
    _add_letters(router, redrives)
    _add_shelf(router, redrives)
    _add_plans(router, redrives)
    _add_jobs(router, redrives)
    _add_steering(router, redrives)
    _add_audit(router, redrives)
    return router


def _may(redrives: Redrives, role: str, operation: str) -> Callable[..., Iterator[Actor]]:
    """Return a dependency that lets a role pass and gives who it is; what is refused is written down.

    What the service itself refuses to those who act, it writes down with what it knows of it.
    """

    def check(request: Request, _: Annotated[object, Depends(_bearer)]) -> Iterator[Actor]:
        principal: Principal = request.state.principal
        address = request.client.host if request.client else ""
        actor = Actor(principal.name, principal.role, address, principal.bodies)
        reads, path = request.method == "GET", request.url.path
        try:
            if ROLES.index(principal.role) < ROLES.index(role):
                if not reads:
                    redrives.audit.write(actor, operation, "refused", path=path)
                told = f"this needs the role {role}; the token {principal.name} has the role {principal.role}"
                raise NotAllowed(told)
            yield actor
        except RequestError as error:
            if reads and is_refusal(error):
                redrives.refusals.note(actor, operation, path, error)
            raise

    return check


def _add_letters(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "dead-letters.read"))]

    @router.get("/dead-letters/{id:path}/messages", response_model=LetterPage, summary="Look at dead letters")
    def list_messages(
        queue: Annotated[str, Depends(_queue_id("/messages"))],
        actor: viewer,
        sought: Annotated[SearchQuery, Query()],
        limit: LookLimit = 50,
        cursor: Cursor = None,
    ) -> JSONResponse:
        search = sought.request(queue, redrives.now())
        return _answer(redrives.letters.browse(search, limit, cursor, actor))

    @router.get("/dead-letters/{id:path}/groups", response_model=LetterGroups, summary="Dead letters by their cause")
    def list_groups(
        queue: Annotated[str, Depends(_queue_id("/groups"))],
        actor: viewer,
        sort: Annotated[GroupSort, Query(description="- for descending; what is not known comes last")] = "-messages",
        q: Words = "",
    ) -> JSONResponse:
        found = redrives.letters.groups(queue, actor)
        return _answer({**found, "items": order_groups(found["items"], sort, q)})

    @router.get(
        "/dead-letters/{id:path}/export",
        summary="All dead letters as a stream",
        response_class=Response,
        responses=_EXPORTED,
    )
    def export(
        queue: Annotated[str, Depends(_queue_id("/export"))],
        actor: viewer,
        sought: Annotated[SearchQuery, Query()],
        format: Annotated[Literal["jsonl", "csv"], Query(description="a JSON object a line, or CSV")] = "jsonl",
    ) -> Stream:
        search = sought.request(queue, redrives.now())
        id_, lines = redrives.letters.export(search, format, actor)
        headers = {"X-Export-Id": id_, "Cache-Control": "no-store"}
        return Stream(lines, media_type=_MEDIA_TYPES[format], headers=headers)


def _add_shelf(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "archive.read"))]
    admin = Annotated[Actor, Depends(_may(redrives, "admin", "dead-letters.purge"))]

    @router.post("/dead-letters/{id:path}/purge", response_model=PurgeAnswer, summary="Remove all that was exported")
    def purge(queue: Annotated[str, Depends(_queue_id("/purge"))], asked: PurgeBody, actor: admin) -> JSONResponse:
        return _answer(redrives.shelf.purge(queue, asked.name, asked.export_id, actor))

    @router.get("/archive", response_model=ArchivePage, summary="What is set aside, the newest first")
    def list_archives(
        actor: viewer,
        dead_letters: Annotated[str | None, Query(max_length=2_000, description="of one queue")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> JSONResponse:
        return _answer(redrives.shelf.archives(dead_letters, limit, cursor))

    @router.get("/archive/{id}/messages", response_model=LetterPage, summary="The messages of one archive")
    def list_archived(id: str, actor: viewer, limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
        return _answer(redrives.shelf.messages(id, limit, cursor, actor))


def _add_plans(router: APIRouter, redrives: Redrives) -> None:
    operator = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.plan"))]

    @router.post("/redrives/plan", response_model=PlanItem, summary="Plan a redrive; nothing is touched")
    def make_plan(asked: PlanBody, actor: operator) -> JSONResponse:
        return _answer(redrives.plan(asked.request(redrives.now()), actor))

    @router.get("/redrives/plan/{id}", response_model=PlanItem, summary="A plan that was made, without its samples")
    def get_plan(id: str, actor: operator) -> JSONResponse:
        return _answer(redrives.planned(id, actor))


def _add_jobs(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "redrive.read"))]
    operator = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.start"))]

    @router.post(
        "/redrives",
        response_model=JobItem,
        status_code=201,
        responses=_STARTED_BEFORE,
        summary="Start the job of a plan",
    )
    def start_job(
        asked: StartBody,
        actor: operator,
        idempotency_key: Annotated[
            str | None, Header(max_length=200, description="the same key is the same job")
        ] = None,
    ) -> JSONResponse:
        job, new = redrives.start(asked.plan_id, asked.hash, idempotency_key, actor, asked.note)
        return _answer(job, 201 if new else 200)

    @router.get("/redrives", response_model=JobPage, summary="Jobs, the newest first")
    def list_jobs(
        actor: viewer,
        limit: Limit = 100,
        cursor: Cursor = None,
        dead_letters: Annotated[str | None, Query(max_length=2_000, description="of one queue")] = None,
        sort: Annotated[Literal["created_at", "-created_at"], Query(description="- for descending")] = "-created_at",
        q: Words = "",
    ) -> JSONResponse:
        return _answer(redrives.jobs(limit, cursor, dead_letters, Order(sort == "created_at", q)))

    @router.get("/redrives/{id}", response_model=JobItem, summary="One job")
    def get_job(id: str, actor: viewer) -> JSONResponse:
        return _answer(redrives.job(id))

    @router.get("/redrives/{id}/items", response_model=JobMessagePage, summary="A job's messages one by one")
    def list_items(
        id: str,
        actor: viewer,
        limit: Limit = 100,
        cursor: Cursor = None,
        outcome: Annotated[str | None, Query(max_length=20)] = None,
    ) -> JSONResponse:
        return _answer(redrives.items(id, limit, cursor, outcome))

    @router.get("/redrives/{id}/originals", response_model=OriginalPage, summary="Messages before they were edited")
    def list_originals(id: str, actor: viewer, limit: Limit = 100, cursor: Cursor = None) -> JSONResponse:
        return _answer(redrives.originals(id, limit, cursor, actor))

    @router.get("/redrives/{id}/report", response_model=ReportItem, summary="What became of everything")
    def get_report(id: str, actor: viewer) -> JSONResponse:
        return _answer(redrives.report(id, actor))


def _add_steering(router: APIRouter, redrives: Redrives) -> None:
    def add(verb: Literal["pause", "resume", "cancel"], summary: str) -> None:
        operator = Annotated[Actor, Depends(_may(redrives, "operator", f"redrive.{verb}"))]

        @router.post(f"/redrives/{{id}}/{verb}", response_model=JobItem, summary=summary, operation_id=f"{verb}_job")
        def steer(id: str, actor: operator) -> JSONResponse:
            return _answer(redrives.steer(id, verb, actor))

    add("pause", "Hold a job; it takes effect within a second")
    add("resume", "Let a job go on, also one that has stopped itself")
    add("cancel", "End a job where it is; what it has not touched stays in its queue")
    operator = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.rate"))]

    @router.post("/redrives/{id}/rate", response_model=JobItem, summary="Change the rate of a job")
    def set_rate(id: str, asked: RateBody, actor: operator) -> JSONResponse:
        return _answer(redrives.set_rate(id, asked.rate, actor))

    approver = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.approve"))]

    @router.post("/redrives/{id}/approve", response_model=JobItem, summary="Let a job begin that somebody else started")
    def approve(id: str, actor: approver) -> JSONResponse:
        return _answer(redrives.approve(id, actor))

    @router.post("/redrives/{id}/recover", response_model=JobItem, summary="Try an interrupted job again now")
    def recover(id: str, actor: operator) -> JSONResponse:
        return _answer(redrives.recover(id, actor))


def _add_audit(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "audit.read"))]

    @router.get("/audit", response_model=AuditPage, summary="Who did what, and who was refused")
    def list_audit(
        actor: viewer,
        limit: Limit = 100,
        cursor: Cursor = None,
        sort: Annotated[Literal["at", "-at"], Query(description="- for descending")] = "-at",
        q: Words = "",
    ) -> JSONResponse:
        return _answer(redrives.read_audit(limit, cursor, Order(sort == "at", q)))

    @router.get("/audit/verification", response_model=AuditVerification, summary="Check the chain of audit records")
    def verify_audit(actor: viewer) -> JSONResponse:
        found = redrives.verify_audit()
        told = {"intact": found.intact, "records": found.records, "broken_at": found.broken_at}
        return _answer({**told, "last_hash": found.last_hash})


def order_groups(groups: Sequence[Mapping[str, Any]], sort: str, q: str) -> list[Mapping[str, Any]]:
    """Return those of the groups in which all words stand, in order; equals stay as they came."""
    words, field = q.casefold().split(), sort.removeprefix("-")
    texts = (json.dumps([it[name] for name in _SEARCHED], ensure_ascii=False).casefold() for it in groups)
    found = [it for it, text in zip(groups, texts, strict=True) if all(word in text for word in words)]
    known = sorted((it for it in found if it[field] is not None), key=itemgetter(field), reverse=sort.startswith("-"))
    return known + [it for it in found if it[field] is None]


def _queue_id(after: str) -> Callable[..., str]:
    """Return a dependency that gives the id of a queue, the parts of which are encoded."""

    def read(id_: Annotated[str, Depends(id_between("/dead-letters/", after))]) -> str:
        # The client encodes the whole id once more; what was encoded inside of its parts must stay.
        return unquote(id_) if "/" not in id_ else id_

    return read


def _answer(body: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})
