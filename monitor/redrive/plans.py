"""Plans: what would be moved, told before anything is touched. Pure: a request and a survey make a plan.

The hash is over everything that matters and nothing that varies from look to look, in canonical JSON.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from monitor.conventions import failure_headers
from monitor.errors import BadRequest
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, Action, OnAmbiguous, PlanRequest, Survey
from monitor.model import DeadLetterQueue
from monitor.redrive.editing import Editor
from monitor.redrive.messages import tell_sample
from monitor.redrive.pacing import check_rate
from monitor.redrive.selection import Selection
from monitor.redrive.timing import check_timing, read_window
from monitor.words import say_count

EXPIRES_AFTER_SECONDS = 15 * 60.0
_MOST_POSITIONS = 10_000
_LONGEST_SAMPLE_BYTES = 2_000
_LONGEST_CANARY_SECONDS = 3600.0
_VARYING = ("id", "hash", "created_at", "expires_at", "samples", "causes", "duration_seconds")


def check_request(request: PlanRequest, now: float) -> None:
    """Raise BadRequest for what cannot be meant."""
    for name in ("first", "canary", "max_target_backlog"):
        number = getattr(request, name)
        if number is not None and number < 1:
            raise BadRequest(f"{name}: must be at least 1", parameter=name)
    wait = request.canary_wait_seconds
    if wait is not None and (request.canary is None or not 0 < wait <= _LONGEST_CANARY_SECONDS):
        raise BadRequest("canary_wait_seconds: needs a canary, and at most an hour", parameter="canary_wait_seconds")
    check_rate(request.rate_per_second)
    if len(request.positions) > _MOST_POSITIONS:
        raise BadRequest(f"positions: more than {_MOST_POSITIONS}; use select", parameter="positions")
    if request.select is not None:
        Selection(request.select)
    _check_times(request, now)
    _check_action(request)
    Editor(request)


def _check_times(request: PlanRequest, now: float) -> None:
    before, after = request.enqueued_before, request.enqueued_after
    if before is not None and after is not None and before <= after:
        told = "older_than_seconds: nothing is both older than that and younger than younger_than_seconds"
        raise BadRequest(told, parameter="older_than_seconds")
    check_timing(request, now)


def _check_action(request: PlanRequest) -> None:
    if request.action == Action.REDRIVE:
        return
    changes = request.edits or request.target is not None or request.native or request.strip_failure_headers
    if changes or request.canary is not None or request.max_target_backlog is not None:
        told = f"{request.action}: messages stay as they are; leave out target, edits, canary and native"
        raise BadRequest(told, parameter="action")
    if request.action == Action.ARCHIVE and not request.reason.strip():
        raise BadRequest("reason: say why these messages are set aside", parameter="reason")


def make_plan(
    id_: str,
    now: float,
    queue: DeadLetterQueue,
    request: PlanRequest,
    survey: Survey,
    *,
    per_second: float,
    approval: str | None = None,
    causes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return a plan as the API tells it.

    `per_second` is what the bus does without a limit, for the estimate; `approval` says why somebody else must approve;
    `causes` are those of what was looked at.
    """
    count = count_of(request, survey)
    rate = min(per_second, request.rate_per_second or per_second)
    on_ambiguous = request.on_ambiguous or OnAmbiguous.SEND
    body: dict[str, Any] = {
        "id": id_,
        "action": request.action,
        "reason": request.reason,
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
        "blockers": [*survey.blockers, *_block(queue, request.action, survey)],
        "headers": _tell_headers(request, survey),
        "duration_seconds": round(count / rate, 1),
        **_tell_steering(request),
        "approval": approval,
        "causes": list(causes),
        "request": {**asdict(request), "on_ambiguous": on_ambiguous},
        "bounds": dict(survey.bounds),
        "samples": _tell_samples(request, survey),
    }
    plain: dict[str, Any] = json.loads(_canonical(body))
    return {**plain, "hash": hash_plan(plain)}


def count_of(request: PlanRequest, survey: Survey) -> int:
    """Return how many messages a plan is about, at most."""
    return survey.count if request.first is None else min(survey.count, request.first)


def _tell_headers(request: PlanRequest, survey: Survey) -> dict[str, Any]:
    stamps = [HEADER_ID, HEADER_JOB, HEADER_COUNT] if request.action == Action.REDRIVE else []
    return {
        "added": [*stamps, *request.set_headers],
        "removed": [*request.remove_headers, *_failure_headers(request, survey)],
        "failure_headers_removed": request.strip_failure_headers,
    }


def _tell_steering(request: PlanRequest) -> dict[str, Any]:
    window = read_window(request.window)
    return {
        "rate": request.rate_per_second,
        "canary": request.canary,
        "start_at": request.start_at,
        "deadline": request.deadline,
        "window": window.tell() if window else None,
    }


def _failure_headers(request: PlanRequest, survey: Survey) -> list[str]:
    """Return which headers of the samples a framework wrote at failure, if these are to go."""
    if not request.strip_failure_headers:
        return []
    return sorted(failure_headers({header.name for message in survey.samples for header in message.headers}))


def _tell_samples(request: PlanRequest, survey: Survey) -> list[dict[str, Any]]:
    editor = Editor(request) if request.edits else None
    return [tell_sample(it, editor, request.masked, _LONGEST_SAMPLE_BYTES) for it in survey.samples]


def hash_plan(body: Mapping[str, Any]) -> str:
    """Return the hash of what matters in a plan."""
    return hashlib.sha256(_canonical({k: v for k, v in body.items() if k not in _VARYING}).encode()).hexdigest()


def hash_payload(asked: Sequence[Mapping[str, Any]] | str | None) -> str | None:
    """Return the SHA-256 that stands for a patch or an expression, whose values are payload; None without one.

    It is that of its JSON, as the hash of a plan is.
    """
    return hashlib.sha256(_canonical(asked).encode()).hexdigest() if asked else None


def read_request(told: Mapping[str, Any]) -> PlanRequest:
    """Return the request that a stored plan was made for."""
    values = dict(told)
    values["on_ambiguous"] = OnAmbiguous(values["on_ambiguous"])
    values["action"] = Action(values.get("action", Action.REDRIVE))
    for name in ("positions", "remove_headers", "patch", "masked"):
        values[name] = tuple(values.get(name, ()))
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
    if request.patch and survey.count and not survey.samples:
        told.append("No message could be looked at, so that what the patch makes of them is not shown.")
    if request.patch:
        told.append("Bodies are written anew as compact JSON; what the patch does not apply to stays, and is skipped.")
    return told


def _block(queue: DeadLetterQueue, action: Action, survey: Survey) -> list[str]:
    if survey.target is None and not survey.blockers and survey.count:
        return ["It is not known where the messages belong; name a target by --target."]
    if survey.target == queue.queue and action != Action.RESTORE:
        return ["The target is the dead-letter queue itself; name another by --target."]
    return []


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
