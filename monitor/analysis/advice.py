"""What to do with dead letters of one cause: redrive them now, after a fix, set them aside, or leave it. Pure.

The rules with their reasons stand in docs/causes.md. Sentences name neither fields nor values, so that everybody may
read them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.analysis.faults import Certainty, Kind
from monitor.model import Status
from monitor.words import say_count, say_duration

QUIET_SECONDS = 300.0
"""How long nothing must have died of an outage until it counts as over."""
OLD_SECONDS = 7 * 86400.0
"""How long after it expired a message is taken for history."""

_ABOUT_THE_BODY = frozenset({Kind.SCHEMA, Kind.UNKNOWN_TYPE, Kind.EXCEPTION, Kind.UNKNOWN})
_SICK = frozenset({Status.STOPPED, Status.STALLED, Status.LOSING})


class Advised(StrEnum):
    """What is advised."""

    REDRIVE = "redrive"
    AFTER_FIX = "redrive_after_fix"
    TRANSFORM = "transform_and_redrive"
    ARCHIVE = "archive"
    DO_NOT = "do_not"
    LOOK = "look_first"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What became of a cause in the newest job that redrove it: when that ended, how many went and came back."""

    at: float | None
    sent: int
    came_back: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a group. Times are Unix seconds.

    `came_back` counts its messages that carry the stamp of a redrive; `lesson` is what a job taught, `fixed_at` when
    the newest deployment since was marked. `readers` are how the subscriptions stand that the messages belong to.
    `mappable` says that the catalog has a patch which makes the messages fit what their consumer knows.
    """

    kind: Kind
    certainty: Certainty
    messages: int
    last_at: float | None
    now: float
    came_back: int = 0
    lesson: Lesson | None = None
    fixed_at: float | None = None
    readers: Sequence[Status] = ()
    mappable: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What is advised, and why."""

    action: Advised
    reason: str


def advise(facts: Facts) -> Advice:
    """Return what to do with a group."""
    advice = _advise_bounced(facts) or _advise_mapped(facts) or _BY_KIND[facts.kind](facts)
    if advice.action is Advised.AFTER_FIX and facts.fixed_at is not None and not _came_back(facts):
        told = " A deployment was marked since the last of them died; if that was the fix, begin with a canary."
        return replace(advice, reason=advice.reason + told)
    return advice


def _advise_bounced(facts: Facts) -> Advice | None:
    """What came back comes back again, as long as nothing has changed."""
    if not _came_back(facts):
        return None
    lesson = facts.lesson if facts.lesson and facts.lesson.came_back else None
    if facts.fixed_at is not None:
        told = "They came back after a redrive; a deployment was marked since then. Try a few first, with a canary."
        return Advice(Advised.AFTER_FIX, told)
    if lesson is not None:
        back, sent = say_count(lesson.came_back), say_count(lesson.sent)
        back = f"{back} of {sent} came back after the last redrive of this cause"
    else:
        back = f"{say_count(facts.came_back)} of these came back after a redrive"
    return Advice(Advised.DO_NOT, f"{back}, and nothing is known to have changed since: they would die again.")


def _came_back(facts: Facts) -> bool:
    return bool(facts.came_back or (facts.lesson and facts.lesson.came_back))


def _advise_mapped(facts: Facts) -> Advice | None:
    return _TRANSFORM if facts.mappable and facts.kind in _ABOUT_THE_BODY else None


def _advise_schema(_: Facts) -> Advice:
    told = (
        "The body does not fit what the consumer expects: it would die again. Redrive once the consumer takes it, or "
        "with a patch that makes it fit."
    )
    return Advice(Advised.AFTER_FIX, told)


def _advise_unreadable(facts: Facts) -> Advice:
    if facts.certainty is Certainty.GUESSED:
        return _LOOK
    told = (
        "Nobody can read these bodies as they are: they would die again. Have the producer send them anew, and set "
        "these aside. Only where the consumer lacks the right decoder does a fix help."
    )
    return Advice(Advised.DO_NOT, told)


