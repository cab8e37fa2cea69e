"""`/api/v1/summary`: how everything is, in numbers that fit one look, however many subscriptions there are."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from monitor.api.guard import needs
from monitor.api.items import ClusterSummary, SummaryItem, as_number
from monitor.api.sources import PREFIX, Sources
from monitor.model import ClusterView, Mute, Role, Status

_FINE = frozenset((Status.OK, Status.LAGGING))


@dataclass(frozen=True, slots=True)
class _Counts:
    """What one view holds, apart from mutes, which change without it."""

    statuses: dict[str, int]
    bad: tuple[str, ...]
    owners: frozenset[str]
    dead_letters: float | None
    dead_letter_queues: int
    misconfigured: int
    next_expiry: float | None


def make_summary_router(sources: Sources) -> APIRouter:
    """Return the endpoint that counts. What a view holds is counted once."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])
    counted: dict[str, tuple[ClusterView, _Counts]] = {}

    def counts_of(view: ClusterView) -> _Counts:
        known = counted.get(view.health.cluster)
        if known is None or known[0].snapshot is not view.snapshot:
            # Two requests at once may both count; they count the same.
            known = counted[view.health.cluster] = (view, _count(view))
        return known[1]

    @router.get("/summary", response_model=SummaryItem, summary="How everything is, in numbers")
    def tell_summary() -> JSONResponse:
        views = [(view, counts_of(view)) for view in sources.views()]
        summary: SummaryItem = {
            "clusters": [_cluster(view, counts, sources.mute_of) for view, counts in views],
            "owners": sorted({owner for _, counts in views for owner in counts.owners}),
        }
        return JSONResponse(summary, headers={"Cache-Control": "no-store"})

    return router


def _count(view: ClusterView) -> _Counts:
    subscriptions = view.snapshot.subscriptions if view.snapshot else ()
    listed = view.snapshot.dead_letters if view.snapshot else ()
    queues = [queue for queue in listed if queue.holds_dead_letters]
    judged = list(zip(subscriptions, view.verdicts, strict=True)) if subscriptions else []
    work = [(it, verdict) for it, verdict in judged if it.role is Role.WORK]
    depths = [queue.messages for queue in queues if queue.messages is not None]
    expiries = [queue.expires_at for queue in queues if queue.messages and queue.expires_at is not None]
    return _Counts(
        statuses=dict(Counter(verdict.status.value for _, verdict in work)),
        bad=tuple(it.id for it, verdict in work if verdict.status not in _FINE and not it.abandoned),
        owners=frozenset(verdict.owner for _, verdict in judged if verdict.owner),
        dead_letters=sum(depths) if depths or not queues else None,
        dead_letter_queues=sum(queue.messages is not None for queue in queues),
        misconfigured=sum(bool(queue.problems) for queue in listed),
        next_expiry=min(expiries, default=None),
    )


def _cluster(view: ClusterView, counts: _Counts, mute_of: Callable[[str], Mute | None]) -> ClusterSummary:
    known = view.snapshot is not None
    muted = sum(_muted(counts.bad, mute_of))
    return {
        "cluster": view.health.cluster,
        "system": view.health.kind,
        "up": view.health.up,
        "as_of": view.snapshot.taken_at if view.snapshot else None,
        "statuses": {status.value: counts.statuses.get(status.value, 0) for status in Status} if known else None,
        "need_a_look": len(counts.bad) - muted if known else None,
        "muted": muted if known else None,
        "dead_letter_messages": as_number(counts.dead_letters) if known else None,
        "dead_letter_queues": counts.dead_letter_queues if known else None,
        "dead_letter_problems": counts.misconfigured if known else None,
        "expiry_timestamp_seconds": as_number(counts.next_expiry),
    }


def _muted(ids: tuple[str, ...], mute_of: Callable[[str], Mute | None]) -> Iterator[bool]:
    return (mute_of(id_) is not None for id_ in ids)
