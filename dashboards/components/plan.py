"""What a plan says before anything is touched, and the choices that one has. Pure functions over the API's JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dashboards.components.groups import ADVICE, KINDS
from dashboards.components.message import say_evidence, short_class
from dashboards.components.times import say_utc
from monitor.api.redrive_items import PlanItem, PlannedCause, WindowItem
from monitor.words import say_count, say_duration

DEFAULT_CANARY = 10
_CANARY_WAIT_SECONDS = 5.0
FIRST_CHOICES = (10, 100, 1_000)
CANARY_CHOICES = (1, 10, 100)
RATE_CHOICES = (1.0, 10.0, 100.0, 1_000.0)

_LATEST = 1e11  # a moment in Unix seconds
_MOST_NAMES = 12
_MOST_CAUSES = 4


@dataclass(frozen=True)
class Choices:
    """What somebody has chosen for a plan, as the address keeps it. `canary` of 0 is none."""

    dead_letters: str
    action: str = "redrive"
    target: str | None = None
    select: str | None = None
    positions: tuple[str, ...] = ()
    group: str | None = None
    older_than_seconds: float | None = None
    younger_than_seconds: float | None = None
    first: int | None = None
    canary: int = DEFAULT_CANARY
    rate: float | None = None
    on_ambiguous: str = "send"
    strip_failure_headers: bool = False
    native: bool = False
    patch: tuple[Mapping[str, Any], ...] = ()
    set_headers: Mapping[str, str] = field(default_factory=dict)
    remove_headers: tuple[str, ...] = ()
    reason: str = ""
    archive: str | None = None
    start_at: float | None = None
    deadline: float | None = None
    window: Mapping[str, Any] | None = None
    max_target_backlog: int | None = None
    canary_wait_seconds: float | None = None

    def options(self) -> dict[str, Any]:
        """Return them as the API names them, without those that leave the choice to the product."""
        asked = {name: value for name, value in asdict(self).items() if value or value == 0}
        del asked["dead_letters"]
        for name, usual in (("action", "redrive"), ("on_ambiguous", "send"), ("canary", 0)):
            if asked.get(name) == usual:
                del asked[name]
        if "canary" not in asked:
            asked.pop("canary_wait_seconds", None)  # there is nothing to wait for
        return asked


def choices_of_address(parameters: Mapping[str, Sequence[str]]) -> Choices | None:
    """Return what an address asks for; None when it names no queue. What cannot be a number is left out."""
    queue = _last(parameters, "dead_letters")
    if queue is None:
        return None
    action = _last(parameters, "action") or "redrive"
    canary, first = _number(_last(parameters, "canary")), _number(_last(parameters, "first"))
    backlog = _number(_last(parameters, "max_target_backlog"))
    return Choices(
        queue,
        action=action,
        target=_last(parameters, "target"),
        select=_last(parameters, "select"),
        positions=tuple(parameters.get("position", ())),
        group=_last(parameters, "group"),
        older_than_seconds=_number(_last(parameters, "older_than_seconds")) or None,
        younger_than_seconds=_number(_last(parameters, "younger_than_seconds")) or None,
        first=int(first) if first else None,
        canary=int(canary) if canary is not None else DEFAULT_CANARY if action == "redrive" else 0,
        rate=_number(_last(parameters, "rate")) or None,
        reason=_last(parameters, "reason") or "",
        archive=_last(parameters, "archive"),
        start_at=_number(_last(parameters, "start_at"), _LATEST) or None,
        deadline=_number(_last(parameters, "deadline"), _LATEST) or None,
        max_target_backlog=int(backlog) if backlog else None,
        canary_wait_seconds=_number(_last(parameters, "canary_wait_seconds")) or None,
    )


def address_of(choices: Choices) -> dict[str, str | list[str] | None]:
    """Return the query parameters that ask for a plan with these choices, as far as an address can say them."""
    numbers = (
        "first", "rate", "older_than_seconds", "younger_than_seconds", "start_at", "deadline", "max_target_backlog",
        "canary_wait_seconds",
    )  # fmt: skip
    texts = ("dead_letters", "action", "target", "select", "group", "reason", "archive")
    asked = {name: f"{value:.15g}" for name in numbers if (value := getattr(choices, name)) is not None}
    return {
        **{name: getattr(choices, name) for name in texts},
        **asked,
        "position": list(choices.positions),
        "canary": str(choices.canary),
    }


def fits_an_address(choices: Choices) -> bool:
    """Say whether an address can say all of these choices: edits, hours and what is either so or not have no place."""
    told = {name: [it] if isinstance(it, str) else it for name, it in address_of(choices).items() if it}
    return choices_of_address(told) == choices


def choices_of_plan(plan: PlanItem) -> Choices:
    """Return what a plan was made of, so that it can be changed."""
    asked = plan["request"]
    return Choices(
        plan["dead_letters"],
        action=plan["action"],
        target=asked.get("target"),
        select=asked.get("select"),
        positions=tuple(asked.get("positions") or ()),
        group=asked.get("group"),
        older_than_seconds=_age_of(plan, "enqueued_before"),
        younger_than_seconds=_age_of(plan, "enqueued_after"),
        first=asked.get("first"),
        canary=plan["canary"] or 0,
        rate=plan["rate"],
        on_ambiguous=plan["on_ambiguous"],
        strip_failure_headers=bool(asked.get("strip_failure_headers")),
        native=bool(asked.get("native")),
        patch=tuple(asked.get("patch") or ()),
        set_headers=dict(asked.get("set_headers") or {}),
        remove_headers=tuple(asked.get("remove_headers") or ()),
        reason=plan["reason"],
        archive=asked.get("archive"),
        start_at=plan["start_at"],
        deadline=plan["deadline"],
        max_target_backlog=asked.get("max_target_backlog"),
        canary_wait_seconds=asked.get("canary_wait_seconds"),
        window=dict(plan["window"]) if plan["window"] else None,
    )


def _age_of(plan: PlanItem, name: str) -> float | None:
    """Return an age that was asked for: a plan keeps the moment that it came to, since ages go on while it waits."""
    moment = plan["request"].get(name)
    return None if moment is None else float(round(plan["created_at"] - moment))


def _last(parameters: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = parameters.get(name, ())
    return values[-1] or None if values else None


def _number(text: str | None, most: float = 1_000_000) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= most else None


def write_headers(headers: Mapping[str, str]) -> str:
    """Return headers as lines to edit."""
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def read_headers(text: str) -> dict[str, str] | None:
    """Return the headers of `name: value` lines; None where a line is none."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not (colon and name.strip()):
            return None
        if line.strip():
            found[name.strip()] = value.strip()
    return found


