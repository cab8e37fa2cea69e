"""A fake of the monitor's API for the pages that act: it says what a test tells it, and keeps what it was asked.

It is a fake, since what these pages must show cannot all be provoked quickly on real brokers: a queue of a million, a
refusal to look, a canary that fails, a plan that has expired. Its answers have the shapes of `monitor.api`; a test
holds them equal. The journeys show the pages on a real monitor.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]

_ENDED = ("completed", "completed_with_failures", "cancelled", "failed")


@dataclass
class Refused(Exception):
    """What the fake answers instead: status, slug and sentence."""

    status: int
    slug: str
    detail: str


@dataclass
class FakeQueue:
    """One dead-letter queue: as many messages as wanted, each made when it is asked for."""

    item: Json
    make: Callable[[int], Json]
    warning: str | None = None
    refusal: Refused | None = None
    groups: list[Json] | None = None
    looked_at_most: int = 5_000

    @property
    def count(self) -> int:
        return int(self.item["messages"] or 0)


@dataclass
class FakeMonitor:
    """What it knows; tests change it between two looks. `asked` has each call as `METHOD path?query`."""

    role: str = "operator"
    name: str = "bob"
    queues: dict[str, FakeQueue] = field(default_factory=dict)
    plans: dict[str, Json] = field(default_factory=dict)
    jobs: dict[str, Json] = field(default_factory=dict)
    reports: dict[str, Json] = field(default_factory=dict)
    items: dict[str, list[Json]] = field(default_factory=dict)
    subscriptions: list[Json] = field(default_factory=list)
    refusals: dict[str, Refused] = field(default_factory=dict)
    keys: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    plan_changes: Json = field(default_factory=dict)
    archives: list[Json] = field(default_factory=list)
    originals: list[Json] = field(default_factory=list)
    notes: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        get, post = ["GET"], ["POST"]
        table: list[tuple[str, list[str], Callable[[Request, Json], Any]]] = [
            ("/about", get, lambda *_: self._about()),
            ("/collectors", get, lambda *_: {"items": [make_collector()], "next": None}),
            ("/subscriptions", get, lambda *_: {"items": self.subscriptions, "next": None}),
            ("/history", get, lambda request, _: {"subject": request.query_params["subject"], "step_seconds": 60.0,
                                                  "points": [], "note": None}),
            ("/archive", get, lambda *_: {"items": self.archives, "next": None, "bytes": 0, "most_bytes": 1,
                                          "notes": []}),
            ("/archive/{id}/messages", get, lambda *_: {"items": [self._seen(make_letter(it)) for it in range(2)],
                                                        "next": None, "warning": None}),
            ("/dead-letters", get, self._queues),
            ("/dead-letters/{id:path}/messages", get, self._messages),
            ("/dead-letters/{id:path}/groups", get, self._groups),
            ("/dead-letters/{id:path}/purge", post, self._purge),
            ("/dead-letters/{id:path}", get, lambda request, _: {**self._queue(request).item, "details": {}}),
            ("/redrives/plan", post, self._make_plan),
            ("/redrives/plan/{id}", get, lambda request, _: {**self._plan(request.path_params["id"]), "samples": []}),
            ("/redrives", get, lambda *_: {"items": list(self.jobs.values())[::-1], "next": None}),
            ("/redrives", post, self._start),
            ("/redrives/{id}", get, lambda request, _: self._job(request)),
            ("/redrives/{id}/items", get, self._items),
            ("/redrives/{id}/report", get, self._report),
            ("/redrives/{id}/originals", get, lambda request, _: {"items": self.originals, "next": None}),
            ("/redrives/{id}/rate", post, self._set_rate),
            ("/redrives/{id}/{verb}", post, self._steer),
        ]  # fmt: skip
        self.app = Starlette(
            routes=[Route(f"/api/v1{path}", self._answer(act), methods=methods) for path, methods, act in table]
        )

    def _answer(self, act: Callable[[Request, Json], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body = await request.json() if request.method == "POST" and await request.body() else {}
            path = request.url.path.removeprefix("/api/v1")
            self.asked.append(f"{request.method} {path}" + (f"?{request.url.query}" if request.url.query else ""))
            try:
                refusal = self.refusals.get(f"{request.method} {path}")
                if refusal:
                    raise refusal
                return JSONResponse(act(request, body))
            except Refused as refused:
                told = {"type": f"urn:eventflow:problem:{refused.slug}", "title": "", "detail": refused.detail}
                return JSONResponse({**told, "status": refused.status}, refused.status)

        return endpoint

    def calls(self, beginning: str) -> list[str]:
        """Return what was asked that begins so."""
        return [it for it in self.asked if it.startswith(beginning)]

    def add(self, queue: FakeQueue) -> FakeQueue:
        self.queues[queue.item["id"]] = queue
        return queue

    def _about(self) -> Json:
        return {"version": "1.2.3", "python": "3", "started_at": time.time(), "now": time.time(),
                "name": self.name, "role": self.role, "bodies": self.role != "viewer"}  # fmt: skip

    def _queue(self, request: Request) -> FakeQueue:
        id_ = request.path_params["id"]
        found = self.queues.get(id_) or self.queues.get(id_.replace("%2F", "/"))
        if found is None:
            raise Refused(404, "not-found", f"there is no dead-letter queue {id_!r}")
        return found

    def _queues(self, request: Request, _: Json) -> Json:
        asked = request.query_params
        found = [
            it.item
            for it in self.queues.values()
            if asked.get("q", "").lower() in it.item["queue"].lower()
            and asked.get("cluster") in (None, it.item["cluster"])
            and asked.get("system") in (None, it.item["system"])
        ]
        found.sort(key=lambda it: -(it["messages"] or 0))
        begin, limit = int(asked.get("cursor", 0)), int(asked.get("limit", 100))
        return {
            "items": found[begin : begin + limit],
            "next": str(begin + limit) if len(found) > begin + limit else None,
        }

    def _messages(self, request: Request, _: Json) -> Json:
        queue, asked = self._queue(request), request.query_params
        if queue.refusal:
            raise queue.refusal
        begin, limit = _place(asked.get("cursor")), int(asked.get("limit", 50))
        end = min(queue.count, begin + limit)
        items = [self._seen(queue.make(number)) for number in range(begin, end)]
        if asked.get("group"):
            items = [it for it in items if it["group"] == asked["group"]]
        if asked.get("select"):
            items = items[:: max(1, len(items) // 3)]
        return {"items": items, "next": f"0:{end}" if end < queue.count else None, "warning": queue.warning}

    def _seen(self, letter: Json) -> Json:
        if self.role != "viewer":
            return letter
        hidden: Json = {"key": None, "value": None, "exception_message": None, "headers": [], "properties": {}}
        return {**letter, **hidden, "note": "bodies are for the role operator"}

    def _groups(self, request: Request, _: Json) -> Json:
        queue = self._queue(request)
        if queue.refusal:
            raise queue.refusal
        looked = min(queue.count, queue.looked_at_most)
        groups = queue.groups if queue.groups is not None else [make_group(messages=looked)]
        return {"items": groups, "next": None, "looked_at": looked, "complete": looked == queue.count,
                "warning": queue.warning}  # fmt: skip

    def _purge(self, request: Request, asked: Json) -> Json:
        queue = self._queue(request)
        removed, queue.item["messages"] = queue.count, 0
        return {"dead_letters": queue.item["id"], "removed": removed, "export_id": asked["export_id"]}

    def _make_plan(self, _: Request, asked: Json) -> Json:
        queue = self.queues[asked["dead_letters"]]
        plan = make_plan(queue.item, number=len(self.plans) + 1, asked=asked)
        plan["samples"] = [{**queue.make(0), "after": None, "skipped": None}] if queue.count else []
        plan.update(self.plan_changes)
        self.plans[plan["id"]] = plan
        return plan

    def _plan(self, id_: str) -> Json:
        if id_ not in self.plans:
            raise Refused(404, "not-found", f"there is no plan {id_}")
        return self.plans[id_]

    def _start(self, request: Request, asked: Json) -> Json:
        self.keys.append(request.headers.get("Idempotency-Key"))
        self.notes.append(asked.get("note"))
        known = next((it for it in self.jobs.values() if it["plan_id"] == asked["plan_id"]), None)
        if known is None:
            known = make_job(self._plan(asked["plan_id"]), number=len(self.jobs) + 1)
            self.jobs[known["id"]] = known
        return known

    def _job(self, request: Request) -> Json:
        id_ = request.path_params["id"]
        if id_ not in self.jobs:
            raise Refused(404, "not-found", f"there is no job {id_}")
        return self.jobs[id_]

    def _steer(self, request: Request, _: Json) -> Json:
        job, verb = self._job(request), request.path_params["verb"]
        states = {"pause": "paused", "resume": "running", "cancel": "cancelled", "approve": "running"}
        job["state"] = states.get(verb, job["state"])
        job["reason"] = "operator" if verb == "pause" else None
        if verb == "cancel":
            job["ended_at"] = time.time()
        return job

    def _set_rate(self, request: Request, asked: Json) -> Json:
        job = self._job(request)
        job["rate"] = asked["rate"]
        return job

    def _items(self, request: Request, _: Json) -> Json:
        outcome = request.query_params.get("outcome")
        found = [it for it in self.items.get(request.path_params["id"], []) if outcome in (None, it["outcome"])]
        return {"items": found, "next": None}

    def _report(self, request: Request, _: Json) -> Json:
        job = self._job(request)
        return self.reports.get(job["id"]) or make_report(job)


def _place(cursor: str | None) -> int:
    return int((cursor or "0").rpartition(":")[2])


# fmt: off
# -- what it answers ---------------------------------------------------------------------------------------------------


def make_collector(cluster: str = "orders") -> Json:
    return {"cluster": cluster, "system": "kafka", "up": True, "last_success_timestamp_seconds": time.time(),
            "interval_seconds": 15.0, "duration_seconds": 0.1, "missed_runs_total": 0, "errors": [], "errors_total": {},
            "expected": 4, "measured": 4, "series": 10, "notes": [], "as_of": time.time(), "data_age_seconds": 0.0}


def make_queue(name: str = "order-events.dlq", messages: int | None = 32, **changes: Any) -> Json:
    cluster = changes.pop("cluster", "orders")
    origin = changes.pop("origin", "order-events")
    return {"id": f"{cluster}/{name}", "system": "kafka", "cluster": cluster, "queue": name, "role": "dead_letter",
            "messages": messages, "oldest_age_seconds": 185.0 if messages else 0.0, "age_method": "exact",
            "retention_seconds": 1_209_600.0,
            "expiry_timestamp_seconds": time.time() + 7_000, "arrivals_total": messages, "found_by": "headers",
            "origins": [origin], "origin_evidence": [{"origin": origin, "found_by": "headers"}], "problems": [],
            "muted_until": None, "muted_reason": None, "as_of": time.time(), "data_age_seconds": 1.0, **changes}


def make_letter(number: int = 0, **changes: Any) -> Json:
    header = {"name": "event_type", "value": "OrderCreated", "encoding": "utf-8", "kind": None}
    return {"position": f"0:{number}", "coordinates": {"partition": 0, "offset": number},
            "enqueued_at": time.time() - 185, "expires_at": None, "deliveries": None, "attempts": 3,
            "origin": "order-events", "origin_found_by": "headers",
            "origin_detail": {"framework": "Spring Kafka", "partition": 2, "offset": 17, "group": "notification-group"},
            "exception": "shop.events.MissingField", "exception_message": "notification: customer_email is missing",
            "value_bytes": 40, "key": f"ord-{number}", "key_encoding": "utf-8",
            "value": f'{{"order_id": "ord-{number}", "total_cents": 1990}}', "value_encoding": "utf-8",
            "value_cut": False, "value_form": "JSON", "value_flaw": None, "headers": [header], "properties": {},
            "note": None, "group": "g1", **changes}


def make_group(id_: str = "g1", messages: int = 32, **changes: Any) -> Json:
    return {"id": id_, "kind": "schema_violation", "certainty": "certain", "exception": "shop.events.MissingField",
            "message": "notification: customer_email is missing", "frame": None, "subject": "customer_email",
            "expected": None, "found": None, "evidence": [], "messages": messages, "first_at": time.time() - 600,
            "last_at": time.time() - 60, "per_second": 0.1, "origins": ["order-events"], "producers": [], "types": [],
            "schemas": [], "consumers": ["notification-group"], "came_back": 0, "changes": [],
            "advice": {"action": "redrive_after_fix", "reason": "it fails the same way until it is mended"},
            "positions": ["0:0"], "schema": None, "impact": None, **changes}


def make_plan(queue: Mapping[str, Any], number: int = 1, asked: Mapping[str, Any] | None = None) -> Json:
    asked = dict(asked or {})
    for name, moment in (("older_than_seconds", "enqueued_before"), ("younger_than_seconds", "enqueued_after")):
        age = asked.pop(name, None)
        asked[moment] = None if age is None else time.time() - age
    request = {"target": None, "select": None, "positions": [], "group": None, "first": None,
               "strip_failure_headers": False, "native": False, "patch": [], "set_headers": {}, "remove_headers": [],
               "archive": None, "max_target_backlog": None, "canary_wait_seconds": None, **asked}
    origins = [{"origin": it, "found_by": "headers", "messages": 20, "of": 20} for it in queue["origins"]]
    count = min(queue["messages"] or 0, request["first"] or 10**9, len(request["positions"]) or 10**9)
    exact = queue["system"] == "kafka"
    return {"id": f"plan-{number}", "action": request.get("action", "redrive"), "reason": request.get("reason", ""),
            "hash": f"hash-{number}", "created_at": time.time(), "expires_at": time.time() + 900,
            "dead_letters": queue["id"], "system": queue["system"], "cluster": queue["cluster"],
            "source": queue["queue"], "target": request["target"] or queue["origins"][0], "count": count,
            "count_is_exact": True, "guarantee": "exactly_once" if exact else "at_least_once",
            "max_duplicates_per_interruption": 0 if exact else 80,
            "on_ambiguous": request.get("on_ambiguous") or "send", "origin_evidence": origins, "also_receives": [],
            "ordering": "They arrive after newer messages of the same key.", "warnings": [], "blockers": [],
            "headers": {"added": ["x-redrive-id"], "removed": [], "failure_headers_removed": False},
            "duration_seconds": 0.1, "rate": request.get("rate"), "canary": request.get("canary"),
            "start_at": request.get("start_at"),
            "deadline": request.get("deadline"), "approval": None,
            "window": {"days": [], **request["window"]} if request.get("window") else None,
            "causes": [], "request": request, "bounds": {}, "samples": []}


def make_counts(planned: int = 32, **outcomes: int) -> Json:
    names = ("sent", "skipped", "failed", "expired", "bounced", "ambiguous")
    counts = {name: outcomes.get(name, 0) for name in names}
    return {"planned": planned, **counts, "left": planned - sum(counts.values())}


def make_job(plan: Mapping[str, Any], number: int = 1, state: str = "running", **changes: Any) -> Json:
    canary = None if plan["canary"] is None else {"messages": plan["canary"], "wait_seconds": 5.0, "verdict": None}
    return {"id": f"job-{number}", "action": plan["action"], "state": state, "reason": None,
            "dead_letters": plan["dead_letters"], "system": plan["system"], "cluster": plan["cluster"],
            "source": plan["source"], "target": plan["target"], "guarantee": plan["guarantee"], "rate": plan["rate"],
            "wanted": "run", "counts": make_counts(plan["count"]), "sent_per_second": 20.0, "seconds_left": 4.0,
            "canary": canary, "start_at": None, "deadline": None, "window": None, "approval": plan["approval"],
            "approved_by": None, "approved_at": None, "plan_id": plan["id"], "created_by": "alice",
            "created_at": time.time() - 60, "started_at": time.time() - 59,
            "ended_at": time.time() if state in _ENDED else None, **changes}


def make_report(job: Mapping[str, Any], **changes: Any) -> Json:
    counts = job["counts"]
    return {**job, "adds_up": True, "plan": {}, "interruptions": 0, "sent_again": 0, "at_most_duplicates": 0,
            "reasons": [], "ranges": [], "consumers": {"processed": 0, "bounced": counts["bounced"],
                                                       "unknown": counts["sent"]},
            "subscribers": [], "may_have_bounced": None, "edits": {"messages": 0, "digest": None}, **changes}


def make_subscription(**changes: Any) -> Json:
    return {"id": "orders/notification-group/order-events", "system": "kafka", "cluster": "orders",
            "destination": "order-events", "subscriber": "notification-group", "role": "work", "owner": None,
            "abandoned": False,
            "status": "ok", "status_reason": "", "status_since": 0.0, "backlog_messages": 0, "oldest_age_seconds": 0.0,
            "age_method": "exact", "in_flight_messages": 0, "consumers": 1, "published_messages_total": 1,
            "consumed_messages_total": 1, "published_per_second": 0.0, "consumed_per_second": 0.0,
            "drain_seconds": None, "drains": None, "retention_seconds": None,
            "unread_lost_messages_total": 0, "rewinds_total": 0,
            "objective_age_seconds": None, "objective_budget_left_ratio": None, "muted_until": None,
            "muted_reason": None, "expected": 1, "measured": 1, "as_of": time.time() + 60, "data_age_seconds": 0.0,
            **changes}


def make_archive(**changes: Any) -> Json:
    return {"id": "job-9", "dead_letters": "orders/order-events.dlq", "system": "kafka", "cluster": "orders",
            "source": "order-events.dlq", "reason": "test data", "archived_by": "alice",
            "archived_at": time.time() - 60, "messages": 12, "kept_in": "database", "bytes": 1000,
            "delete_at": time.time() + 86_400 * 30, **changes}
