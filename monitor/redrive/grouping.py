"""Dead letters of one cause as the API tells them: how many, since when, of whom, what changed then, what to do."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from monitor.analysis.advice import Advice, Facts, Lesson, advise
from monitor.analysis.causes import BODY, Cause, Evidence, cause_of, texts_of
from monitor.analysis.faults import Certainty, Kind
from monitor.analysis.makers import find_makers
from monitor.letters import HEADER_JOB, DeadMessage
from monitor.model import Status
from monitor.redrive.choosing import header_of
from monitor.redrive.fits import Grounds, Held, hold, tell_held, tell_impact
from monitor.redrive.masking import mask

GoesOn = Callable[[object], bool]
"""Asked before each message and each group: whether there is time for it."""

_SAYS_NOTHING = frozenset({Kind.UNKNOWN, Kind.ATTEMPTS})
"""Kinds that say that a consumer failed, and not at what: there the catalog knows more."""
_MOST_NAMES = 5
_TEXT_POINTERS = ("", "/exception_message")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known besides the messages. Times are Unix seconds.

    `lessons` are what earlier jobs taught, by the ids of causes. `readers` are how the subscriptions stand that read
    where messages came from, by their ids with destination and subscriber. `changes` are what happened, in time order.
    `grounds` are the catalog and where the messages were meant to be read.
    """

    now: float
    lessons: Mapping[str, Lesson] = field(default_factory=dict)
    readers: Sequence["Reader"] = ()
    changes: Sequence["Change"] = ()
    grounds: Grounds | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """A subscription and how it stands."""

    id: str
    destination: str
    subscriber: str
    status: Status


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed. `subject` is the id of the subscription whose status did, or the name of a mark."""

    at: float
    what: str
    subject: str
    text: str


_BEFORE_SECONDS: Mapping[str, float] = {"status": 900.0, "mark": 6 * 3600.0}
_AFTER_SECONDS = 120.0  # the monitor sees a status a little later than a consumer dies
MARK, STATUS = "mark", "status"


def always(_: object) -> bool:
    """Go on to the end."""
    return True


def group_by_cause(messages: Iterable[DeadMessage], goes_on: GoesOn = always) -> dict[str, list[DeadMessage]]:
    """Return the messages by the ids of their causes, the largest group first."""
    groups: dict[str, list[DeadMessage]] = defaultdict(list)
    for message in takewhile(goes_on, messages):
        groups[cause_of(message).id].append(message)
    return dict(sorted(groups.items(), key=lambda it: -len(it[1])))


def tell_groups(
    messages: Iterable[DeadMessage],
    hidden: Sequence[str],
    context: Context,
    judging: GoesOn = always,
    telling: GoesOn = always,
) -> list[dict[str, Any]]:
    """Return the groups, the largest first; without those messages or groups that there was no time for."""
    groups = takewhile(telling, group_by_cause(messages, judging).items())
    items = [_tell_group(id_, members, hidden, context, telling) for id_, members in groups]
    return sorted(items, key=lambda it: (-it["messages"], it["exception"] or "", it["message"] or "", it["id"]))


def tell_causes(
    messages: Iterable[DeadMessage], context: Context, judging: GoesOn = always, telling: GoesOn = always
) -> list[dict[str, Any]]:
    """Return which causes a plan takes, with the advice: nothing of what messages say, since plans are kept."""
    told = []
    for id_, members in takewhile(telling, group_by_cause(messages, judging).items()):
        held = hold(members, context.grounds)
        cause = _refine(cause_of(members[0]), held)
        advice = _advise(id_, cause, members, context, held)
        told.append(
            {
                "group": id_,
                "kind": cause.kind,
                "exception": cause.exception or None,
                "messages": len(members),
                "advice": {"action": advice.action, "reason": advice.reason},
            }
        )
    return sorted(told, key=lambda it: (-it["messages"], it["group"]))


def show_cause(message: DeadMessage, hidden: Sequence[str]) -> Cause:
    """Return the cause of a message as whoever may not see what is hidden may see it."""
    if any(pointer in hidden for pointer in _TEXT_POINTERS):
        return cause_of(message).without_texts()
    return cause_of(mask(message, hidden))


def _tell_group(
    id_: str, members: Sequence[DeadMessage], hidden: Sequence[str], context: Context, goes_on: GoesOn
) -> dict[str, Any]:
    held = hold(members, context.grounds)
    cause, shown = _refine(cause_of(members[0]), held), show_cause(members[0], hidden)
    if not hidden:
        shown = _refine(shown, held)
    times = sorted(it.enqueued_at for it in members if it.enqueued_at is not None)
    origins = Counter(it.origin.name for it in members if it.origin)
    makers = [find_makers(it, texts_of(it)) for it in (mask(member, hidden) for member in takewhile(goes_on, members))]
    advice = _advise(id_, cause, members, context, held)
    return {
        "id": id_,
        "kind": cause.kind,
        "certainty": cause.certainty,
        "exception": cause.exception or None,
        "message": shown.message or None,
        "frame": shown.frame or None,
        "subject": shown.subject or None,
        "expected": shown.expected or None,
        "found": shown.found or None,
        "evidence": [{"where": it.where, "text": it.text} for it in shown.evidence],
        "messages": len(members),
        "first_at": times[0] if times else None,
        "last_at": times[-1] if times else None,
        "per_second": _rate(times),
        "origins": _most(origins),
        "producers": _tell_producers(makers),
        "types": _most(Counter(it["type"] for it in makers if "type" in it)),
        "schemas": _most(Counter(it["schema"] for it in makers if "schema" in it)),
        "consumers": _consumers(members, makers, context),
        "came_back": sum(bool(header_of(it, HEADER_JOB)) for it in members),
        "changes": _tell_changes(times[0] if times else None, members, context),
        "advice": {"action": advice.action, "reason": advice.reason},
        "positions": [it.position for it in members[:_MOST_NAMES]],
        # Names of fields are the body's own, and hidden with it.
        "schema": None if hidden else tell_held(held),
        "impact": tell_impact(members, context.grounds, held, cause.kind, advice.action, named=not hidden),
    }


def _refine(cause: Cause, held: Held) -> Cause:
    """Return a cause with what the catalog knows besides: the field, and of what nobody said anything the kind."""
    found = held.fit
    if found is None or not found.violations:
        return cause
    first = found.violations[0]
    if not cause.exception and (cause.kind in _SAYS_NOTHING or cause.certainty is Certainty.GUESSED):
        told = Evidence(BODY, f"does not fit {found.read_as} of the catalog")
        cause = replace(cause, kind=Kind.SCHEMA, certainty=Certainty.LIKELY, evidence=(told, *cause.evidence))
    if cause.kind is not Kind.SCHEMA or (cause.subject and cause.subject != first.field):
        return cause
    return replace(
        cause,
        subject=first.field,
        expected=cause.expected or first.expected,
        found=cause.found or first.found,
    )


def _advise(id_: str, cause: Cause, members: Sequence[DeadMessage], context: Context, held: Held) -> Advice:
    times = [it.enqueued_at for it in members if it.enqueued_at is not None]
    lesson, last_at = context.lessons.get(id_), max(times, default=None)
    came_back = sum(bool(header_of(it, HEADER_JOB)) for it in members)
    since = max((at for at in (lesson.at if lesson else None, last_at) if at is not None), default=None)
    marks = [it.at for it in context.changes if it.what == MARK and since is not None and it.at > since]
    readers = [it.status for it in _readers_of(members, context)]
    facts = Facts(
        cause.kind,
        cause.certainty,
        len(members),
        last_at,
        context.now,
        came_back,
        lesson,
        max(marks, default=None),
        readers,
        held.is_mappable,
    )
    return advise(facts)


def _readers_of(members: Sequence[DeadMessage], context: Context) -> list[Reader]:
    """Return the readers of where the messages came from: the one that failed, where the messages name it."""
    origins = {it.origin.name for it in members if it.origin}
    groups = {str(it.origin_detail["group"]) for it in members if it.origin_detail.get("group")}
    found = [it for it in context.readers if it.destination in origins]
    named = [it for it in found if it.subscriber in groups]
    return named or found


def _consumers(members: Sequence[DeadMessage], makers: Sequence[Mapping[str, str]], context: Context) -> list[str]:
    told = _most(Counter(it["consumer"] for it in makers if "consumer" in it))
    return told or [it.id for it in _readers_of(members, context)][:_MOST_NAMES]


def _tell_changes(first_at: float | None, members: Sequence[DeadMessage], context: Context) -> list[dict[str, Any]]:
    """Return what changed shortly before the first message died, the nearest first."""
    if first_at is None:
        return []
    concerned = {it.id for it in _readers_of(members, context)}
    near = [
        it
        for it in context.changes
        if -_BEFORE_SECONDS[it.what] <= it.at - first_at <= _AFTER_SECONDS
        and (it.what == MARK or it.subject in concerned)
    ]
    near.sort(key=lambda it: abs(it.at - first_at))
    told = [
        {"at": it.at, "before_seconds": first_at - it.at, "what": it.what, "subject": it.subject, "text": it.text}
        for it in near
    ]
    return told[:_MOST_NAMES]


def _tell_producers(makers: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    counted = Counter((it["producer"], it.get("version")) for it in makers if "producer" in it)
    return [
        {"name": name, "version": version, "messages": number}
        for (name, version), number in counted.most_common(_MOST_NAMES)
    ]


def _rate(times: Sequence[float]) -> float | None:
    """Return how many died a second, from the first to the last; None of one, or of several at once."""
    span = times[-1] - times[0] if times else 0.0
    return (len(times) - 1) / span if span > 0 else None


def _most(counted: Counter[str]) -> list[str]:
    return [name for name, _ in counted.most_common(_MOST_NAMES)]
