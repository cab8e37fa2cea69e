"""One redrive job with a journal of its own, without the engine around it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from monitor.clock import Clock
from monitor.errors import TimedOut
from monitor.letters import Held, Job, RedriveBus
from monitor.redrive.choosing import make_chooser
from monitor.redrive.journal import Journal, StoredJob
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import Counts, JobState
from monitor.redrive.runner import BATCH
from monitor.storage.database import Database

_STEP_SECONDS = 30.0


def carry_out(
    bus: RedriveBus,
    job: Job,
    count: int,
    folder: Path,
    clock: Clock,
    step: int = BATCH,
    after_step: Callable[[int], None] = lambda _sent: None,
) -> None:
    """Carry a job out, or go on with it; `after_step` is told how many the journal counts as sent."""
    with closing(Database.open(f"sqlite:///{folder}/journal.db")) as database:
        journal = Journal(database)
        journal.add_job(_new_job(job, count))
        choose = make_chooser(job, clock.now)
        held: Held = bus.open(job, choose)  # type: ignore[assignment]
        with closing(JournaledMover(held, journal, job, choose, clock)) as mover:
            mover.recover(clock.monotonic() + _STEP_SECONDS)
            while not _is_finished(mover, step, clock):
                after_step(journal.job(job.id).counts.sent)


def _is_finished(mover: JournaledMover, limit: int, clock: Clock) -> bool:
    try:
        return mover.step(limit, clock.monotonic() + _STEP_SECONDS).finished
    except TimedOut:
        return False


def _new_job(job: Job, count: int) -> StoredJob:
    return StoredJob(
        id=job.id, sequence=0, plan="plan", dead_letters=job.request.dead_letters, idempotency_key=None, actor="soak",
        state=JobState.RUNNING, reason=None, wanted="run", rate_per_second=None,
        counts=Counts(planned=count, left=count), interruptions=0, resent=0, reached={}, created_at=0.0,
        started_at=None, ended_at=None,
    )  # fmt: skip