def title_of(plan: PlanItem) -> str:
    """Say in one plain line what would be done."""
    many = say_count_of(plan)
    if plan["action"] == "archive":
        return f"Set {many} of {plan['source']} aside"
    if plan["action"] == "restore":
        return f"Put {many} back into {plan['source']}"
    return f"Send {many} of {plan['source']} to {plan['target'] or 'a target that is not known yet'}"


def idempotency_key(plan_id: str) -> str:
    """Return the key of a plan's start: a double click, a reload and a second person make one job of it."""
    return f"dashboard-{plan_id}"


def say_pace(rate: float | None) -> str:
    """Say a rate that one can choose."""
    if rate is None:
        return "full speed"
    return f"{rate:,.0f}/s" if rate == int(rate) else f"{rate:g}/s"


# -- what it says ------------------------------------------------------------------------------------------------------


def say_count_of(plan: PlanItem) -> str:
    """Say how many messages a plan is about, and whether that is sure."""
    number = f"{say_count(plan['count'])} message{'' if plan['count'] == 1 else 's'}"
    return number if plan["count_is_exact"] else f"at most {number}"


def say_guarantee(plan: PlanItem) -> str:
    """Say what a plan promises, in words for who has never heard of it."""
    if plan["action"] != "redrive":
        doubled = plan["max_duplicates_per_interruption"]
        more = f" An interruption may leave up to {say_count(doubled)} of them in both places." if doubled else ""
        return f"Nothing is lost: a message leaves one place only when it is safe in the other.{more}"
    if plan["guarantee"] == "exactly_once":
        return (
            "Exactly once, for consumers that read committed data. Nothing is lost and nothing is doubled, "
            "not even when the monitor or the broker crashes in the middle."
        )
    doubled = plan["max_duplicates_per_interruption"]
    many = f"at most {say_count(doubled)} messages are sent twice" if doubled else "some messages are sent twice"
    return (
        f"At least once. Nothing is lost; when the monitor crashes or a connection breaks in the middle, {many}, "
        "each time that it happens."
    )


def say_selection(plan: PlanItem) -> str:
    """Say which messages a plan takes."""
    asked = plan["request"]
    parts = []
    if asked.get("positions"):
        parts.append(f"{say_count(len(asked['positions']))} chosen one by one")
    if asked.get("group"):
        parts.append("those of one cause")
    for word, name in (("older", "enqueued_before"), ("younger", "enqueued_after")):
        age = _age_of(plan, name)
        if age is not None:
            parts.append(f"{word} than {say_duration(age)}")
    if asked.get("select"):
        parts.append(f"those for which {asked['select']}")
    if asked.get("first"):
        parts.append(f"the first {say_count(asked['first'])}")
    told = ", ".join(parts) if parts else "everything"
    return f"{told}; of what waited when the plan was made: what arrives later is not touched"


