"""One sentence a verdict: the numbers that it rests on, in the words of the people who are called."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from monitor.analysis.status import Cause
from monitor.model import Subscription
from monitor.words import say_age, say_count, say_duration, say_rate


class Facts(NamedTuple):
    """What is known beside the subscription itself; seconds, None is not known.

    `found` is the rule by what could be read. `parts` is how many parts it fits out of `all_parts`, `waited` for how
    long nothing was consumed in that of them which waits longest. `absent_for` is for how long nobody has been there,
    `allowed` the age that is allowed.
    """

    found: Cause
    parts: int
    all_parts: int
    waited: float
    absent_for: float | None
    allowed: float
    published_per_second: float | None
    consumed_per_second: float | None


def tell(cause: Cause, subscription: Subscription, facts: Facts) -> str:
    """Say why a subscription has its status, in one sentence."""
    sentence = _SENTENCES[cause](subscription, facts)
    return f"{sentence}; abandoned: nothing was consumed for days" if subscription.abandoned else sentence


def _wait(it: Subscription, facts: Facts) -> str:
    """Say what waits and what was handed out, and in which parts if the rule does not fit them all."""
    backlog, in_flight = it.backlog_messages or 0.0, it.in_flight_messages or 0.0
    waits = f"{_messages(backlog)} {'waits' if backlog == 1 else 'wait'}"
    flies = f"{say_count(in_flight) if backlog else _messages(in_flight)} {'is' if in_flight == 1 else 'are'} in flight"
    what = f"{waits} and {flies}" if backlog and in_flight else flies if in_flight else waits
    where = f", {facts.parts} of {facts.all_parts} partitions concerned" if 0 < facts.parts < facts.all_parts else ""
    return f"{what}{where}"


def _messages(number: float | None) -> str:
    return f"{say_count(number)} {'message' if number == 1 else 'messages'}"


def _age(it: Subscription) -> str:
    return say_age(it.oldest_age.seconds, it.oldest_age.method)


def _lost(it: Subscription, facts: Facts) -> str:
    return f"{_messages(it.lost_messages_total)} lost unread since this was first watched; {_wait(it, facts)}"


def _expiring(it: Subscription, facts: Facts) -> str:
    return (
        f"the oldest message has waited {_age(it)} and is kept for {say_duration(it.retention_seconds)}: "
        f"about to be lost; {_wait(it, facts)}"
    )


def _nobody(it: Subscription, facts: Facts) -> str:
    return f"{_wait(it, facts)}; nobody has been there to consume for {say_duration(facts.absent_for)}"


def _untouched(it: Subscription, facts: Facts) -> str:
    return f"{_wait(it, facts)}; nothing was consumed for {say_duration(facts.waited)}"


def _stuck(it: Subscription, facts: Facts) -> str:
    return f"{_wait(it, facts)}; consumers are there, but finished nothing for {say_duration(facts.waited)}"


def _unmeasured(it: Subscription, facts: Facts) -> str:
    return (
        f"the backlog of only {it.measured} of {it.expected} partitions is known: the others could not be read, "
        f"or have no committed offset in their log{_all_the_same(it, facts)}"
    )


def _uncounted(it: Subscription, facts: Facts) -> str:
    return f"how many messages wait could not be read{_all_the_same(it, facts)}"


def _all_the_same(it: Subscription, facts: Facts) -> str:
    """Say what is known to be wrong, whatever could not be read."""
    known = {
        Cause.LOST: f"{_messages(it.lost_messages_total)} lost unread since this was first watched",
        Cause.NOBODY: f"nobody has been there to consume for {say_duration(facts.absent_for)}",
        Cause.UNTOUCHED: f"nothing was consumed for {say_duration(facts.waited)} in {facts.parts} of those read",
        Cause.STUCK: f"consumers finished nothing for {say_duration(facts.waited)} in {facts.parts} of those read",
    }.get(facts.found)
    return f"; but {known}" if known else ""


def _unseen(it: Subscription, facts: Facts) -> str:
    if facts.waited <= 0:
        return f"{_wait(it, facts)}; only the next look can tell whether they are consumed"
    return f"{_wait(it, facts)}; nothing was consumed in the {say_duration(facts.waited)} watched, too short to judge"


def _set_back(it: Subscription, facts: Facts) -> str:
    return f"the position was set back; {_wait(it, facts)}, some of them for the second time"


def _old(it: Subscription, facts: Facts) -> str:
    return f"the oldest message has waited {_age(it)}, allowed is {say_duration(facts.allowed)}; {_wait(it, facts)}"


def _held(it: Subscription, facts: Facts) -> str:
    return (
        f"{_wait(it, facts)}, none finished for {say_duration(facts.waited)}; allowed is {say_duration(facts.allowed)}"
    )


def _slow(it: Subscription, facts: Facts) -> str:
    backlog, rate = it.backlog_messages or 0.0, facts.consumed_per_second or 1.0
    return f"{_wait(it, facts)}: {say_duration(backlog / rate)} of work at {say_rate(rate)}"


def _growing(it: Subscription, facts: Facts) -> str:
    rates = f"{say_rate(facts.published_per_second)} come in, {say_rate(facts.consumed_per_second)} are consumed"
    return f"{_wait(it, facts)}; the backlog only grows: {rates}"


def _standing(it: Subscription, facts: Facts) -> str:
    return f"{_wait(it, facts)}; the backlog has not fallen for {say_duration(facts.waited)}"


def _retrying(it: Subscription, facts: Facts) -> str:
    return f"a retry queue: {_wait(it, facts)} to go back by itself"


def _remainder(it: Subscription, facts: Facts) -> str:
    return f"{_wait(it, facts)}; on a quiet log that is what a transaction leaves at its end"


def _keeping_up(it: Subscription, facts: Facts) -> str:
    rate = facts.consumed_per_second
    return f"{_wait(it, facts)}; consumed at {say_rate(rate)}" if rate else f"{_wait(it, facts)}; none for too long"


def _empty(it: Subscription, facts: Facts) -> str:
    return "nothing waits"


_SENTENCES: Mapping[Cause, Callable[[Subscription, Facts], str]] = {
    Cause.LOST: _lost,
    Cause.EXPIRING: _expiring,
    Cause.NOBODY: _nobody,
    Cause.UNTOUCHED: _untouched,
    Cause.STUCK: _stuck,
    Cause.UNMEASURED: _unmeasured,
    Cause.UNCOUNTED: _uncounted,
    Cause.UNSEEN: _unseen,
    Cause.SET_BACK: _set_back,
    Cause.OLD: _old,
    Cause.HELD: _held,
    Cause.SLOW: _slow,
    Cause.GROWING: _growing,
    Cause.STANDING: _standing,
    Cause.RETRYING: _retrying,
    Cause.REMAINDER: _remainder,
    Cause.KEEPING_UP: _keeping_up,
    Cause.EMPTY: _empty,
}