def _advise_unknown_type(_: Facts) -> Advice:
    told = "The consumer does not know this type or version: redrive once one is deployed that does."
    return Advice(Advised.AFTER_FIX, told)


def _advise_exception(facts: Facts) -> Advice:
    if facts.certainty is Certainty.GUESSED:
        return _LOOK
    told = "The consumer fails at these messages: they would die again until it is changed."
    return Advice(Advised.AFTER_FIX, told)


def _advise_downstream(facts: Facts) -> Advice:
    if _is_sick(facts):
        return Advice(Advised.AFTER_FIX, "The consumer itself does not get on yet: redrive once it does.")
    if facts.last_at is None:
        told = "Something that the consumer calls did not answer: redrive once it does, a few first."
        return Advice(Advised.AFTER_FIX, told)
    quiet = facts.now - facts.last_at
    if quiet < QUIET_SECONDS:
        ago = say_duration(max(0.0, quiet))
        told = f"Something that the consumer calls did not answer {ago} ago: wait until it does."
        return Advice(Advised.AFTER_FIX, told)
    told = f"Something that the consumer calls did not answer; nothing has died of it for {say_duration(quiet)}."
    return Advice(Advised.REDRIVE, told)


def _advise_expired(facts: Facts) -> Advice:
    if _is_sick(facts):
        told = "They waited too long, and the consumer does not get on yet: they would expire again."
        return Advice(Advised.AFTER_FIX, told)
    if facts.last_at is not None and facts.now - facts.last_at > OLD_SECONDS:
        since = say_duration(facts.now - facts.last_at)
        return Advice(Advised.ARCHIVE, f"They expired, the newest {since} ago: whoever needed them has gone on.")
    if facts.readers:
        return Advice(Advised.REDRIVE, "They waited longer than they were allowed to; the consumer gets on now.")
    told = "They waited longer than they were allowed to: redrive them if they still matter to anybody."
    return Advice(Advised.LOOK, told)


def _advise_attempts(_: Facts) -> Advice:
    told = (
        "The consumer had each of them several times and did not finish: it crashed, was too slow, or gave them back. "
        "Its log says which; until that is mended they would die again."
    )
    return Advice(Advised.AFTER_FIX, told)


def _advise_overflow(facts: Facts) -> Advice:
    if facts.certainty is not Certainty.CERTAIN or _is_sick(facts) or not facts.readers:
        told = "There was no room for them: redrive once there is, with a rate, or once the limit is raised."
        return Advice(Advised.AFTER_FIX, told)
    return Advice(Advised.REDRIVE, "The queue was full, and its consumer gets on now; redrive with a rate.")


def _advise_unroutable(_: Facts) -> Advice:
    told = "They could not be delivered: redrive once the route, the filter or the right is mended."
    return Advice(Advised.AFTER_FIX, told)


def _advise_duplicate(_: Facts) -> Advice:
    told = "The consumer had them already: there is nothing left to do with them."
    return Advice(Advised.ARCHIVE, told)


def _is_sick(facts: Facts) -> bool:
    return any(it in _SICK for it in facts.readers)


_TRANSFORM = Advice(
    Advised.TRANSFORM,
    "They do not fit the version of the schema that the consumer knows, and the catalog tells how to make them fit: "
    "redrive them with the proposed patch, a few first as a canary.",
)
_LOOK = Advice(
    Advised.LOOK,
    "The messages do not tell why they died: see what the consumer's log says, or redrive a few as a canary.",
)
_BY_KIND: Mapping[Kind, Callable[[Facts], Advice]] = {
    Kind.SCHEMA: _advise_schema,
    Kind.UNREADABLE: _advise_unreadable,
    Kind.UNKNOWN_TYPE: _advise_unknown_type,
    Kind.EXCEPTION: _advise_exception,
    Kind.DOWNSTREAM: _advise_downstream,
    Kind.EXPIRED: _advise_expired,
    Kind.ATTEMPTS: _advise_attempts,
    Kind.OVERFLOW: _advise_overflow,
    Kind.UNROUTABLE: _advise_unroutable,
    Kind.DUPLICATE: _advise_duplicate,
    Kind.UNKNOWN: lambda _: _LOOK,
}
