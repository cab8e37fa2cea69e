"""`/api/v1/mutes`: planned stops that nobody is to be woken for."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from monitor.api.guard import Principal, needs
from monitor.api.items import MuteItem
from monitor.api.sources import PREFIX
from monitor.clock import Clock
from monitor.errors import BadRequest, NotFound
from monitor.model import ClusterView, Mute
from monitor.storage.mutes import Mutes

LONGEST_SECONDS = 366 * 86400.0

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class Record(Protocol):
    """Notes in the audit log who does what, and from where, before it is done."""

    def __call__(self, principal: Principal, address: str, operation: str, **told: object) -> None:
        """Write it down. Raises StorageError."""
        ...


class MuteRequest(BaseModel):
    """What to mute, and for how long: either `until` or `for_seconds`."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[Words, Field(description="an id, or a pattern over ids as in orders/*")]
    reason: Annotated[Words, Field(description="why, for those who find it muted")]
    until: Annotated[float | None, Field(description="when it ends, in Unix seconds")] = None
    for_seconds: Annotated[float | None, Field(description="how long it lasts from now on")] = None

    def ends_at(self, now: float) -> float:
        """Return when it ends. Raises BadRequest for what is no moment ahead."""
        if (self.until is None) == (self.for_seconds is None):
            raise BadRequest("until: give either until or for_seconds", parameter="until")
        until = self.until if self.until is not None else now + (self.for_seconds or 0.0)
        if not now < until <= now + LONGEST_SECONDS:  # not a number is refused here as well
            raise BadRequest("until: must lie ahead, by a year at most", parameter="until")
        return until


class MuteList(TypedDict):
    """All mutes that hold now."""

    items: list[MuteItem]
    next: str | None


def make_mute_router(
    mutes: Mutes, views: Callable[[], Iterable[ClusterView]], record: Record, clock: Clock
) -> APIRouter:
    """Return the endpoints that tell, set and end mutes."""
    router = APIRouter(prefix=PREFIX)
    operator = Annotated[Principal, Depends(needs("operator"))]

    @router.get("/mutes", response_model=MuteList, summary="What is muted now", dependencies=[Depends(needs("viewer"))])
    def list_mutes() -> JSONResponse:
        return _answer({"items": [mute_item(mute, views()) for mute in mutes.active()], "next": None})

    @router.post("/mutes", response_model=MuteItem, summary="Mute a subscription, a dead-letter queue or a pattern")
    def add_mute(asked: MuteRequest, request: Request, principal: operator) -> JSONResponse:
        until = asked.ends_at(clock.now())
        told = {"subject": asked.subject, "until": until, "reason": asked.reason}
        record(principal, _address(request), "mute", **told)
        return _answer(mute_item(mutes.add(asked.subject, until, asked.reason, principal.name), views()))

    @router.delete("/mutes/{number}", response_model=MuteItem, summary="End a mute before its time")
    def end_mute(number: int, request: Request, principal: operator) -> JSONResponse:
        mute = next((it for it in mutes.active() if it.id == number), None)
        if mute is None:
            raise NotFound(f"there is no mute {number}; it may have ended by itself")
        record(principal, _address(request), "unmute", mute=number, subject=mute.subject)
        mutes.end(number)
        return _answer(mute_item(mute, views()))

    return router


def mute_item(mute: Mute, views: Iterable[ClusterView]) -> MuteItem:
    """Return a mute as the API tells it, with how much it matches now."""
    snapshots = [view.snapshot for view in views if view.snapshot]
    return {
        "id": mute.id,
        "subject": mute.subject,
        "until": mute.until,
        "reason": mute.reason,
        "actor": mute.actor,
        "created_at": mute.created_at,
        "subscriptions": sum(fnmatchcase(it.id, mute.subject) for seen in snapshots for it in seen.subscriptions),
        "dead_letters": sum(fnmatchcase(it.id, mute.subject) for seen in snapshots for it in seen.dead_letters),
    }


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _answer(body: object) -> JSONResponse:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
