"""Jobs, and what became of them, as the API tells them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from monitor.errors import RequestError
from monitor.redrive.items import Item
from monitor.redrive.journal import StoredJob
from monitor.redrive.model import Counts, JobState
from monitor.redrive.plans import hash_payload

CANARY_SECONDS = 5.0
"""How long a job waits after its first messages, where the plan says nothing."""

_QUOTED = ("select", "patch")
"""Parameters whose values may be taken from messages, and whose errors quote them."""

_MOVING = (JobState.CANARY, JobState.RUNNING)


def tell_job(job: StoredJob, plan: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a job."""
    speed = _speed(job, now)
    return {
        "id": job.id,
        "action": job.action,
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
        "sent_per_second": speed,
        "seconds_left": _seconds_left(job, speed),
        "canary": _tell_canary(job, plan),
        "start_at": plan.get("start_at"),
        "deadline": plan.get("deadline"),
        "window": plan.get("window"),
        "approval": job.approval,
        "approved_by": job.approved_by,
        "approved_at": job.approved_at,
        "plan_id": job.plan,
        "created_by": job.actor,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }


def tell_plan(plan: Mapping[str, Any], *, bodies: bool) -> dict[str, Any]:
    """Return a plan that was made; what it seeks in messages or writes into them is for those who may see these."""
    if bodies:
        return dict(plan)
    request = plan["request"]
    patch = [{name: it[name] for name in ("op", "path", "from") if name in it} for it in request["patch"]]
    hidden = {"patch": patch, "set_headers": dict.fromkeys(request["set_headers"]), "select": None}
    return {**plan, "request": {**request, **hidden, "select_sha256": hash_payload(request["select"])}}


def tell_refusal(error: RequestError) -> str:
    """Return why something was refused, without quoting what may come out of messages."""
    parameter, place = error.members.get("parameter"), error.members.get("position")
    if parameter not in _QUOTED:
        return str(error)
    return f"{parameter}: refused" if place is None else f"{parameter}: refused at position {place}"


def tell_item(it: Item, edit: tuple[str, str] | None) -> dict[str, Any]:
    """Return one message of a job; `edit` are its hashes before and after it was changed."""
    return {
        "position": it.position,
        "redrive_id": it.redrive_id or None,
        "stage": it.stage,
        "outcome": it.outcome,
        "at_target": it.at_target or None,
        "reason": it.reason or None,
        "coordinates": dict(it.coordinates or {}),
        "edit": {"before_sha256": edit[0], "after_sha256": edit[1]} if edit else None,
    }


def adds_up(counts: Counts) -> bool:
    """Say whether each item has one outcome."""
    outcomes: dict[str, int] = {name: number for name, number in asdict(counts).items() if name != "planned"}
    return counts.planned == sum(outcomes.values())


def tell_consumers(counts: Counts, readers: Sequence[Mapping[str, Any]], may_have_bounced: int) -> dict[str, int]:
    """Return what consumers did with what was sent; processed is what all readers are past, and did not give back."""
    past = min((int(it["processed"]) for it in readers), default=0)
    processed = max(0, min(counts.sent, past - counts.bounced - may_have_bounced))
    return {"processed": processed, "bounced": counts.bounced, "unknown": counts.sent - processed}


def _tell_canary(job: StoredJob, plan: Mapping[str, Any]) -> dict[str, Any] | None:
    if plan["canary"] is None:
        return None
    wait = plan["request"].get("canary_wait_seconds") or CANARY_SECONDS
    return {"messages": plan["canary"], "wait_seconds": wait, "verdict": job.canary_verdict}


def _speed(job: StoredJob, now: float) -> float | None:
    if job.started_at is None:
        return None
    seconds = (job.ended_at or now) - job.started_at
    return round((job.counts.sent + job.counts.bounced) / seconds, 1) if seconds > 0 else None


def _seconds_left(job: StoredJob, speed: float | None) -> float | None:
    if job.state not in _MOVING or not speed:
        return None
    return round(job.counts.left / min(speed, job.rate_per_second or speed), 1)
