"""`/api/v1/history`: curves of the last days."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from monitor.api.guard import needs
from monitor.api.items import HistoryAnswer, HistoryPoint, as_number
from monitor.api.sources import PREFIX
from monitor.clock import Clock
from monitor.errors import BadRequest
from monitor.model import Status
from monitor.storage.history import Curves, Point

_SUBJECT = r"^(subscription|dead_letters):."
_DEFAULT_SECONDS = 6 * 3600.0


class HistoryQuery(BaseModel):
    """What of which curve is asked for."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[str, Field(pattern=_SUBJECT, max_length=2000, description="subscription:ID, or dead_letters:ID")]
    since: Annotated[float | None, Field(alias="from", description="Unix seconds; six hours before to by default")] = (
        None
    )
    to: Annotated[float | None, Field(description="Unix seconds; now by default")] = None
    step: Annotated[float | None, Field(gt=0, description="seconds a point; more where it is kept more coarsely")] = (
        None
    )


def make_history_router(curves: Curves, clock: Clock) -> APIRouter:
    """Return the endpoint that tells curves."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])

    @router.get("/history", response_model=HistoryAnswer, summary="The curve of one subscription or dead-letter queue")
    def get_history(query: Annotated[HistoryQuery, Query()]) -> JSONResponse:
        now = clock.now()
        end = now if query.to is None else min(query.to, now)
        start = end - _DEFAULT_SECONDS if query.since is None else query.since
        if not 0 <= start < end:
            raise BadRequest("from: must lie before to and before now", parameter="from")
        curve = curves.read(query.subject, start, end, query.step)
        body: HistoryAnswer = {
            "subject": query.subject,
            "step_seconds": curve.step_seconds,
            "points": [_point(it) for it in curve.points],
            "note": curve.note or None,
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return router


def _point(it: Point) -> HistoryPoint:
    return {
        "at": it.at,
        "messages": as_number(it.messages),
        "oldest_age_seconds": as_number(it.oldest_age_seconds),
        "published_per_second": as_number(it.published_per_second),
        "consumed_per_second": as_number(it.consumed_per_second),
        "consumers": as_number(it.consumers),
        "status": Status(it.status) if it.status else None,
    }
