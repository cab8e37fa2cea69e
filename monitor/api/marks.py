"""`/api/v1/marks`: what people noted as having happened, such as deployments."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from monitor.api.guard import Principal, needs
from monitor.api.items import MarkItem
from monitor.api.mutes import Record
from monitor.api.sources import PREFIX
from monitor.clock import Clock
from monitor.errors import BadRequest
from monitor.storage.marks import Marks

_DEFAULT_SECONDS = 7 * 86400.0
_OLDEST_SECONDS = 366 * 86400.0
_AHEAD_SECONDS = 60.0  # clocks of two machines

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Moment = Annotated[float | None, Query(ge=0, le=1e11)]


class MarkRequest(BaseModel):
    """What happened."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="what happened to what, such as deploy notification-service")]
    note: Annotated[str, Field(max_length=1000, description="more of it, such as the version")] = ""
    at: Annotated[float | None, Field(description="when it happened, in Unix seconds; now by default")] = None

    def happened_at(self, now: float) -> float:
        """Return when it happened. Raises BadRequest for what has not, or lies too far back."""
        at = now if self.at is None else self.at
        if not now - _OLDEST_SECONDS <= at <= now + _AHEAD_SECONDS:  # not a number is refused here as well
            raise BadRequest("at: must lie in the past, within a year", parameter="at")
        return at


class MarkList(TypedDict):
    """Marks, the newest first."""

    items: list[MarkItem]
    next: str | None


def make_mark_router(marks: Marks, record: Record, clock: Clock) -> APIRouter:
    """Return the endpoints that note and tell marks."""
    router = APIRouter(prefix=PREFIX)
    operator = Annotated[Principal, Depends(needs("operator"))]

    @router.get(
        "/marks", response_model=MarkList, summary="What was noted as having happened",
        dependencies=[Depends(needs("viewer"))],
    )  # fmt: skip
    def list_marks(since: Annotated[Moment, Query(alias="from")] = None, to: Moment = None) -> JSONResponse:
        end = clock.now() + _AHEAD_SECONDS if to is None else to
        found = marks.between(end - _DEFAULT_SECONDS if since is None else since, end)
        return _answer({"items": [asdict(mark) for mark in reversed(found)], "next": None})

    @router.post("/marks", response_model=MarkItem, summary="Note that something happened, such as a deployment")
    def add_mark(asked: MarkRequest, request: Request, principal: operator) -> JSONResponse:
        at = asked.happened_at(clock.now())
        address = request.client.host if request.client else ""
        record(principal, address, "mark", name=asked.name, at=at)
        return _answer(asdict(marks.add(asked.name, asked.note, at, principal.name)))

    return router


def _answer(body: object) -> JSONResponse:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
