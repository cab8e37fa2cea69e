"""`/api/v1/alerts`, `/api/v1/silences` and `/api/v1/runbooks`: what fires, what holds it back, and what to do then."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from monitor.alerting import FIRING, Alert, Alertmanager, Prometheus, Silence, joined, make_client
from monitor.api.guard import Principal, needs
from monitor.api.items import AlertItem, AlertsAnswer, RunbookItem, SilenceItem
from monitor.api.mutes import LONGEST_SECONDS, Record, Words
from monitor.api.sources import PREFIX, Sources
from monitor.config import Alerts
from monitor.errors import BadRequest, Conflict, NotFound
from monitor.model import ClusterView, DeadLetterQueue, Role, Status, Subscription, Verdict

_OF_STATUS = {
    Status.STOPPED: ("EventflowSubscriptionStopped", "critical"),
    Status.LOSING: ("EventflowSubscriptionLosing", "critical"),
    Status.STALLED: ("EventflowSubscriptionStalled", "critical"),
    Status.UNKNOWN: ("EventflowSubscriptionUnknown", "warning"),
    Status.REWOUND: ("EventflowSubscriptionRewound", "warning"),
}
"""Which alert stands for a status where nobody evaluates rules."""

_MOST_ALERTS = 1000


class SilenceRequest(BaseModel):
    """What to hold back, why and for how long."""

    model_config = ConfigDict(extra="forbid")

    labels: Annotated[
        dict[str, str], Field(min_length=1, max_length=20, description="all must be carried, as they are")
    ]
    reason: Words
    for_seconds: Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]


def make_alert_router(
    settings: Callable[[], Alerts],
    sources: Sources,
    runbooks: Path,
    record: Record,
    transport: httpx.BaseTransport | None = None,
) -> APIRouter:
    """Return the endpoints. `runbooks` is the folder that has them, `settings` gives the present configuration."""
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(needs("viewer"))])
    http = make_client(transport)
    _add_alerts(router, settings, sources, http)
    _add_silences(router, settings, sources, record, http)
    _add_runbooks(router, runbooks)
    return router


def _add_alerts(router: APIRouter, settings: Callable[[], Alerts], sources: Sources, http: httpx.Client) -> None:
    @router.get("/alerts", response_model=AlertsAnswer, summary="What fires and what is pending")
    def list_alerts() -> JSONResponse:
        prometheus, alertmanager = _prometheus(settings(), http), _alertmanager(settings(), http)
        if alertmanager:
            found = joined(alertmanager.alerts(), prometheus.alerts() if prometheus else [])
            return _answer_alerts("alertmanager", found)
        if prometheus:
            return _answer_alerts("prometheus", prometheus.alerts())
        return _answer_alerts("status", list(_from_status(sources)))


def _add_silences(
    router: APIRouter, settings: Callable[[], Alerts], sources: Sources, record: Record, http: httpx.Client
) -> None:
    operator = Annotated[Principal, Depends(needs("operator"))]

    def manager() -> Alertmanager:
        found = _alertmanager(settings(), http)
        if found is None:
            raise Conflict("no Alertmanager is configured (alerts.alertmanager_url); mute instead, see /api/v1/mutes")
        return found

    @router.get("/silences", response_model=list[SilenceItem], summary="What is held back in Alertmanager")
    def list_silences() -> JSONResponse:
        return _answer([_silence_item(it) for it in manager().silences()])

    @router.post("/silences", response_model=SilenceItem, summary="Hold alerts back in Alertmanager")
    def add_silence(asked: SilenceRequest, request: Request, principal: operator) -> JSONResponse:
        target, now = manager(), sources.clock.now()
        if any(not name or "\n" in name for name in asked.labels):
            raise BadRequest("labels: a name is empty or has a line break", parameter="labels")
        record(principal, _address(request), "silence", labels=asked.labels, reason=asked.reason)
        until = now + asked.for_seconds
        number = target.silence(asked.labels, asked.reason, principal.name, now, until)
        matchers = tuple(f"{name}={value}" for name, value in asked.labels.items())
        return _answer(_silence_item(Silence(number, matchers, asked.reason, principal.name, now, until)))

    @router.delete("/silences/{number}", summary="End a silence before its time")
    def end_silence(number: str, request: Request, principal: operator) -> JSONResponse:
        target = manager()
        record(principal, _address(request), "unsilence", silence=number)
        target.end_silence(number)
        return _answer({"id": number})


def _add_runbooks(router: APIRouter, folder: Path) -> None:
    @router.get("/runbooks/{name}", response_model=RunbookItem, summary="What to do when an alert fires")
    def get_runbook(name: str) -> JSONResponse:
        # Looked up among what there is, so that no name leads elsewhere.
        found = {file.stem: file for file in folder.glob("*.md")}
        if name not in found:
            raise NotFound(f"there is no runbook {name!r}", nearest=[])
        return _answer({"name": name, "text": found[name].read_text(encoding="utf-8")})


def _prometheus(settings: Alerts, http: httpx.Client) -> Prometheus | None:
    return Prometheus(settings.prometheus_url.get_secret_value(), http) if settings.prometheus_url else None


def _alertmanager(settings: Alerts, http: httpx.Client) -> Alertmanager | None:
    return Alertmanager(settings.alertmanager_url.get_secret_value(), http) if settings.alertmanager_url else None


def _from_status(sources: Sources) -> Iterator[Alert]:
    """Yield what the rules would fire on at once, where nobody evaluates them; what is muted is held back."""
    for view in sources.views():
        yield from _of_collector(view)
        subscriptions = view.snapshot.subscriptions if view.snapshot else ()
        for it, verdict in zip(subscriptions, view.verdicts, strict=True):
            if verdict.status in _OF_STATUS and it.role is Role.WORK and sources.mute_of(it.id) is None:
                yield _of_subscription(it, verdict)
        for queue in view.snapshot.dead_letters if view.snapshot else ():
            if queue.messages and sources.mute_of(queue.id) is None:
                yield _of_queue(queue)


def _of_subscription(it: Subscription, verdict: Verdict) -> Alert:
    name, severity = _OF_STATUS[verdict.status]
    labels = {
        "alertname": name,
        "severity": severity,
        "system": it.system.value,
        "cluster": it.cluster,
        "destination": it.destination,
        "subscriber": it.subscriber,
        **({"owner": verdict.owner} if verdict.owner else {}),
    }
    return Alert(FIRING, labels, {"summary": verdict.reason}, verdict.since)


def _of_queue(queue: DeadLetterQueue) -> Alert:
    labels = {
        "alertname": "EventflowDeadLettersNotDrained",
        "severity": "warning",
        "system": queue.system.value,
        "cluster": queue.cluster,
        "queue": queue.queue,
    }
    return Alert(FIRING, labels, {"summary": f"{queue.messages:,.0f} dead letters wait"})


def _of_collector(view: ClusterView) -> Iterator[Alert]:
    if view.health.up is False:
        error = view.health.errors[0].message if view.health.errors else "the last cycle failed"
        labels = {"alertname": "EventflowCollectorStale", "severity": "critical", "cluster": view.health.cluster}
        yield Alert(FIRING, labels, {"summary": error}, view.health.last_success)


def _answer_alerts(source: str, alerts: list[Alert]) -> JSONResponse:
    order = {FIRING: 0, "pending": 1}
    worst = {"critical": 0, "page": 0, "warning": 1, "ticket": 1}
    found = sorted(
        alerts,
        key=lambda it: (order.get(it.state, 2), worst.get(it.labels.get("severity", ""), 2), it.name, it.since or 0.0),
    )
    items = [_alert_item(it) for it in found[:_MOST_ALERTS]]
    return _answer({"source": source, "items": items, "total": len(found)})


def _alert_item(it: Alert) -> AlertItem:
    return {
        "name": it.name,
        "state": it.state,
        "severity": it.labels.get("severity") or None,
        "summary": it.annotations.get("summary") or None,
        "description": it.annotations.get("description") or None,
        "labels": {name: value for name, value in it.labels.items() if name != "alertname"},
        "since": it.since,
        "silences": list(it.silences),
    }


def _silence_item(it: Silence) -> SilenceItem:
    return {
        "id": it.id,
        "matchers": list(it.matchers),
        "reason": it.reason,
        "actor": it.actor,
        "since": it.since,
        "until": it.until,
    }


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _answer(body: object) -> JSONResponse:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
