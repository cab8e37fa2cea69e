"""The paths under `/api/v1`."""

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from monitor.api import kinds
from monitor.api.guard import needs
from monitor.api.items import (
    CollectorDetail,
    CollectorItem,
    DeadLetterDetail,
    DeadLetterItem,
    Page,
    SubscriptionDetail,
    SubscriptionItem,
    detail_rows,
    whole_rows,
)
from monitor.api.listing import DEFAULT_LIMIT, LARGEST_LIMIT, Listing, ListRequest
from monitor.api.paths import id_between
from monitor.api.sources import PREFIX, Sources
from monitor.model import Problem, Role, Status, System

T = TypeVar("T")


class ListQuery(BaseModel):
    """The parameters of every list; those of a kind's own are its filters, any of whose values may hold."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_LIMIT, description="items a page")] = DEFAULT_LIMIT
    offset: Annotated[int, Field(ge=0, le=10**9, description="how many to leave out before the first")] = 0
    cursor: Annotated[str | None, Field(max_length=200, description="the next of the page before")] = None
    sort: Annotated[
        str | None, Field(max_length=100, description="a field, with - before it descending; else worst first")
    ] = None
    q: Annotated[str | None, Field(max_length=200, description="words that all must stand in names or owner")] = None

    def request(self) -> ListRequest:
        """Return what is asked for."""
        shared = self.model_dump(include=set(ListQuery.model_fields))
        given = self.model_dump(exclude=set(ListQuery.model_fields))
        return ListRequest(**shared, filters={name: frozenset(values) for name, values in given.items() if values})


class SubscriptionQuery(ListQuery):
    """The parameters of the list of subscriptions."""

    cluster: list[str] = []
    system: list[System] = []
    role: list[Role] = []
    status: list[Status] = []
    owner: list[str] = []


class DeadLetterQuery(ListQuery):
    """The parameters of the list of dead-letter queues."""

    cluster: list[str] = []
    system: list[System] = []
    problem: list[Problem] = []


class CollectorQuery(ListQuery):
    """The parameters of the list of collectors."""

    cluster: list[str] = []
    system: list[str] = []


def make_router(sources: Sources) -> APIRouter:
    """Return the read endpoints. They run in worker threads, so that making a long list keeps no scrape waiting."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])
    _add_subscriptions(router, sources)
    _add_dead_letters(router, sources)
    _add_collectors(router, sources)
    return router


def _add_subscriptions(router: APIRouter, sources: Sources) -> None:
    kind = kinds.subscriptions(sources.mute_of)
    listing = Listing(kind, sources.views)

    @router.get("/subscriptions", response_model=Page[SubscriptionItem], summary="Subscriptions on all buses")
    def list_subscriptions(query: Annotated[SubscriptionQuery, Query()]) -> JSONResponse:
        return _answer(listing.page(query.request(), sources.clock.now()))

    @router.get("/subscriptions/{id:path}", response_model=SubscriptionDetail, summary="One subscription")
    def get_subscription(id: Annotated[str, Depends(id_between("/subscriptions/"))]) -> JSONResponse:
        row = listing.find(id)
        item = kind.item(row, sources.clock.now())
        return _answer({**item, "details": detail_rows(kinds.snapshot_of(row), kinds.subscription_of(row))})


def _add_dead_letters(router: APIRouter, sources: Sources) -> None:
    kind = kinds.dead_letters(sources.mute_of)
    listing = Listing(kind, sources.views)

    @router.get("/dead-letters", response_model=Page[DeadLetterItem], summary="Dead-letter queues on all buses")
    def list_dead_letters(query: Annotated[DeadLetterQuery, Query()]) -> JSONResponse:
        return _answer(listing.page(query.request(), sources.clock.now()))

    @router.get("/dead-letters/{id:path}", response_model=DeadLetterDetail, summary="One dead-letter queue")
    def get_dead_letter(id: Annotated[str, Depends(id_between("/dead-letters/"))]) -> JSONResponse:
        row = listing.find(id)
        item = kind.item(row, sources.clock.now())
        return _answer({**item, "details": detail_rows(kinds.snapshot_of(row), kinds.dead_letter_of(row))})


def _add_collectors(router: APIRouter, sources: Sources) -> None:
    kind = kinds.collectors(sources.series, sources.dropped)
    listing = Listing(kind, sources.views)

    @router.get("/collectors", response_model=Page[CollectorItem], summary="How the reading of each cluster goes")
    def list_collectors(query: Annotated[CollectorQuery, Query()]) -> JSONResponse:
        return _answer(listing.page(query.request(), sources.clock.now()))

    @router.get("/collectors/{id:path}", response_model=CollectorDetail, summary="One of them, with the whole cluster")
    def get_collector(id: Annotated[str, Depends(id_between("/collectors/"))]) -> JSONResponse:
        row = listing.find(id)
        return _answer({**kind.item(row, sources.clock.now()), "details": whole_rows(row.view.snapshot)})


def _answer(body: Any) -> JSONResponse:
    # Answered as it is: the items have their types from their makers, and checking each anew costs more than all else.
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
