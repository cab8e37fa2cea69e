"""What people can do about dead letters: look, plan, start, steer, read the report. Checks rights and writes the audit.

Everything here raises RequestErrors for what cannot be met, with a broker's own errors as BrokerFailed.
"""

import difflib
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import unquote

from monitor.clock import Clock
from monitor.config import Cluster, Configuration
from monitor.errors import BadAnswer, BadRequest, BrokerError, BrokerFailed, Conflict, NotFound, ReadOnly
from monitor.letters import CountsSelected, DeadMessage, Outcome, PlanRequest, RedriveBus, Survey
from monitor.model import ClusterView, DeadLetterQueue, Problem
from monitor.redrive.audit import Actor, Audit, Verification
from monitor.redrive.engine import Engine
from monitor.redrive.journal import Item, Journal, StoredJob, StoredPlan
from monitor.redrive.messages import normalise, tell_message
from monitor.redrive.model import FINAL_STATES, Counts, JobState
from monitor.redrive.plans import check_request, find_drift, hash_plan, make_plan, read_request
from monitor.redrive.selection import selected_by

Opener = Callable[[Cluster], RedriveBus]

_SURVEY_SECONDS = 20.0
_COUNT_SECONDS = 15.0
_LOOK_SECONDS = 15.0
_GROUPED_AT_MOST = 5_000
_PAGE = 200
_PER_SECOND = {"kafka": 40_000.0, "rabbitmq": 5_000.0, "sqs": 1_000.0, "sns": 1_000.0}


