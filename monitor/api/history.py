"""`/api/v1/history`: curves of the last days."""

from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from monitor.api.guard import needs
from monitor.api.items import CurveItem, CurvesAnswer, HistoryAnswer, HistoryPoint, Number, as_number
from monitor.api.sources import PREFIX
from monitor.clock import Clock
from monitor.errors import BadRequest
from monitor.model import Status
from monitor.storage.history import Curve, Curves, Point

_SUBJECT = r"^(subscription|dead_letters|cluster):."
_DEFAULT_SECONDS = 6 * 3600.0
_MOST_SUBJECTS = 200

Subject = Annotated[
    str, Field(pattern=_SUBJECT, max_length=2000, description="subscription:ID, dead_letters:ID or cluster:NAME")
]
Value = Literal["messages", "oldest_age_seconds", "published_per_second", "consumed_per_second", "consumers", "status"]


class Span(BaseModel):
    """From when to when, and in which steps."""

    since: Annotated[float | None, Field(alias="from", description="Unix seconds; six hours before to by default")] = (
        None
    )
    to: Annotated[float | None, Field(description="Unix seconds; now by default")] = None
    step: Annotated[float | None, Field(gt=0, description="seconds a point; more where it is kept more coarsely")] = (
        None
    )

    def moments(self, now: float) -> tuple[float, float]:
        """Return the first moment and the last, which is never ahead. Raises BadRequest."""
        end = now if self.to is None else min(self.to, now)
        start = end - _DEFAULT_SECONDS if self.since is None else self.since
        if not 0 <= start < end:
            raise BadRequest("from: must lie before to and before now", parameter="from")
        return start, end


class HistoryQuery(Span):
    """What of which curve is asked for."""

    subject: Annotated[
        str, Field(pattern=_SUBJECT, max_length=2000, description="subscription:ID, dead_letters:ID or cluster:NAME")
    ]


class CurvesQuery(Span):
    """What of which curves is asked for."""

    subject: Annotated[list[Subject], Field(min_length=1, max_length=_MOST_SUBJECTS)]
    value: Annotated[list[Value], Field(description="which values of each point")] = ["messages"]


def make_history_router(curves: Curves, clock: Clock) -> APIRouter:
    """Return the endpoint that tells curves."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])

    @router.get("/history", response_model=HistoryAnswer, summary="The curve of one subscription or dead-letter queue")
    def get_history(query: Annotated[HistoryQuery, Query()]) -> JSONResponse:
        start, end = query.moments(clock.now())
        curve = curves.read(query.subject, start, end, query.step)
        body: HistoryAnswer = {
            "subject": query.subject,
            "step_seconds": curve.step_seconds,
            "points": [_point(it) for it in curve.points],
            "note": curve.note or None,
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @router.get("/history/curves", response_model=CurvesAnswer, summary="Chosen values of many curves at once")
    def get_curves(query: Annotated[CurvesQuery, Query()]) -> JSONResponse:
        start, end = query.moments(clock.now())
        found = curves.read_many(query.subject, start, end, query.step, query.value)
        some = next(iter(found.values()), None)
        body: CurvesAnswer = {
            "step_seconds": some.step_seconds if some else None,
            "at": [point.at for point in some.points] if some else [],
            "curves": [_curve(subject, curve, query.value) for subject, curve in found.items()],
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return router


def _curve(subject: str, curve: Curve, values: Iterable[Value]) -> CurveItem:
    columns: dict[str, list[Number | str | None]] = {
        value: [_told(getattr(point, value)) for point in curve.points] for value in values
    }
    return {"subject": subject, "values": columns}


def _told(value: float | str | None) -> Number | str | None:
    return value if isinstance(value, str) else as_number(value)


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
