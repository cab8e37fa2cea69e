"""Jobs of redrive as the database keeps them."""

from dataclasses import replace

from monitor.redrive.journal import Journal, StoredJob
from monitor.redrive.model import Counts, JobState
from monitor.storage.database import Database

JOB = StoredJob(
    id="job-1",
    sequence=0,
    plan="plan-1",
    dead_letters="orders/orders.dlq",
    idempotency_key=None,
    actor="somebody",
    state=JobState.PLANNED,
    reason=None,
    wanted="run",
    rate_per_second=None,
    counts=Counts(planned=1, left=1),
    interruptions=0,
    resent=0,
    reached={},
    created_at=1.0,
    started_at=None,
    ended_at=None,
)


def test_jobs_without_a_key_are_not_the_same_job(database: Database) -> None:
    journal = Journal(database)
    journal.add_job(JOB)
    other, new = journal.add_job(replace(JOB, id="job-2", plan="plan-2", dead_letters="mail/mail.dlq"))
    assert (other.id, new) == ("job-2", True)


def test_the_same_plan_or_key_is_the_same_job(database: Database) -> None:
    journal = Journal(database)
    journal.add_job(replace(JOB, idempotency_key="key"))
    for again in (replace(JOB, id="job-2"), replace(JOB, id="job-3", plan="plan-3", idempotency_key="key")):
        job, new = journal.add_job(again)
        assert (job.id, new) == ("job-1", False)
