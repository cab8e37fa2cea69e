"""`/api/v1/redrives`, the messages of dead-letter queues, and the audit log."""

from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from monitor.api.guard import ROLES, Principal
from monitor.api.redrive_items import (
    AuditPage,
    AuditVerification,
    JobItem,
    JobMessagePage,
    JobPage,
    LetterGroups,
    LetterPage,
    PlanItem,
    ReportItem,
)
from monitor.api.sources import PREFIX
from monitor.errors import NotAllowed
from monitor.letters import OnAmbiguous, PlanRequest
from monitor.redrive.audit import Actor
from monitor.redrive.service import Redrives

_bearer = HTTPBearer(auto_error=False)
_QUEUES = "/dead-letters/"

Limit = Annotated[int, Query(ge=1, le=1000, description="items a page")]
LookLimit = Annotated[int, Query(ge=0, le=1000, description="items a page; 0 looks at none and tells only the warning")]
Cursor = Annotated[str | None, Query(max_length=500, description="the `next` of the page before")]
Text = Annotated[str, Field(max_length=2_000)]


class PlanBody(BaseModel):
    """What to plan. What is left out is left to the product."""

    model_config = ConfigDict(extra="forbid")

    dead_letters: Annotated[Text, Field(description="the id of a dead-letter queue")]
    target: Text | None = None
    select: Annotated[Text | None, Field(description="a JMESPath expression over one message")] = None
    positions: Annotated[list[Text], Field(description="chosen messages", max_length=10_000)] = []
    first: Annotated[int | None, Field(description="at most so many")] = None
    rate: Annotated[float | None, Field(description="messages a second")] = None
    canary: Annotated[int | None, Field(description="send so many, see whether they come back, then go on")] = None
    on_ambiguous: OnAmbiguous | None = None
    strip_failure_headers: bool = False
    set_headers: dict[Text, Text] = {}
    remove_headers: list[Text] = []
    native: Annotated[bool, Field(description="SQS: let AWS move everything")] = False

    def request(self) -> PlanRequest:
        """Return it in the words of the core."""
        return PlanRequest(
            dead_letters=self.dead_letters,
            target=self.target,
            select=self.select,
            positions=tuple(self.positions),
            first=self.first,
            rate_per_second=self.rate,
            canary=self.canary,
            on_ambiguous=self.on_ambiguous,
            strip_failure_headers=self.strip_failure_headers,
            set_headers=self.set_headers,
            remove_headers=tuple(self.remove_headers),
            native=self.native,
        )


class StartBody(BaseModel):
    """Which plan to start; the hash says which state of it was seen."""

    model_config = ConfigDict(extra="forbid")

    plan_id: Text
    hash: Text


class RateBody(BaseModel):
    """The new rate in messages a second; null is without limit."""

    model_config = ConfigDict(extra="forbid")

    rate: float | None


def make_redrive_router(redrives: Redrives) -> APIRouter:
    """Return the endpoints of redrive. They run in worker threads, since they ask brokers and the database."""
    router = APIRouter(prefix=PREFIX)
    _add_letters(router, redrives)
    _add_plans(router, redrives)
    _add_jobs(router, redrives)
    _add_steering(router, redrives)
    _add_audit(router, redrives)
    return router


def _may(redrives: Redrives, role: str, operation: str) -> Callable[..., Actor]:
    """Return a dependency that lets a role pass and gives who it is; a refusal to act is written down."""

    def check(request: Request, _: Annotated[object, Depends(_bearer)]) -> Actor:
        principal: Principal = request.state.principal
        actor = Actor(principal.name, principal.role, request.client.host if request.client else "")
        if ROLES.index(principal.role) < ROLES.index(role):
            if request.method != "GET":
                redrives.audit.write(actor, operation, "refused", path=request.url.path)
            raise NotAllowed(f"this needs the role {role}; the token {principal.name} has the role {principal.role}")
        return actor

    return check


