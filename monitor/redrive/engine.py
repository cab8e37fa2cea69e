"""Runs the jobs: one thread each, taken up by itself at the start of the monitor and after every interruption.

A job belongs to the server. What people want of it (run, pause, cancel, another rate) stands in the database, so that
any monitor that shares it can be asked.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from monitor.clock import Clock
from monitor.errors import BadAnswer, BrokerError, EventflowError, LeaseLost, StorageError, Throttled, TimedOut
from monitor.letters import Held, Job, Mover, RedriveBus, SeesBounces, Step
from monitor.redrive.audit import Actor, Audit
from monitor.redrive.choosing import make_chooser
from monitor.redrive.claims import Claims
from monitor.redrive.journal import Journal, StoredJob
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import FINAL_STATES, Counts, JobState
from monitor.redrive.pacing import Pace
from monitor.redrive.plans import read_request

_LOG = logging.getLogger(__name__)

BATCH = 5_000
_LOOK_FOR_JOBS_SECONDS = 1.0
_LISTEN_SECONDS = 0.25
_JOURNAL_SECONDS = 0.25
_STEP_SECONDS = 20.0
_LOOK_FOR_BOUNCES_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_VERIFY_SECONDS = 2.0
_CANARY_SECONDS = 5.0
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.25, 5.0
_FEWEST_BOUNCES, _BOUNCED_SHARE = 10, 0.2
_HOPELESS_TRIES = 5
_ENGINE = Actor("eventflow", "engine")


class Engine:
    """All jobs of the monitor. `bus_of` gives the redrive side of a cluster by its configured name."""

    def __init__(
        self, journal: Journal, audit: Audit, claims: Claims, bus_of: Callable[[str], RedriveBus], clock: Clock
    ) -> None:
        self._journal, self._audit, self._claims, self._bus_of, self._clock = journal, audit, claims, bus_of, clock
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._runners: dict[str, _Runner] = {}
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name="redrive", daemon=True)

    def start(self) -> None:
        """Take up what is unfinished, and whatever comes."""
        self._supervisor.start()

    def stop(self, seconds: float) -> None:
        """Let every job come to a clean halt, if it does in time; the next start goes on with them either way."""
        until = self._clock.monotonic() + seconds
        self._stopping.set()
        self.wake()
        with self._lock:
            runners = list(self._runners.values())
        for runner in runners:
            runner.join(max(0.0, until - self._clock.monotonic()))
        self._claims.close()

    def wake(self) -> None:
        """Look for new jobs, and at what is wanted of the running ones, now."""
        self._wake.set()
        with self._lock:
            for runner in self._runners.values():
                runner.wake.set()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            with suppress(StorageError):
                for job in self._journal.unfinished():
                    self._take_up(job)
            self._wake.wait(_LOOK_FOR_JOBS_SECONDS)
            self._wake.clear()

    def _take_up(self, job: StoredJob) -> None:
        with self._lock:
            known = self._runners.get(job.id)
            if known is not None and known.is_alive():
                return
            if self._stopping.is_set() or not self._claims.take(job.id):
                return
            runner = _Runner(
                job.id, self._journal, self._audit, self._claims, self._bus_of, self._clock, self._stopping
            )
            self._runners[job.id] = runner
        runner.start()


@dataclass(slots=True)
class _Progress:
    """What has been done and does not stand in the journal yet."""

    moved: int = 0
    expired: int = 0
    reached: Mapping[str, Any] | None = None
    ranges: tuple[Mapping[str, Any], ...] = ()


class _Halt(Exception):
    """Leave the loop: the job has another state now."""


class _Runner(threading.Thread):
    """Carries one job out, as far as it gets."""

    def __init__(
        self,
        job: str,
        journal: Journal,
        audit: Audit,
        claims: Claims,
        bus_of: Callable[[str], RedriveBus],
        clock: Clock,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"redrive-{job[:8]}", daemon=True)
        self._job, self._journal, self._audit, self._claims = job, journal, audit, claims
        self._bus_of, self._clock, self._stopping = bus_of, clock, stopping
        self.wake = threading.Event()
        self._failures = 0
        self._listened_at = self._journaled_at = self._looked_at = float("-inf")
        self._pending = _Progress()
        self._counts = Counts()

    def run(self) -> None:
        """Go on until the job has ended, the monitor ends, or somebody else has the job."""
        try:
            while not self._stopping.is_set() and self._claims.holds(self._job):
                with suppress(StorageError):
                    if self._journal.job(self._job).state in FINAL_STATES:
                        return
                self._try()
        finally:
            self._claims.release(self._job)

    # -- one attempt --------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        """Carry out until something ends it; what a broker or the database refuses is tried again after a while."""
        try:
            self._carry_out()
        except _Halt:
            self._failures = 0
        except EventflowError as error:
            self._failures += 1
            self._interrupt(error)
        except Exception:  # noqa: BLE001
            # The edge that scores a job: whatever a library raises, the job is kept and tried again.
            _LOG.exception("a redrive job failed inside", extra={"job": self._job})
            self._failures += 1
            self._interrupt(BadAnswer("something failed inside the monitor; its log says what"))

    def _interrupt(self, error: EventflowError) -> None:
        reason = str(error)
        _LOG.warning("a redrive job was interrupted: %s", reason, extra={"job": self._job})
        hopeless = isinstance(error, BadAnswer) and self._failures >= _HOPELESS_TRIES
        permanent = isinstance(error, BrokerError) and error.permanent
        with suppress(StorageError):
            job = self._journal.job(self._job)
            if permanent or hopeless:
                self._end(JobState.FAILED, reason)
                return
            if isinstance(error, LeaseLost) and self._failures >= _HOPELESS_TRIES:
                self._journal.want(self._job, "pause")
                self._journal.update_job(self._job, state=JobState.PAUSED, reason=f"lease_lost: {reason}")
            elif isinstance(error, Throttled):
                self._journal.update_job(self._job, state=JobState.PAUSED, reason=f"target_backpressure: {reason}")
            else:
                again = job.interruptions + 1
                self._journal.update_job(self._job, state=JobState.INTERRUPTED, reason=reason, interruptions=again)
        self._rest(min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2 ** min(self._failures, 10)))

    def _carry_out(self) -> None:
        stored = self._wait_until_wanted()
        plan = self._journal.plan(stored.plan).body
        began = stored.started_at is not None
        state = JobState.RECOVERING if began else self._first_state(plan)
        changes: dict[str, Any] = {} if began else {"started_at": self._clock.now()}
        self._journal.update_job(self._job, state=state, reason=None, **changes)
        self._pending, self._counts = _Progress(), stored.counts
        job = Job(
            stored.id, read_request(plan["request"]), plan["source"], plan["target"], plan["bounds"], stored.reached
        )
        mover = self._open(plan, job)
        try:
            self._take(mover.recover(self._clock.monotonic() + _STEP_SECONDS), mover, flush=True)
            if began:
                self._journal.update_job(self._job, state=self._first_state(plan))
            self._move(mover, plan, Pace(stored.rate_per_second, self._clock.monotonic))
        finally:
            with suppress(EventflowError):
                self._flush()
            mover.close()

    def _open(self, plan: Mapping[str, Any], job: Job) -> Mover:
        opened = self._bus_of(plan["cluster"]).open(job, choose := make_chooser(job, self._clock.now))
        if isinstance(opened, Held):
            return JournaledMover(opened, self._journal, job, choose, self._clock)
        return opened

    def _first_state(self, plan: Mapping[str, Any]) -> JobState:
        canary = plan["canary"]
        return JobState.CANARY if canary is not None and _done(self._counts) < canary else JobState.RUNNING

    # -- moving -------------------------------------------------------------------------------------------------------

    def _move(self, mover: Mover, plan: Mapping[str, Any], pace: Pace) -> None:
        canary, first = plan["canary"], plan["request"]["first"]
        while True:
            self._listen(mover, pace)
            done = _done(self._counts) + self._pending.moved + self._pending.expired
            left = BATCH if first is None else first - done
            if left <= 0:
                return self._verify(mover, exhausted=False)
            if canary is not None and done < canary:
                left = min(left, canary - done)
            limit = pace.grant(min(BATCH, left))
            if limit == 0:
                self._rest(min(pace.wait_seconds(), _LISTEN_SECONDS))
                continue
            step = self._step(mover, limit)
            pace.spend(step.moved + len(step.fates))
            self._take(step, mover)
            self._watch(mover)
            if canary is not None and done < canary <= _done(self._counts) + self._pending.moved:
                self._judge_canary(mover, pace, canary)
            if step.finished:
                return self._verify(mover, exhausted=True)

    def _step(self, mover: Mover, limit: int) -> Step:
        try:
            step = mover.step(limit, self._clock.monotonic() + _STEP_SECONDS)
        except TimedOut:
            if isinstance(mover, JournaledMover) and mover.is_idle:
                return Step()  # what is on its way back to the queue may take longer than one step
            raise
        if step.moved or step.fates:
            self._failures = 0
        return step

    def _take(self, step: Step, mover: Mover, *, flush: bool = False) -> None:
        """Keep what a step did: at once where single messages have an outcome, otherwise a few times a second."""
        if isinstance(mover, JournaledMover):
            self._counts = self._journal.job(self._job).counts
            return
        it = self._pending
        it.moved += step.moved
        it.expired += step.expired
        it.reached = step.reached or it.reached
        it.ranges += step.ranges
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

    def _watch(self, mover: Mover, *, now: bool = False) -> None:
        """Count what came back, and stop a job whose messages come back again and again."""
        at = self._clock.monotonic()
        if not now and at - self._looked_at < _LOOK_FOR_BOUNCES_SECONDS:
            return
        self._looked_at = at
        if isinstance(mover, SeesBounces):
            ids = mover.look_for_bounces(at + _LOOK_SECONDS)
            if ids:
                self._flush()
                self._counts = self._journal.count_bounced(self._job, list(ids), self._clock.now())
        bounced, sent = self._counts.bounced, self._counts.sent
        if bounced >= _FEWEST_BOUNCES and bounced > _BOUNCED_SHARE * (bounced + sent):
            self._open_circuit(bounced, bounced + sent)

    def _open_circuit(self, bounced: int, sent: int) -> None:
        if self._journal.job(self._job).wanted != "run":
            return  # somebody has seen it and wants the job to go on, or wants something else already
        self._flush()
        reason = f"circuit_open: {bounced} of {sent} messages came back as dead letters"
        self._journal.want(self._job, "pause")
        self._journal.update_job(self._job, state=JobState.PAUSED, reason=reason)
        self._audit.write(_ENGINE, "redrive.pause", "done", job=self._job, reason=reason)
        raise _Halt

    def _judge_canary(self, mover: Mover, pace: Pace, canary: int) -> None:
        """Wait a little after the first messages; when enough of them come back, the job stops itself."""
        self._flush()
        until = self._clock.monotonic() + _CANARY_SECONDS
        while self._clock.monotonic() < until:
            self._listen(mover, pace)
            self._watch(mover)
            if self._counts.bounced > max(0, _BOUNCED_SHARE * canary):
                self._open_circuit(self._counts.bounced, canary)
            self._rest(_LISTEN_SECONDS)
        self._journal.update_job(self._job, state=JobState.RUNNING)

    def _verify(self, mover: Mover, *, exhausted: bool) -> None:
        """Look for a moment whether messages come back, then end the job."""
        self._flush()
        self._journal.update_job(self._job, state=JobState.VERIFYING)
        until = self._clock.monotonic() + _VERIFY_SECONDS
        if isinstance(mover, SeesBounces):
            while self._clock.monotonic() < until and not self._stopping.is_set():
                self._watch(mover)
                self._rest(_LISTEN_SECONDS)
        counts = self._journal.close_counts(self._job, exhausted=exhausted)
        failures = counts.failed + counts.expired + counts.bounced + counts.ambiguous
        mover.close()
        self._end(JobState.COMPLETED_WITH_FAILURES if failures else JobState.COMPLETED, None)
        raise _Halt

    # -- what is wanted -----------------------------------------------------------------------------------------------

    def _listen(self, mover: Mover, pace: Pace) -> None:
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
        if not self._claims.holds(self._job):
            raise _Halt
        stored = self._journal.job(self._job)
        pace.rate = stored.rate_per_second
        if stored.wanted == "pause":
            self._flush()
            mover.close()
            self._journal.update_job(self._job, state=JobState.PAUSED, reason="operator")
            raise _Halt
        if stored.wanted == "cancel":
            self._flush()
            self._journal.update_job(self._job, state=JobState.CANCELLING)
            mover.close()
            self._end(JobState.CANCELLED, stored.reason)
            raise _Halt

    def _wait_until_wanted(self) -> StoredJob:
        """Return when the job is to run. Raises _Halt when it is cancelled meanwhile, or the monitor ends."""
        while not self._stopping.is_set() and self._claims.holds(self._job):
            stored = self._journal.job(self._job)
            if stored.wanted == "cancel":
                self._end(JobState.CANCELLED, None)
                raise _Halt
            if stored.wanted in ("run", "overrule"):
                return stored
            if stored.state != JobState.PAUSED:
                self._journal.update_job(self._job, state=JobState.PAUSED, reason="operator")
            self._rest(_LISTEN_SECONDS)
        raise _Halt

    def _end(self, state: JobState, reason: str | None) -> None:
        now = self._clock.now()
        self._journal.update_job(self._job, state=state, reason=reason, ended_at=now)
        counts = self._journal.job(self._job).counts
        self._audit.write(_ENGINE, "redrive.end", state, job=self._job, reason=reason, counts=asdict(counts))

    def _rest(self, seconds: float) -> None:
        if self.wake.wait(seconds):
            self.wake.clear()
            self._listened_at = float("-inf")


def _done(counts: Counts) -> int:
    return counts.planned - counts.left