class Redrives:
    """All of it, for one monitor. Thread-safe."""

    def __init__(
        self,
        configuration: Configuration,
        journal: Journal,
        audit: Audit,
        views: Callable[[], Iterable[ClusterView]],
        opener: Opener,
        clock: Clock,
    ) -> None:
        self._clusters: dict[str, Cluster] = {cluster.name: cluster for cluster in configuration.clusters}
        self._journal, self.audit, self._views, self._opener, self._clock = journal, audit, views, opener, clock
        self._buses: dict[str, RedriveBus] = {}
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None

    def attach(self, engine: Engine) -> None:
        """Tell which engine carries the jobs out."""
        self._wake = engine.wake

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            buses, self._buses = list(self._buses.values()), {}
        for bus in buses:
            bus.close()

    def bus_of(self, cluster: str) -> RedriveBus:
        """Return the redrive side of a cluster. Raises BadAnswer when it is not configured any more."""
        with self._lock:
            if cluster not in self._clusters:
                raise BadAnswer("this cluster is not configured any more", target=cluster)
            if cluster not in self._buses:
                self._buses[cluster] = self._opener(self._clusters[cluster])
            return self._buses[cluster]

    # -- looking ------------------------------------------------------------------------------------------------------

    def find(self, raw: str) -> DeadLetterQueue:
        """Return a dead-letter queue by its id. Raises NotFound, which tells the nearest ids."""
        known = {
            it.id: it
            for view in self._views()
            if view.snapshot
            for it in view.snapshot.dead_letters
            if Problem.NONE_CONFIGURED not in it.problems or it.messages is not None
        }
        for candidate in (raw, unquote(raw)):
            if candidate in known:
                return known[candidate]
        plain = [it for it in known.values() if unquote(it.id) == unquote(unquote(raw))]
        if len(plain) == 1:
            return plain[0]
        nearest = difflib.get_close_matches(raw, known, n=3, cutoff=0.6)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise NotFound(f"there is no dead-letter queue {unquote(raw)!r}{hint}", nearest=nearest)

    def browse(self, raw: str, limit: int, cursor: str | None, select: str | None, *, bodies: bool) -> dict[str, Any]:
        """Return a page of messages; with `select` those of the page that match."""
        queue = self.find(raw)
        if select is not None and not bodies:
            raise BadRequest("select: searching in bodies needs the role operator", parameter="select")
        selected = selected_by(select, (), self._clock.now)
        with _broker_errors():
            page = self.bus_of(queue.cluster).browse(queue.queue, limit, cursor, self._within(_LOOK_SECONDS))
        items = [tell_message(it, bodies=bodies) for it in page.messages if select is None or selected(it)]
        return {"items": items, "next": page.next, "warning": page.warning or None}

    def groups(self, raw: str) -> dict[str, Any]:
        """Return the dead letters grouped by exception class and normalised message, the largest group first."""
        queue = self.find(raw)
        messages, whole, warning = self._look_at_many(queue)
        groups: dict[tuple[str, str], list[DeadMessage]] = defaultdict(list)
        for message in messages:
            groups[message.exception, normalise(message.exception_message)].append(message)
        items = [_tell_group(*key, members) for key, members in groups.items()]
        items.sort(key=lambda it: (-it["messages"], it["exception"] or "", it["message"] or ""))
        return {"items": items, "next": None, "looked_at": len(messages), "complete": whole, "warning": warning or None}

    def _look_at_many(self, queue: DeadLetterQueue) -> tuple[list[DeadMessage], bool, str]:
        bus, deadline = self.bus_of(queue.cluster), self._within(_LOOK_SECONDS)
        messages: list[DeadMessage] = []
        cursor, warning = None, ""
        with _broker_errors():
            while len(messages) < _GROUPED_AT_MOST:
                page = bus.browse(queue.queue, _PAGE, cursor, deadline)
                messages += page.messages
                cursor, warning = page.next, page.warning or warning
                if cursor is None:
                    return messages, True, warning
        return messages, False, warning

    # -- planning -----------------------------------------------------------------------------------------------------

    def plan(self, request: PlanRequest) -> dict[str, Any]:
        """Make a plan and keep it."""
        check_request(request)
        queue = self.find(request.dead_letters)
        self._check_rights(queue.cluster)
        request = replace(request, dead_letters=queue.id)
        survey = self._survey(queue, request)
        body = make_plan(
            str(uuid.uuid4()), self._clock.now(), queue, request, survey, per_second=_PER_SECOND[queue.system]
        )
        kept = {**body, "samples": []}  # bodies of messages do not lie in the database
        self._journal.add_plan(
            StoredPlan(body["id"], body["hash"], queue.id, body["created_at"], body["expires_at"], kept)
        )
        return body

    def planned(self, id_: str) -> dict[str, Any]:
        """Return a plan that was made."""
        plan = self._journal.plan(id_)
        return {**plan.body, "id": plan.id, "hash": plan.hash}

    def _survey(self, queue: DeadLetterQueue, request: PlanRequest) -> Survey:
        bus = self.bus_of(queue.cluster)
        with _broker_errors():
            survey = bus.survey(queue.queue, request, self._within(_SURVEY_SECONDS))
            if request.select is None or not isinstance(bus, CountsSelected):
                return survey
            selected = selected_by(request.select, request.positions, self._clock.now)
            deadline = self._within(_COUNT_SECONDS)
            count, exact, samples = bus.count_selected(queue.queue, survey.bounds, selected, deadline)
        return replace(survey, count=count, count_is_exact=exact, samples=tuple(samples))

    def _check_rights(self, cluster: str) -> None:
        configured = self._clusters.get(cluster)
        if configured is None or configured.redrive is None:
            raise ReadOnly(f"{cluster} is read-only: its configuration has no `redrive` section", cluster=cluster)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def start(self, plan_id: str, hash_: str, key: str | None, actor: Actor) -> tuple[dict[str, Any], bool]:
        """Start a plan's job; True beside it when it is new, False when it had been started already."""
        plan = self._journal.plan(plan_id)
        if hash_ != plan.hash:
            raise Conflict("the hash is not that of the plan; make a new plan and look at it", plan=plan_id)
        self._check_rights(str(plan.body["cluster"]))
        started = self._started(plan, key)
        if started is not None:
            return self._tell(started), False
        self._check_plan(plan)
        counts = Counts(planned=int(plan.body["count"]), left=int(plan.body["count"]))
        job = StoredJob(
            id=str(uuid.uuid4()),
            sequence=0,
            plan=plan.id,
            dead_letters=plan.dead_letters,
            idempotency_key=key,
            actor=actor.name,
            state=JobState.PLANNED,
            reason=None,
            wanted="run",
            rate_per_second=plan.body["rate"],
            counts=counts,
            interruptions=0,
            resent=0,
            reached={},
            created_at=self._clock.now(),
            started_at=None,
            ended_at=None,
        )
        stored, new = self._journal.add_job(job)
        if new:
            self._write(actor, "redrive.start", stored, plan)
            self._wake()
        return self._tell(stored), new

    def _started(self, plan: StoredPlan, key: str | None) -> StoredJob | None:
        found = self._journal.find_started(plan.id, key)
        if found is not None and found.plan != plan.id:
            raise Conflict("this Idempotency-Key belongs to another request", job=found.id)
        return found

    def _check_plan(self, plan: StoredPlan) -> None:
        if self._clock.now() > plan.expires_at:
            raise Conflict("the plan has expired; make a new one", plan=plan.id)
        if plan.body["blockers"]:
            raise Conflict(
                f"the plan cannot be carried out: {plan.body['blockers'][0]}", blockers=plan.body["blockers"]
            )
        bus = self.bus_of(str(plan.body["cluster"]))
        with _broker_errors():
            request = read_request(plan.body["request"])
            survey = bus.survey(str(plan.body["source"]), request, self._within(_SURVEY_SECONDS))
        drift = find_drift(plan.body, survey)
        if drift is not None:
            raise Conflict(f"the queue has changed since the plan was made: {drift}; make a new plan", plan=plan.id)

    def steer(self, id_: str, wanted: str, actor: Actor) -> dict[str, Any]:
        """Pause, resume or cancel a job."""
        job = self._journal.job(id_)
        value = {"pause": "pause", "resume": "run", "cancel": "cancel"}[wanted]
        if wanted == "resume" and (job.reason or "").startswith("circuit_open"):
            value = "overrule"
        stored = self._journal.want(id_, value)
        self._write(actor, f"redrive.{wanted}", stored)
        self._wake()
        return self._tell(stored)

    def recover(self, id_: str, actor: Actor) -> dict[str, Any]:
        """Have an interrupted job tried again now, instead of after its pause."""
        job = self._journal.job(id_)
        if job.state in FINAL_STATES:
            raise Conflict(f"job {id_} is {job.state}; there is nothing to recover")
        self._write(actor, "redrive.recover", job)
        self._wake()
        return self._tell(job)

    def set_rate(self, id_: str, rate: float | None, actor: Actor) -> dict[str, Any]:
        """Change a job's rate; None is without limit."""
        if rate is not None and not 0 < rate <= 1_000_000:
            raise BadRequest("rate: must be above 0 (messages a second); to hold a job, pause it", parameter="rate")
        if self._journal.job(id_).state in FINAL_STATES:
            raise Conflict(f"job {id_} has ended")
        self._journal.update_job(id_, rate_per_second=rate)
        stored = self._journal.job(id_)
        self._write(actor, "redrive.rate", stored, rate=rate)
        self._wake()
        return self._tell(stored)

    def job(self, id_: str) -> dict[str, Any]:
        """Return a job."""
        return self._tell(self._journal.job(id_))

    def jobs(self, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return jobs, the newest first."""
        found = self._journal.jobs(limit + 1, _read_cursor(cursor))
        items = [self._tell(job) for job in found[:limit]]
        return {"items": items, "next": str(found[limit - 1].sequence) if len(found) > limit else None}

    def items(self, id_: str, limit: int, cursor: str | None, outcome: str | None) -> dict[str, Any]:
        """Return a job's single messages: on Kafka those that were not sent, elsewhere all that were touched."""
        self._journal.job(id_)
        if outcome is not None and outcome not in set(Outcome):
            raise BadRequest(f"outcome: must be one of {', '.join(Outcome)}", parameter="outcome")
        found = self._journal.items(id_, limit + 1, cursor, outcome)
        items = [_tell_item(it) for it in found[:limit]]
        return {"items": items, "next": found[limit - 1].position if len(found) > limit else None}

    def report(self, id_: str) -> dict[str, Any]:
        """Return a job with all that is known of what became of its messages."""
        job = self._journal.job(id_)
        plan = self._journal.plan(job.plan)
        told = self._tell(job)
        counts = told["counts"]
        reasons = self._journal.count_reasons(id_)
        return {
            **told,
            "adds_up": counts["planned"] == sum(number for name, number in counts.items() if name != "planned"),
            "plan": {k: v for k, v in plan.body.items() if k not in ("bounds", "samples")},
            "interruptions": job.interruptions,
            "sent_again": job.resent,
            "at_most_duplicates": job.interruptions * int(plan.body["max_duplicates_per_interruption"]),
            "reasons": reasons,
            "ranges": self._journal.ranges(id_),
            "consumers": _tell_consumers(counts),
        }

    def read_audit(self, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return audit records, the newest first."""
        found = self.audit.read(limit + 1, _read_cursor(cursor))
        return {"items": list(found[:limit]), "next": str(found[limit - 1]["sequence"]) if len(found) > limit else None}

    def verify_audit(self) -> Verification:
        """Check the chain of audit records."""
        return self.audit.verify()

    def _tell(self, job: StoredJob) -> dict[str, Any]:
        plan = self._journal.plan(job.plan).body
        return {
            "id": job.id,
            "state": job.state,
            "reason": job.reason,
            "dead_letters": job.dead_letters,
            "system": plan["system"],
            "cluster": plan["cluster"],
            "source": plan["source"],
            "target": plan["target"],
            "guarantee": plan["guarantee"],
            "rate": job.rate_per_second,
            "wanted": job.wanted,
            "counts": asdict(job.counts),
            "sent_per_second": self._speed(job),
            "plan_id": job.plan,
            "created_by": job.actor,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "ended_at": job.ended_at,
        }

    def _speed(self, job: StoredJob) -> float | None:
        if job.started_at is None:
            return None
        seconds = (job.ended_at or self._clock.now()) - job.started_at
        return round((job.counts.sent + job.counts.bounced) / seconds, 1) if seconds > 0 else None

    def _write(self, actor: Actor, operation: str, job: StoredJob, plan: StoredPlan | None = None, **more: Any) -> None:
        body = (plan or self._journal.plan(job.plan)).body
        told = {
            "job": job.id,
            "plan_hash": hash_plan(body),
            "cluster": body["cluster"],
            "source": body["source"],
            "target": body["target"],
            "select": body["request"]["select"],
            "planned": job.counts.planned,
            "guarantee": body["guarantee"],
        }
        self.audit.write(actor, operation, "allowed", **told, **more)

    def _within(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except BrokerError as error:
        raise BrokerFailed(str(error), reason=error.reason) from error


def _tell_group(exception: str, message: str, members: Sequence[DeadMessage]) -> dict[str, Any]:
    times = [it.enqueued_at for it in members if it.enqueued_at is not None]
    origins = Counter(it.origin.name for it in members if it.origin)
    return {
        "exception": exception or None,
        "message": message or None,
        "messages": len(members),
        "first_at": min(times, default=None),
        "last_at": max(times, default=None),
        "origins": [name for name, _ in origins.most_common(5)],
        "positions": [it.position for it in members[:5]],
    }


def _tell_item(it: Item) -> dict[str, Any]:
    return {
        "position": it.position,
        "redrive_id": it.redrive_id or None,
        "stage": it.stage,
        "outcome": it.outcome,
        "at_target": it.at_target or None,
        "reason": it.reason or None,
        "coordinates": dict(it.coordinates or {}),
    }


def _tell_consumers(counts: Mapping[str, int]) -> dict[str, int]:
    """Say what the consumers did with what was sent, as far as it can be known: only what comes back is known."""
    return {"bounced": counts["bounced"], "unknown": counts["sent"]}


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isdigit():
        raise BadRequest("cursor: is none of this list", parameter="cursor")
    return int(cursor)
