"""Plans: what would be moved, told before anything is touched. Pure: a request and a survey make a plan.

The hash is over everything that matters and nothing that varies from look to look, in canonical JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from monitor.errors import BadRequest
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, OnAmbiguous, PlanRequest, Survey
from monitor.model import DeadLetterQueue
from monitor.redrive.messages import tell_message
from monitor.redrive.selection import Selection
from monitor.words import say_count

EXPIRES_AFTER_SECONDS = 15 * 60.0
_LARGEST_RATE = 1_000_000.0
_MOST_POSITIONS = 10_000
_VARYING = ("id", "hash", "created_at", "expires_at", "samples", "duration_seconds")


def check_request(request: PlanRequest) -> None:
    """Raise BadRequest for what cannot be meant."""
    for name, number in (("first", request.first), ("canary", request.canary)):
        if number is not None and number < 1:
            raise BadRequest(f"{name}: must be at least 1", parameter=name)
    rate = request.rate_per_second
    if rate is not None and not 0 < rate <= _LARGEST_RATE:
        raise BadRequest("rate: must be above 0 (messages a second); to hold a job, pause it", parameter="rate")
    if len(request.positions) > _MOST_POSITIONS:
        raise BadRequest(f"positions: more than {_MOST_POSITIONS}; use select", parameter="positions")
    if request.select is not None:
        Selection(request.select)


def make_plan(
    id_: str, now: float, queue: DeadLetterQueue, request: PlanRequest, survey: Survey, *, per_second: float
) -> dict[str, Any]:
    """Return a plan as the API tells it. `per_second` is what the bus does without a limit, for the estimate."""
    count = survey.count if request.first is None else min(survey.count, request.first)
    rate = min(per_second, request.rate_per_second or per_second)
    on_ambiguous = request.on_ambiguous or OnAmbiguous.SEND
    body: dict[str, Any] = {
        "id": id_,
        "created_at": now,
        "expires_at": now + EXPIRES_AFTER_SECONDS,
        "dead_letters": queue.id,
        "system": queue.system,
        "cluster": queue.cluster,
        "source": queue.queue,
        "target": survey.target,
        "count": count,
        "count_is_exact": survey.count_is_exact,
        "guarantee": survey.guarantee,
        "max_duplicates_per_interruption": survey.max_duplicates_per_interruption,
        "on_ambiguous": on_ambiguous,
        "origin_evidence": [dict(it) for it in survey.origin_evidence],
        "also_receives": list(survey.also_receives),
        "ordering": survey.ordering,
        "warnings": [*survey.warnings, *_warn(request, survey)],
        "blockers": [*survey.blockers, *_block(queue, survey)],
        "headers": {
            "added": [HEADER_ID, HEADER_JOB, HEADER_COUNT, *request.set_headers],
            "removed": list(request.remove_headers),
            "failure_headers_removed": request.strip_failure_headers,
        },
        "duration_seconds": round(count / rate, 1),
        "rate": request.rate_per_second,
        "canary": request.canary,
        "request": {**asdict(request), "on_ambiguous": on_ambiguous},
        "bounds": dict(survey.bounds),
        "samples": [tell_message(it, bodies=True, longest=2_000) for it in survey.samples],
    }
    plain: dict[str, Any] = json.loads(_canonical(body))
    return {**plain, "hash": hash_plan(plain)}


def hash_plan(body: Mapping[str, Any]) -> str:
    """Return the hash of what matters in a plan."""
    return hashlib.sha256(_canonical({k: v for k, v in body.items() if k not in _VARYING}).encode()).hexdigest()


def read_request(told: Mapping[str, Any]) -> PlanRequest:
    """Return the request that a stored plan was made for."""
    values = dict(told)
    values["on_ambiguous"] = OnAmbiguous(values["on_ambiguous"])
    for name in ("positions", "remove_headers", "patch"):
        values[name] = tuple(values[name])
    return PlanRequest(**values)


def find_drift(planned: Mapping[str, Any], survey: Survey) -> str | None:
    """Say what has changed since a plan in a way that matters; more dead letters do not: they are out of its bounds."""
    if planned["target"] != survey.target:
        return f"the target was {planned['target']} and is now {survey.target}"
    if planned["guarantee"] != survey.guarantee:
        return f"the guarantee was {planned['guarantee']} and is now {survey.guarantee}"
    if survey.blockers:
        return survey.blockers[0]
    before, after = planned["bounds"].get("since"), json.loads(_canonical(survey.bounds)).get("since")
    if before != after:
        return "some of these dead letters have been redriven or replaced meanwhile"
    if before is None and survey.count < planned["bounds"].get("count", 0):
        return f"{say_count(planned['bounds']['count'] - survey.count)} of the dead letters are gone"
    return None


def _warn(request: PlanRequest, survey: Survey) -> list[str]:
    told = []
    if not survey.count_is_exact:
        told.append("The number of messages is an upper bound.")
    if request.selective and request.first is None and survey.count == 0:
        told.append("Nothing is selected.")
    return told


def _block(queue: DeadLetterQueue, survey: Survey) -> list[str]:
    if survey.target is None and not survey.blockers and survey.count:
        return ["It is not known where the messages belong; name a target by --target."]
    if survey.target == queue.queue:
        return ["The target is the dead-letter queue itself; name another by --target."]
    return []


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
