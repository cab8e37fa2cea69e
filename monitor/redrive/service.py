"""What people can do about dead letters: plan, start, steer, approve, read the report. Writes the audit.

Everything here raises RequestErrors for what cannot be met, with a broker's own errors as BrokerFailed. To look at dead
letters is `looking`, what is set aside or removed `shelving`.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.errors import BadRequest, Conflict, Gone, NotAllowed, RequestError
from monitor.letters import Action, CountsSelected, KeepsArchive, Outcome, PlanRequest, Survey
from monitor.model import ClusterView, DeadLetterQueue
from monitor.redrive.approvals import NOT_APPROVED, check_approver, has_expired, why_approval
from monitor.redrive.audit import ENGINE, Actor, Verification
from monitor.redrive.buses import Buses, Opener, broker_errors
from monitor.redrive.engine import Engine
from monitor.redrive.journal import StoredJob, StoredPlan
from monitor.redrive.knowledge import Knowledge, Marks
from monitor.redrive.looking import Letters
from monitor.redrive.messages import tell_message
from monitor.redrive.model import FINAL_STATES, Counts, JobState
from monitor.redrive.pacing import check_rate
from monitor.redrive.paging import NEWEST_FIRST, Order, read_number
from monitor.redrive.plans import check_request, count_of, find_drift, hash_payload, hash_plan, make_plan, read_request
from monitor.redrive.refusals import Refusals
from monitor.redrive.selection import selected_by
from monitor.redrive.shelving import Shelf
from monitor.redrive.stores import Stores
from monitor.redrive.surroundings import Surroundings
from monitor.redrive.telling import adds_up, tell_consumers, tell_item, tell_job, tell_plan, tell_refusal
from monitor.storage.history import Curves

_SURVEY_SECONDS = 20.0
_COUNT_SECONDS = 15.0
_PER_SECOND = {"kafka": 40_000.0, "rabbitmq": 5_000.0, "sqs": 1_000.0, "sns": 1_000.0}
_OVERRULED = ("circuit_open", "target_backpressure")


class Redrives:
    """All of it, for one monitor. Thread-safe."""

    def __init__(
        self,
        configuration: Configuration,
        stores: Stores,
        views: Callable[[], Iterable[ClusterView]],
        opener: Opener,
        clock: Clock,
        curves: Curves | None = None,
        marks: Marks | None = None,
        schemas: Schemas | None = None,
    ) -> None:
        self._approvals, self._mapped = configuration.approvals, configuration.dead_letters
        self._stores, self._journal, self.audit, self._clock = stores, stores.journal, stores.audit, clock
        self.refusals = Refusals(stores.audit, clock)
        self.buses = Buses(configuration.clusters, views, opener, clock)
        knowledge = Knowledge(stores.journal, views, curves, marks, clock, schemas)
        self.letters = Letters(
            self.buses, configuration.masking, stores.exports, stores.audit, clock, knowledge, schemas
        )
        self.shelf = Shelf(self.buses, self.letters, stores, clock)
        self.surroundings = Surroundings(views)
        self._wake: Callable[[], None] = lambda: None

    def attach(self, engine: Engine) -> None:
        """Tell which engine carries the jobs out."""
        self._wake = engine.wake

    def close(self) -> None:
        """Let go of all connections."""
        self.buses.close()

    def reconfigure(self, configuration: Configuration) -> None:
        """Go on by another configuration. A job whose cluster has changed is interrupted, and recovers by itself."""
        self._approvals = configuration.approvals
        self.letters.masking = configuration.masking
        mapped, self._mapped = self._mapped, configuration.dead_letters
        self.buses.reconfigure(configuration.clusters, anew=mapped != self._mapped)

    def now(self) -> float:
        """Return the time from which ages in requests are counted."""
        return self._clock.now()

    # -- planning -----------------------------------------------------------------------------------------------------

    def plan(self, request: PlanRequest, actor: Actor) -> dict[str, Any]:
        """Make a plan and keep it."""
        with self._refusals(actor, "redrive.plan", dead_letters=request.dead_letters):
            check_request(request, self._clock.now())
            queue = self.buses.find(request.dead_letters)
            self.buses.check_rights(queue.cluster)
            hidden = self.letters.hidden_from(actor, queue.id)
            if request.patch and hidden:
                raise NotAllowed("to edit bodies needs the right to see them, which this token does not have")
            request = replace(request, dead_letters=queue.id, masked=hidden)
            survey = self._survey(queue, request)
            causes = self.letters.causes_of(queue, request, survey)
        body = make_plan(
            str(uuid.uuid4()),
            self._clock.now(),
            queue,
            request,
            survey,
            per_second=_PER_SECOND[queue.system],
            approval=why_approval(self._approvals, queue.id, count_of(request, survey)),
            causes=causes,
        )
        kept = {**body, "samples": []}  # bodies of messages do not lie in the database
        self._journal.add_plan(
            StoredPlan(body["id"], body["hash"], queue.id, body["created_at"], body["expires_at"], kept)
        )
        return body

    def planned(self, id_: str, actor: Actor) -> dict[str, Any]:
        """Return a plan that was made."""
        plan = self._journal.plan(id_)
        return {**tell_plan(plan.body, bodies=actor.bodies), "id": plan.id, "hash": plan.hash}

    def _survey(self, queue: DeadLetterQueue, request: PlanRequest) -> Survey:
        if request.action == Action.RESTORE:
            return self.shelf.survey_restore(queue, request)
        bus = self.buses.of(queue.cluster)
        with broker_errors():
            survey = bus.survey(queue.queue, request, self.buses.within(_SURVEY_SECONDS))
            if request.filtered and isinstance(bus, CountsSelected):
                selected = selected_by(request, self._clock.now)
                deadline = self.buses.within(_COUNT_SECONDS)
                count, exact, samples = bus.count_selected(queue.queue, survey.bounds, selected, deadline)
                survey = replace(survey, count=count, count_is_exact=exact, samples=tuple(samples))
            elif request.selective and not isinstance(bus, CountsSelected):
                survey = self._narrow(request, survey)
        needs_archive = request.action == Action.ARCHIVE or request.patch
        if needs_archive and not isinstance(bus, KeepsArchive) and not self._stores.archive.usable:
            told = "What is set aside, and the originals of edited bodies, could not be kept: archive.keys is empty."
            survey = replace(survey, blockers=(*survey.blockers, told))
        return survey

    def _narrow(self, request: PlanRequest, survey: Survey) -> Survey:
        """Say of a selection what can be said where nobody may look for it: at most so many, and which samples fit."""
        count = min(survey.count, len(request.positions)) if request.positions else survey.count
        selected = selected_by(request, self._clock.now)
        samples = tuple(message for message in survey.samples if selected(message))
        return replace(survey, count=count, count_is_exact=False, samples=samples)

    # -- starting -----------------------------------------------------------------------------------------------------

    def start(
        self, plan_id: str, hash_: str, key: str | None, actor: Actor, note: str | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Start a plan's job; True beside it when it is new, False when it had been started already."""
        with self._refusals(actor, "redrive.start", plan=plan_id) as told:
            plan = self._journal.plan(plan_id)
            told["dead_letters"] = plan.dead_letters
            if hash_ != plan.hash:
                raise Conflict("the hash is not that of the plan; make a new plan and look at it", plan=plan_id)
            self.buses.check_rights(str(plan.body["cluster"]))
            started = self._started(plan, key)
            if started is not None:
                return self._tell(started), False
            self._check_fresh(plan)
            self._check_drift(plan)
            stored, new = self._journal.add_job(self._new_job(plan, key, actor))
            _check_same(stored, plan)  # of two at once with one key, the other may have come first
        if new:
            self._write(actor, "redrive.start", stored, plan, note=note)
            self._wake()
        return self._tell(stored), new

    def _new_job(self, plan: StoredPlan, key: str | None, actor: Actor) -> StoredJob:
        count, request = int(plan.body["count"]), read_request(plan.body["request"])
        approval = why_approval(self._approvals, plan.dead_letters, count)
        return StoredJob(
            id=str(uuid.uuid4()),
            sequence=0,
            plan=plan.id,
            dead_letters=plan.dead_letters,
            idempotency_key=key,
            actor=actor.name,
            state=JobState.AWAITING_APPROVAL if approval else JobState.PLANNED,
            reason=approval,
            wanted="run",
            rate_per_second=plan.body["rate"],
            counts=Counts(planned=count, left=count),
            interruptions=0,
            resent=0,
            reached={},
            created_at=self._clock.now(),
            started_at=None,
            ended_at=None,
            action=request.action,
            archive=request.archive,
            approval=approval,
        )

    def _started(self, plan: StoredPlan, key: str | None) -> StoredJob | None:
        found = self._journal.find_started(plan.id, key)
        if found is not None:
            _check_same(found, plan)
        return found

    def _check_fresh(self, plan: StoredPlan) -> None:
        if self._clock.now() > plan.expires_at:
            raise Conflict("the plan has expired; make a new one", plan=plan.id)
        if plan.body["blockers"]:
            raise Conflict(
                f"the plan cannot be carried out: {plan.body['blockers'][0]}", blockers=plan.body["blockers"]
            )

    def _check_drift(self, plan: StoredPlan) -> None:
        request = read_request(plan.body["request"])
        queue = self.buses.find(plan.dead_letters)
        if request.action == Action.RESTORE:
            survey = self.shelf.survey_restore(queue, request)
        else:
            with broker_errors():
                survey = self._survey_again(plan, queue, request)
        drift = find_drift(plan.body, survey)
        if drift is not None:
            raise _drifted(plan, drift)

    def _survey_again(self, plan: StoredPlan, queue: DeadLetterQueue, request: PlanRequest) -> Survey:
        deadline = self.buses.within(_SURVEY_SECONDS)
        try:
            return self.buses.of(queue.cluster).survey(queue.queue, request, deadline)
        except Gone as error:  # which the collector has not seen yet
            raise _drifted(plan, str(error)) from error

    # -- steering -----------------------------------------------------------------------------------------------------

    def approve(self, id_: str, actor: Actor) -> dict[str, Any]:
        """Let a job begin that waits for a second person: somebody else than who started it."""
        with self._about(id_, actor, "redrive.approve") as job:
            check_approver(job, actor, self._clock.now())
            self._check_drift(self._journal.plan(job.plan))
            approved = {"approved_by": actor.name, "approved_at": self._clock.now()}
            stored = self._journal.change_state(
                id_, JobState.AWAITING_APPROVAL, state=JobState.PLANNED, reason=None, **approved
            )
        self._write(actor, "redrive.approve", stored)
        self._wake()
        return self._tell(stored)

    def steer(self, id_: str, wanted: str, actor: Actor) -> dict[str, Any]:
        """Pause, resume or cancel a job."""
        with self._about(id_, actor, f"redrive.{wanted}") as job:
            if job.state == JobState.AWAITING_APPROVAL:
                stored = self._give_up(job, wanted)
            else:
                value = {"pause": "pause", "resume": "run", "cancel": "cancel"}[wanted]
                if wanted == "resume" and (job.reason or "").startswith(_OVERRULED):
                    value = "overrule"
                stored = self._journal.want(id_, value)
        self._write(actor, f"redrive.{wanted}", stored)
        self._wake()
        return self._tell(stored)

    def _give_up(self, job: StoredJob, wanted: str) -> StoredJob:
        if wanted != "cancel":
            raise Conflict(f"job {job.id} waits for a second person: approve or cancel it", job=job.id)
        return self._end_waiting(job, "not approved")

    def _end_waiting(self, job: StoredJob, reason: str) -> StoredJob:
        ended = {"state": JobState.CANCELLED, "reason": reason, "ended_at": self._clock.now()}
        return self._journal.change_state(job.id, JobState.AWAITING_APPROVAL, **ended)

    def expire(self) -> None:
        """End jobs that waited too long for a second person, delete what is due, tell how often was refused what."""
        self.refusals.tell()
        for job in self._journal.unfinished():
            if has_expired(job, self._clock.now()):
                with suppress(Conflict):  # somebody has approved or cancelled it meanwhile
                    self._end_waiting(job, NOT_APPROVED)
                    self.audit.write(ENGINE, "redrive.end", JobState.CANCELLED, job=job.id, reason=NOT_APPROVED)
        self.shelf.expire()

    def recover(self, id_: str, actor: Actor) -> dict[str, Any]:
        """Have an interrupted job tried again now, instead of after its pause."""
        with self._about(id_, actor, "redrive.recover") as job:
            if job.state in FINAL_STATES:
                raise Conflict(f"job {id_} is {job.state}; there is nothing to recover")
        self._write(actor, "redrive.recover", job)
        self._wake()
        return self._tell(job)

    def set_rate(self, id_: str, rate: float | None, actor: Actor) -> dict[str, Any]:
        """Change a job's rate; None is without limit."""
        with self._about(id_, actor, "redrive.rate") as job:
            check_rate(rate)
            if job.state in FINAL_STATES:
                raise Conflict(f"job {id_} has ended")
            self._journal.update_job(id_, rate_per_second=rate)
        stored = self._journal.job(id_)
        self._write(actor, "redrive.rate", stored, rate=rate)
        self._wake()
        return self._tell(stored)

    # -- telling ------------------------------------------------------------------------------------------------------

    def job(self, id_: str) -> dict[str, Any]:
        """Return a job."""
        return self._tell(self._journal.job(id_))

    def jobs(
        self, limit: int, cursor: str | None, dead_letters: str | None = None, order: Order = NEWEST_FIRST
    ) -> dict[str, Any]:
        """Return jobs; those of one queue where it is named."""
        found = self._journal.jobs(limit + 1, read_number(cursor), dead_letters, order)
        items = [self._tell(job) for job in found[:limit]]
        return {"items": items, "next": str(found[limit - 1].sequence) if len(found) > limit else None}

    def items(self, id_: str, limit: int, cursor: str | None, outcome: str | None) -> dict[str, Any]:
        """Return a job's single messages: on Kafka those that were not sent, elsewhere all that were touched."""
        self._journal.job(id_)
        if outcome is not None and outcome not in set(Outcome):
            raise BadRequest(f"outcome: must be one of {', '.join(Outcome)}", parameter="outcome")
        found, following = self._journal.items(id_, limit, cursor, outcome)
        edits = self._stores.edits.hashes(id_, [it.position for it in found])
        return {"items": [tell_item(it, edits.get(it.position)) for it in found], "next": following}

    def originals(self, id_: str, limit: int, cursor: str | None, actor: Actor) -> dict[str, Any]:
        """Return messages as they were before a job changed them."""
        job = self._journal.job(id_)
        hidden = self.letters.hidden_from(actor, job.dead_letters)
        found = self._stores.edits.page(id_, limit + 1, cursor)
        items = [
            {
                "position": it.position,
                "before_sha256": it.before_sha256,
                "after_sha256": it.after_sha256,
                "letter": None if it.original is None else tell_message(it.original, hidden),
            }
            for it in found[:limit]
        ]
        return {"items": items, "next": found[limit - 1].position if len(found) > limit else None}

    def report(self, id_: str, actor: Actor) -> dict[str, Any]:
        """Return a job with all that is known of what became of its messages."""
        job = self._journal.job(id_)
        plan = self._journal.plan(job.plan).body
        ranges = self._journal.ranges(id_)
        readers = self.surroundings.judge_readers(plan, job.counts, ranges, job.ended_at)
        return {
            **self._tell(job),
            "adds_up": adds_up(job.counts),
            "plan": {k: v for k, v in tell_plan(plan, bodies=actor.bodies).items() if k not in ("bounds", "samples")},
            "interruptions": job.interruptions,
            "sent_again": job.resent,
            "at_most_duplicates": job.interruptions * int(plan["max_duplicates_per_interruption"]),
            "reasons": self._journal.count_reasons(id_),
            "ranges": ranges,
            "consumers": tell_consumers(job.counts, readers, job.may_have_bounced or 0),
            "subscribers": readers,
            "may_have_bounced": job.may_have_bounced,
            "edits": self._stores.edits.digest(id_),
        }

    def read_audit(self, limit: int, cursor: str | None, order: Order = NEWEST_FIRST) -> dict[str, Any]:
        """Return audit records."""
        found = self.audit.read(limit + 1, read_number(cursor), order)
        return {"items": list(found[:limit]), "next": str(found[limit - 1]["sequence"]) if len(found) > limit else None}

    def verify_audit(self) -> Verification:
        """Check the chain of audit records."""
        return self.audit.verify()

    def _tell(self, job: StoredJob) -> dict[str, Any]:
        return tell_job(job, self._journal.plan(job.plan).body, self._clock.now())

    @contextmanager
    def _about(self, id_: str, actor: Actor, operation: str) -> Iterator[StoredJob]:
        """Give the job that somebody wants something of."""
        with self._refusals(actor, operation, job=id_) as told:
            job = self._journal.job(id_)
            told["dead_letters"] = job.dead_letters
            yield job

    @contextmanager
    def _refusals(self, actor: Actor, operation: str, **told: Any) -> Iterator[dict[str, Any]]:
        """Write down who was refused what, and why; gives what is told beside it, to be added to."""
        try:
            yield told
        except RequestError as error:
            self.audit.write(actor, operation, "refused", error=tell_refusal(error), **told)
            raise

    def _write(self, actor: Actor, operation: str, job: StoredJob, plan: StoredPlan | None = None, **more: Any) -> None:
        body = (plan or self._journal.plan(job.plan)).body
        told = {
            "job": job.id,
            "action": job.action,
            "plan_hash": hash_plan(body),
            "cluster": body["cluster"],
            "dead_letters": job.dead_letters,
            "source": body["source"],
            "target": body["target"],
            "select_sha256": hash_payload(body["request"]["select"]),
            "reason": body.get("reason") or None,
            "patch_sha256": hash_payload(body["request"]["patch"]),
            "planned": job.counts.planned,
            "guarantee": body["guarantee"],
            "approved_by": job.approved_by,
        }
        self.audit.write(actor, operation, "allowed", **told, **more)


def _drifted(plan: StoredPlan, drift: str) -> Conflict:
    return Conflict(f"the queue has changed since the plan was made: {drift}; make a new plan", plan=plan.id)


def _check_same(job: StoredJob, plan: StoredPlan) -> None:
    if job.plan != plan.id:
        raise Conflict("this Idempotency-Key belongs to another request", job=job.id)
