"""`/api/v1/subscriptions/{id}/members`: who consumes right now, asked of the broker."""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from monitor.api import kinds
from monitor.api.guard import needs
from monitor.api.items import MemberItem, MembersAnswer
from monitor.api.listing import Listing
from monitor.api.paths import id_between
from monitor.api.sources import PREFIX, Sources
from monitor.errors import BrokerError, BrokerFailed
from monitor.model import Member, Subscription

_SubscriptionId = Annotated[str, Depends(id_between("/subscriptions/", "/members"))]

Reader = Callable[[Subscription], Sequence[Member] | None]


def make_member_router(sources: Sources, read: Reader) -> APIRouter:
    """Return the endpoint; `read` asks the broker of a subscription, see `monitor.brokers.members`."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])
    listing = Listing(kinds.subscriptions(sources.mute_of), sources.views)

    @router.get("/subscriptions/{id:path}/members", response_model=MembersAnswer, summary="Who consumes right now")
    def list_members(id: _SubscriptionId) -> JSONResponse:
        row = listing.find(id)
        try:
            found = read(kinds.subscription_of(row))
        except BrokerError as error:
            raise BrokerFailed(str(error)) from error
        body: MembersAnswer = {"items": [_item(it) for it in found or ()], "known": found is not None}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return router


def _item(it: Member) -> MemberItem:
    return {
        "name": it.name,
        "client": it.client,
        "host": it.host,
        "owns": list(it.owns),
        "owns_elsewhere": it.owns_elsewhere,
    }
