"""Carries one job out: opens what moves its messages, keeps the journal, looks what is wanted and what comes back."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from monitor.clock import Clock
from monitor.errors import (
    BadAnswer,
    BrokerError,
    EventflowError,
    LeaseLost,
    ReadOnly,
    StorageError,
    Throttled,
    TimedOut,
)
from monitor.letters import Action, Choose, Held, Job, KeepsArchive, Mover, PlanRequest, RedriveBus, Step, TakesBack
from monitor.logs import about
from monitor.redrive.archive import ArchivingHeld, RestoringHeld
from monitor.redrive.audit import Actor
from monitor.redrive.bounces import Arrivals, BounceWatch
from monitor.redrive.choosing import Edits, make_chooser
from monitor.redrive.claims import Claims
from monitor.redrive.failures import Failures
from monitor.redrive.gates import Gate, Obstacle
from monitor.redrive.journal import StoredJob
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import FINAL_STATES, Counts, JobState
from monitor.redrive.pacing import Pace
from monitor.redrive.plans import read_request
from monitor.redrive.stores import Stores
from monitor.redrive.surroundings import Surroundings
from monitor.redrive.telling import CANARY_SECONDS

_LOG = logging.getLogger(__name__)

BATCH = 5_000
BATCH_TO_EVALUATE = 500
"""Messages of a step that an expression or a patch is evaluated on: even slow ones end before a transaction must."""

_LISTEN_SECONDS = 0.25
_WAIT_SECONDS = 1.0
_JOURNAL_SECONDS = 0.25
_STEP_SECONDS = 20.0
_VERIFY_SECONDS = 2.0
_LOOK_AT_CANARY_SECONDS = 1.0
_ENGINE = Actor("eventflow", "engine")
_AT_WORK = frozenset({JobState.CANARY, JobState.RUNNING, JobState.RECOVERING, JobState.VERIFYING})


@dataclass(frozen=True, slots=True)
class Means:
    """What jobs are carried out with.

    `bus_of` gives the redrive side of a cluster by its configured name, another one when that has changed. It raises
    ReadOnly where nothing may be redriven any more, BadAnswer where the cluster is not configured.
    """

    stores: Stores
    claims: Claims
    bus_of: Callable[[str], RedriveBus]
    surroundings: Surroundings
    clock: Clock


@dataclass(slots=True)
class _Progress:
    """What has been done and does not stand in the journal yet."""

    moved: int = 0
    expired: int = 0
    reached: Mapping[str, Any] | None = None
    ranges: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """One attempt at a job."""

    plan: Mapping[str, Any]
    request: PlanRequest
    bus: RedriveBus
    mover: Mover
    pace: Pace
    gate: Gate
    bounces: BounceWatch
    keep_edits: Callable[[], None]

    @property
    def canary(self) -> int | None:
        """Return how many go first."""
        return self.request.canary


class _Halt(Exception):
    """Leave the loop: the job has another state now."""


class Runner(threading.Thread):
    """Carries one job out, as far as it gets."""

    def __init__(self, job: str, means: Means, stopping: threading.Event) -> None:
        super().__init__(name=f"redrive-{job[:8]}", daemon=True)
        self._job, self._means, self._stopping = job, means, stopping
        self._journal, self._audit, self._clock = means.stores.journal, means.stores.audit, means.clock
        self.wake = threading.Event()
        self._failures = Failures()
        self._listened_at = self._journaled_at = float("-inf")
        self._pending = _Progress()
        self._counts = Counts()

    def run(self) -> None:
        """Go on until the job has ended, the monitor ends, or somebody else has it. Events in the log name the job."""
        with about(job=self._job):
            self._run()

    def _run(self) -> None:
        claims = self._means.claims
        try:
            while not self._stopping.is_set() and claims.holds(self._job):
                with suppress(StorageError):
                    if self._journal.job(self._job).state in FINAL_STATES:
                        return
                self._try()
        finally:
            claims.release(self._job)

    # -- one attempt --------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        """Carry out until something ends it; what a broker or the database refuses is tried again after a while."""
        try:
            self._carry_out()
        except _Halt:
            self._failures.forget()
        except EventflowError as error:
            self._interrupt(error)
        except Exception:  # noqa: BLE001
            # The edge that scores a job: whatever a library raises, the job is kept and tried again.
            _LOG.exception("a redrive job failed inside")
            self._interrupt(BadAnswer("something failed inside the monitor; its log says what"))

    def _interrupt(self, error: EventflowError) -> None:
        reason = str(error)
        _LOG.warning("a redrive job was interrupted: %s", reason)
        self._failures.add(error)
        hopeless = isinstance(error, BadAnswer) and self._failures.is_hopeless
        permanent = isinstance(error, BrokerError) and error.permanent
        with suppress(StorageError):
            job = self._journal.job(self._job)
            if permanent or hopeless:
                self._end(JobState.FAILED, reason)
                return
            if isinstance(error, LeaseLost) and self._failures.is_hopeless:
                self._journal.want(self._job, "pause")
                self._journal.update_job(self._job, state=JobState.PAUSED, reason=f"lease_lost: {reason}")
            elif isinstance(error, Throttled):
                self._journal.update_job(self._job, state=JobState.PAUSED, reason=f"target_backpressure: {reason}")
            elif isinstance(error, ReadOnly):
                self._journal.update_job(self._job, state=JobState.PAUSED, reason=f"read_only: {reason}")
            else:
                again = job.interruptions + 1
                self._journal.update_job(self._job, state=JobState.INTERRUPTED, reason=reason, interruptions=again)
        self._rest(self._failures.backoff_seconds)

    def _carry_out(self) -> None:
        stored = self._journal.job(self._job)
        plan = self._journal.plan(stored.plan).body
        request = read_request(plan["request"])
        gate = Gate(plan, request, self._means.surroundings)
        stored = self._wait_until_wanted(gate)
        bus = self._means.bus_of(plan["cluster"])
        began = stored.started_at is not None
        state = JobState.RECOVERING if began else _first_state(stored, request)
        changes: dict[str, Any] = {} if began else {"started_at": self._clock.now()}
        if began and stored.state in _AT_WORK:  # whoever was at it could not even write that it ended
            changes["interruptions"] = stored.interruptions + 1
        self._journal.update_job(self._job, state=state, reason=None, **changes)
        self._pending, self._counts = _Progress(), stored.counts
        task = self._open(stored, plan, request, bus, gate)
        try:
            if not began:
                self._journal.update_job(self._job, arrivals_before=task.bounces.begin())
            self._take(task, task.mover.recover(self._clock.monotonic() + _STEP_SECONDS), flush=True)
            if began:
                task.bounces.go_on(self._counts)
            if began:
                self._journal.update_job(self._job, state=_first_state(stored, request))
            self._move(task, judged=stored.canary_verdict is not None)
        finally:
            with suppress(EventflowError):
                self._flush()
            task.mover.close()

    def _open(
        self, stored: StoredJob, plan: Mapping[str, Any], request: PlanRequest, bus: RedriveBus, gate: Gate
    ) -> _Task:
        job = Job(stored.id, request, plan["source"], plan["target"], plan["bounds"], stored.reached)
        edits, stores = Edits(), self._means.stores
        originals = stores.archive.usable and not isinstance(bus, KeepsArchive)

        def keep_edits() -> None:
            stores.edits.keep(stored.id, edits.take(), originals=originals)

        mover = self._open_mover(bus, job, make_chooser(job, self._clock.now, edits), keep_edits)
        arrivals = Arrivals(stored, plan, bus, mover, self._means.surroundings, self._clock)
        bounces = BounceWatch(stored, mover, arrivals, self._journal, self._clock)
        pace = Pace(stored.rate_per_second, self._clock.monotonic)
        return _Task(plan, request, bus, mover, pace, gate, bounces, keep_edits)

    def _open_mover(self, bus: RedriveBus, job: Job, choose: Choose, keep_edits: Callable[[], None]) -> Mover:
        archive, action = self._means.stores.archive, job.request.action
        opened: Mover | Held
        if action == Action.RESTORE and not isinstance(bus, KeepsArchive):
            if not isinstance(bus, TakesBack):
                raise BadAnswer("nothing can be put back into this queue", target=job.queue)
            opened = RestoringHeld(archive, job.request.archive or "", bus.open_return(job.queue))
        else:
            opened = bus.open(job, choose)
        if action == Action.ARCHIVE and isinstance(opened, Held):
            opened = ArchivingHeld(opened, archive, job)
        if isinstance(opened, Held):
            return JournaledMover(opened, self._journal, job, choose, self._clock, keep_edits)
        return opened

    # -- moving -------------------------------------------------------------------------------------------------------

    def _move(self, task: _Task, *, judged: bool) -> None:
        canary, first = task.canary, task.request.first
        batch = BATCH_TO_EVALUATE if task.request.select is not None or task.request.patch else BATCH
        while True:
            self._listen(task)
            done = _done(self._counts) + self._pending.moved + self._pending.expired
            if canary is not None and not judged and done >= canary:
                self._judge_canary(task, canary)
                judged = True
            left = batch if first is None else first - done
            if left <= 0:
                return self._verify(task, exhausted=False)
            if canary is not None and done < canary:
                left = min(left, canary - done)
            limit = task.pace.grant(min(batch, left))
            if limit == 0:
                self._rest(min(task.pace.wait_seconds(), _LISTEN_SECONDS))
                continue
            step = self._step(task.mover, limit)
            task.pace.spend(step.moved + len(step.fates))
            self._take(task, step)
            self._watch(task)
            if step.finished:
                return self._verify(task, exhausted=True)

    def _step(self, mover: Mover, limit: int) -> Step:
        try:
            step = mover.step(limit, self._clock.monotonic() + _STEP_SECONDS)
        except TimedOut:
            if isinstance(mover, JournaledMover) and mover.is_idle:
                return Step()  # what is on its way back to the queue may take longer than one step
            raise
        if step.moved or step.fates:
            self._failures.forget()
        return step

    def _take(self, task: _Task, step: Step, *, flush: bool = False) -> None:
        """Keep what a step did: at once where single messages have an outcome, otherwise a few times a second."""
        if isinstance(task.mover, JournaledMover):
            self._counts = self._journal.job(self._job).counts
            return
        task.keep_edits()
        it = self._pending
        it.moved += step.moved
        it.expired += step.expired
        it.reached = step.reached or it.reached
        it.ranges += step.ranges
        if step.resent:
            self._journal.put_items(self._job, (), self._clock.now(), resent=step.resent)
        now = self._clock.monotonic()
        if step.fates or flush or step.finished or now - self._journaled_at >= _JOURNAL_SECONDS:
            self._flush(step)

    def _flush(self, step: Step | None = None) -> None:
        it, self._pending = self._pending, _Progress()
        self._journaled_at = self._clock.monotonic()
        fates = step.fates if step else ()
        if fates or it.moved or it.expired or it.ranges or it.reached:
            try:
                self._counts = self._journal.record(
                    self._job,
                    self._clock.now(),
                    fates=fates,
                    moved=it.moved,
                    expired=it.expired,
                    reached=it.reached,
                    ranges=it.ranges,
                )
            except StorageError:
                self._pending = it
                raise

    # -- what comes back ----------------------------------------------------------------------------------------------

    def _watch(self, task: _Task) -> None:
        """Count what came back, and stop a job whose messages come back again and again."""
        if task.bounces.is_due:
            self._count_bounces(task)
            verdict = task.bounces.judge(self._counts)
            if verdict.is_bad:
                self._open_circuit(task, verdict.tell())

    def _count_bounces(self, task: _Task) -> None:
        ids = task.bounces.find()
        if ids:
            self._flush()
            self._counts = self._journal.count_bounced(self._job, ids, self._clock.now())

    def _open_circuit(self, task: _Task, told: str) -> None:
        if self._journal.job(self._job).wanted != "run":
            return  # somebody has seen it and wants the job to go on, or wants something else already
        # First, so that a job whose closing fails or is killed does not go on sending when it is taken up again.
        self._journal.want(self._job, "pause")
        self._flush()
        task.mover.close()  # what is on its way counts, too
        reason = f"circuit_open: {told}"
        self._journal.update_job(self._job, state=JobState.PAUSED, reason=reason)
        self._audit.write(_ENGINE, "redrive.pause", "done", job=self._job, reason=reason)
        raise _Halt

    def _judge_canary(self, task: _Task, canary: int) -> None:
        """Wait a little after the first messages; when enough of them come back, the job stops itself."""
        self._flush()
        until = self._clock.monotonic() + (task.request.canary_wait_seconds or CANARY_SECONDS)
        while self._clock.monotonic() < until:
            self._listen(task)
            self._watch(task)
            verdict = task.bounces.judge(self._counts, every=_LOOK_AT_CANARY_SECONDS)
            if verdict.is_bad_canary(canary):
                self._journal.update_job(self._job, canary_verdict="failed")
                self._open_circuit(task, f"canary: {verdict.tell()}")
                break
            self._rest(_LISTEN_SECONDS)
        else:
            self._journal.update_job(self._job, canary_verdict="passed" if task.bounces.can_tell else "unknown")
        self._journal.update_job(self._job, state=JobState.RUNNING)

    def _verify(self, task: _Task, *, exhausted: bool) -> None:
        """Look for a moment whether messages come back, then end the job: all is sent, so nothing is left to stop."""
        self._flush()
        self._journal.update_job(self._job, state=JobState.VERIFYING)
        until = self._clock.monotonic() + _VERIFY_SECONDS
        while task.bounces.is_prompt and self._clock.monotonic() < until and not self._stopping.is_set():
            self._count_bounces(task)
            self._rest(_LISTEN_SECONDS)
        task.bounces.judge(self._counts, every=0.0)
        counts = self._journal.close_counts(self._job, exhausted=exhausted)
        failures = counts.failed + counts.expired + counts.bounced + counts.ambiguous
        task.mover.close()
        self._end(JobState.COMPLETED_WITH_FAILURES if failures else JobState.COMPLETED, None)
        raise _Halt

    # -- what is wanted -----------------------------------------------------------------------------------------------

    def _listen(self, task: _Task) -> None:
        """Look a few times a second what is wanted. Raises _Halt when the job is not to go on."""
        if self._stopping.is_set():
            self._flush()
            self._journal.update_job(self._job, state=JobState.INTERRUPTED, reason="the monitor was ended")
            raise _Halt
        now = self._clock.monotonic()
        if now - self._listened_at < _LISTEN_SECONDS and not self.wake.is_set():
            return
        self.wake.clear()
        self._listened_at = now
        if not self._means.claims.holds(self._job):
            raise _Halt
        if self._means.bus_of(task.plan["cluster"]) is not task.bus:
            raise _Halt  # its cluster has another configuration now, by which it goes on
        stored = self._journal.job(self._job)
        task.pace.rate = stored.rate_per_second
        obstacle = task.gate.look(stored, self._clock.now(), now)
        if obstacle is not None:
            self._flush()
            if obstacle.state in FINAL_STATES:
                self._journal.update_job(self._job, state=JobState.CANCELLING)
            task.mover.close()
            self._stand(stored, obstacle)
            raise _Halt

    def _wait_until_wanted(self, gate: Gate) -> StoredJob:
        """Return when the job is to run. Raises _Halt when it is cancelled meanwhile, or the monitor ends."""
        while not self._stopping.is_set() and self._means.claims.holds(self._job):
            stored = self._journal.job(self._job)
            obstacle = gate.look(stored, self._clock.now(), self._clock.monotonic())
            if obstacle is None:
                return stored
            self._stand(stored, obstacle)
            if obstacle.state in FINAL_STATES:
                break
            self._rest(_WAIT_SECONDS)
        raise _Halt

    def _stand(self, stored: StoredJob, obstacle: Obstacle) -> None:
        if obstacle.state in FINAL_STATES:
            self._end(obstacle.state, obstacle.reason)
        elif (stored.state, stored.reason) != (obstacle.state, obstacle.reason):
            self._journal.update_job(self._job, state=obstacle.state, reason=obstacle.reason)

    def _end(self, state: JobState, reason: str | None) -> None:
        now = self._clock.now()
        edits = self._means.stores.edits.digest(self._job)
        self._journal.update_job(self._job, state=state, reason=reason, ended_at=now)
        counts = asdict(self._journal.job(self._job).counts)
        told = {"reason": reason, "counts": counts, "edits": edits if edits["messages"] else None}
        self._audit.write(_ENGINE, "redrive.end", state, job=self._job, **told)

    def _rest(self, seconds: float) -> None:
        if self.wake.wait(seconds):
            self.wake.clear()
            self._listened_at = float("-inf")


def _first_state(stored: StoredJob, request: PlanRequest) -> JobState:
    waits = request.canary is not None and stored.canary_verdict is None
    return JobState.CANARY if waits else JobState.RUNNING


def _done(counts: Counts) -> int:
    return counts.planned - counts.left
