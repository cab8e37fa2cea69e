"""Which jobs a second person must approve, and who that can be."""

from fnmatch import fnmatchcase

from monitor.config import Approvals
from monitor.errors import Conflict, NotAllowed
from monitor.redrive.audit import Actor
from monitor.redrive.journal import StoredJob
from monitor.redrive.model import JobState
from monitor.words import say_count, say_duration

WAITS_AT_MOST_SECONDS = 24 * 3600.0
"""How long a job waits for a second person. It has its queue meanwhile, and what it was planned on gets older."""

NOT_APPROVED = f"not approved within {say_duration(WAITS_AT_MOST_SECONDS)}"


def why_approval(rules: Approvals, dead_letters: str, count: int) -> str | None:
    """Say why a second person must approve a job; None when nobody must. A count that is a bound counts as it is."""
    for pattern in rules.queues:
        if fnmatchcase(dead_letters, pattern):
            return f"jobs of {pattern} need a second person"
    if rules.above is not None and count > rules.above:
        return f"{say_count(count)} messages; above {say_count(rules.above)} a second person must approve"
    return None


def has_expired(job: StoredJob, now: float) -> bool:
    """Say whether a job has waited for too long (now in Unix seconds)."""
    return job.state == JobState.AWAITING_APPROVAL and now - job.created_at >= WAITS_AT_MOST_SECONDS


def check_approver(job: StoredJob, actor: Actor, now: float) -> None:
    """Raise NotAllowed when this one may not approve the job, Conflict when there is nothing to approve any more."""
    if has_expired(job, now):
        raise Conflict(f"job {job.id} was {NOT_APPROVED}; plan again", job=job.id)
    if job.state != JobState.AWAITING_APPROVAL:
        raise Conflict(f"job {job.id} is {job.state}; there is nothing to approve", job=job.id)
    if actor.name == job.actor:
        raise NotAllowed(f"{actor.name} started this job; somebody else must approve it")