def plan_facts(plan: PlanItem) -> list[tuple[str, str]]:
    """Return what a plan says, a name and a plain sentence each, in the order in which one asks."""
    facts = [
        ("Takes", say_selection(plan)),
        ("From", f"{plan['source']} on {plan['cluster']}"),
        ("To", plan["target"] or "not known"),
        ("Known by", _say_known(plan["origin_evidence"])),
        ("Died of", _say_causes(plan["causes"])),
        ("Also receives", _say_others(plan["also_receives"])),
        ("Time", _say_time(plan)),
        ("Canary", _say_canary(plan)),
        *_say_backpressure(plan),
        ("Order", plan["ordering"] or "not told"),
        ("Headers", _say_headers(plan)),
    ]
    if plan["guarantee"] == "at_least_once":
        facts.append(("When in doubt", _AMBIGUOUS[plan["on_ambiguous"]]))
    if plan["approval"]:
        facts.append(("Approval", plan["approval"]))
    return facts + say_times(plan["start_at"], plan["deadline"], plan["window"])


def say_times(start_at: float | None, deadline: float | None, window: WindowItem | None) -> list[tuple[str, str]]:
    """Return when a job may run, a name and a sentence each; nothing for one that may always."""
    facts = []
    if start_at is not None:
        facts.append(("Not before", say_utc(start_at)))
    if deadline is not None:
        facts.append(("Not after", f"{say_utc(deadline)}; what is left then stays in the queue"))
    if window is not None:
        days = f" on {', '.join(window['days'])}" if window["days"] else ""
        facts.append(("Only", f"from {window['begin']} to {window['end']}{days} ({window['timezone']})"))
    return facts


_AMBIGUOUS = {
    "send": "what may or may not have been sent before an interruption is sent again",
    "hold": "what may or may not have been sent before an interruption stays in the queue, and the report names it",
}


def advised_against(plan: PlanItem) -> list[str]:
    """Say for which causes a redrive is advised against, and why: plain sentences."""
    if plan["action"] != "redrive":
        return []
    against = [it for it in plan["causes"] if it["advice"]["action"] in ("do_not", "archive")]
    return [f"Advised against for {_say_some(it)}: {it['advice']['reason']}" for it in against]


def _say_some(it: PlannedCause) -> str:
    return f"{say_count(it['messages'])} of {_name(it)}"


def _name(it: PlannedCause) -> str:
    return short_class(it["exception"]) or KINDS.get(it["kind"], it["kind"])


def _say_causes(causes: Sequence[PlannedCause]) -> str:
    if not causes:
        return "not told: nothing was looked at"
    told = [_say_planned(it) for it in causes[:_MOST_CAUSES]]
    more = f"; and {len(causes) - _MOST_CAUSES} causes more" if len(causes) > _MOST_CAUSES else ""
    return "; ".join(told) + more


def _say_planned(it: PlannedCause) -> str:
    advised = ADVICE.get(it["advice"]["action"], ("", "look first"))[1]
    return f"{_name(it)} ({say_count(it['messages'])} looked at; {advised.lower()})"


def _say_known(evidence: Sequence[Mapping[str, Any]]) -> str:
    if not evidence:
        return "not known; name a target"
    return "; ".join(_say_one(it) for it in evidence)


def _say_one(it: Mapping[str, Any]) -> str:
    number, of = it.get("messages"), it.get("of")
    many = "" if number is None else f", {say_count(number)}{f' of {say_count(of)}' if of else ''} looked at"
    detail = f", {it['detail']}" if it.get("detail") else ""
    return f"{it.get('origin')} ({say_evidence(it.get('found_by'))}{detail}{many})"


def _say_others(names: Sequence[str]) -> str:
    if not names:
        return "nobody else, as far as known"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _say_time(plan: PlanItem) -> str:
    seconds = plan["duration_seconds"]
    taken = "under 1 s" if seconds < 1 else f"about {say_duration(seconds)}"
    return f"{taken}, at " + (say_pace(None) if plan["rate"] is None else f"{say_pace(plan['rate'])} at most")


def _say_canary(plan: PlanItem) -> str:
    canary = plan["canary"]
    if canary is None:
        return "none: everything goes at once"
    return (
        f"the first {say_count(canary)} go ahead; unless more than a fifth come back within "
        f"{say_duration(_wait(plan))} it goes on by itself, otherwise it stops and says so"
    )


def _wait(plan: PlanItem) -> float:
    return float(plan["request"].get("canary_wait_seconds") or _CANARY_WAIT_SECONDS)


def _say_backpressure(plan: PlanItem) -> list[tuple[str, str]]:
    most = plan["request"].get("max_target_backlog")
    return [] if most is None else [("Holds back", f"while more than {say_count(most)} wait at the target")]


def _say_headers(plan: PlanItem) -> str:
    headers = plan["headers"]
    parts = [f"added {', '.join(headers['added'])}"] if headers.get("added") else []
    if headers.get("removed"):
        parts.append(f"removed {', '.join(headers['removed'])}")
    if headers.get("failure_headers_removed"):
        parts.append("what frameworks wrote about the failure is removed")
    return "; ".join(parts) or "as they are"


def may_start(plan: PlanItem, moment: float) -> bool:
    """Say whether a plan can be started: nothing stands against it, there is something to move, it still holds."""
    return not plan["blockers"] and plan["count"] > 0 and moment < plan["expires_at"]