def _add_letters(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "dead-letters.read"))]

    @router.get("/dead-letters/{id:path}/messages", response_model=LetterPage, summary="Look at dead letters")
    def list_messages(
        request: Request,
        actor: viewer,
        limit: LookLimit = 50,
        cursor: Cursor = None,
        select: Annotated[str | None, Query(max_length=2_000, description="a JMESPath expression")] = None,
    ) -> JSONResponse:
        bodies = ROLES.index(actor.role) >= ROLES.index("operator")
        return _answer(redrives.browse(_queue_id(request, "/messages"), limit, cursor, select, bodies=bodies))

    @router.get("/dead-letters/{id:path}/groups", response_model=LetterGroups, summary="Dead letters by their cause")
    def list_groups(request: Request, actor: viewer) -> JSONResponse:
        return _answer(redrives.groups(_queue_id(request, "/groups")))


def _add_plans(router: APIRouter, redrives: Redrives) -> None:
    operator = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.plan"))]

    @router.post("/redrives/plan", response_model=PlanItem, summary="Plan a redrive; nothing is touched")
    def make_plan(asked: PlanBody, actor: operator) -> JSONResponse:
        return _answer(redrives.plan(asked.request()))

    @router.get("/redrives/plan/{id}", response_model=PlanItem, summary="A plan that was made, without its samples")
    def get_plan(id: str, actor: operator) -> JSONResponse:
        return _answer(redrives.planned(id))


def _add_jobs(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "redrive.read"))]
    operator = Annotated[Actor, Depends(_may(redrives, "operator", "redrive.start"))]

    @router.post("/redrives", response_model=JobItem, summary="Start the job of a plan")
    def start_job(
        asked: StartBody,
        actor: operator,
        idempotency_key: Annotated[
            str | None, Header(max_length=200, description="the same key is the same job")
        ] = None,
    ) -> JSONResponse:
        job, new = redrives.start(asked.plan_id, asked.hash, idempotency_key, actor)
        return _answer(job, 201 if new else 200)

    @router.get("/redrives", response_model=JobPage, summary="Jobs, the newest first")
    def list_jobs(actor: viewer, limit: Limit = 100, cursor: Cursor = None) -> JSONResponse:
        return _answer(redrives.jobs(limit, cursor))

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

    @router.get("/redrives/{id}/report", response_model=ReportItem, summary="What became of everything")
    def get_report(id: str, actor: viewer) -> JSONResponse:
        return _answer(redrives.report(id))


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

    @router.post("/redrives/{id}/recover", response_model=JobItem, summary="Try an interrupted job again now")
    def recover(id: str, actor: operator) -> JSONResponse:
        return _answer(redrives.recover(id, actor))


def _add_audit(router: APIRouter, redrives: Redrives) -> None:
    viewer = Annotated[Actor, Depends(_may(redrives, "viewer", "audit.read"))]

    @router.get("/audit", response_model=AuditPage, summary="Who did what, and who was refused")
    def list_audit(actor: viewer, limit: Limit = 100, cursor: Cursor = None) -> JSONResponse:
        return _answer(redrives.read_audit(limit, cursor))

    @router.get("/audit/verification", response_model=AuditVerification, summary="Check the chain of audit records")
    def verify_audit(actor: viewer) -> JSONResponse:
        found = redrives.verify_audit()
        told = {"intact": found.intact, "records": found.records, "broken_at": found.broken_at}
        return _answer({**told, "last_hash": found.last_hash})


def _queue_id(request: Request, after: str) -> str:
    """Return the id as it stands in the path: the framework's own parameter has lost which slashes were encoded."""
    raw = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    _, found, rest = raw.partition(PREFIX + _QUEUES)
    id_ = rest.removesuffix(after) if found else str(request.path_params["id"])
    # The client encodes the whole id once more; what was encoded inside of its parts must stay.
    return unquote(id_) if "/" not in id_ else id_


def _answer(body: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})
