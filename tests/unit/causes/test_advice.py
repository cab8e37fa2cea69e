"""What is advised for which cause, and what teaches otherwise."""

from typing import Any

import pytest

from monitor.analysis.advice import OLD_SECONDS, QUIET_SECONDS, Advised, Facts, Lesson, advise
from monitor.analysis.faults import Certainty, Kind
from monitor.model import Status

NOW = 1_000_000.0


def facts(kind: Kind, **more: Any) -> Facts:
    told = {"certainty": Certainty.CERTAIN, "messages": 9, "last_at": NOW - 3600, "now": NOW, **more}
    return Facts(kind, **told)


@pytest.mark.parametrize(
    ("known", "action"),
    [
        (facts(Kind.SCHEMA), Advised.AFTER_FIX),
        (facts(Kind.UNREADABLE), Advised.DO_NOT),
        (facts(Kind.UNKNOWN_TYPE), Advised.AFTER_FIX),
        (facts(Kind.EXCEPTION), Advised.AFTER_FIX),
        (facts(Kind.EXCEPTION, certainty=Certainty.GUESSED), Advised.LOOK),
        (facts(Kind.DUPLICATE), Advised.ARCHIVE),
        (facts(Kind.UNROUTABLE), Advised.AFTER_FIX),
        (facts(Kind.ATTEMPTS), Advised.AFTER_FIX),
        (facts(Kind.UNKNOWN, certainty=Certainty.NONE), Advised.LOOK),
        (facts(Kind.DOWNSTREAM), Advised.REDRIVE),
        (facts(Kind.DOWNSTREAM, last_at=NOW - QUIET_SECONDS + 1), Advised.AFTER_FIX),
        (facts(Kind.DOWNSTREAM, last_at=None), Advised.AFTER_FIX),
        (facts(Kind.DOWNSTREAM, readers=[Status.OK, Status.STALLED]), Advised.AFTER_FIX),
        (facts(Kind.EXPIRED, readers=[Status.OK]), Advised.REDRIVE),
        (facts(Kind.EXPIRED, readers=[Status.STOPPED]), Advised.AFTER_FIX),
        (facts(Kind.EXPIRED), Advised.LOOK),
        (facts(Kind.EXPIRED, last_at=NOW - OLD_SECONDS - 1), Advised.ARCHIVE),
        (facts(Kind.OVERFLOW, readers=[Status.OK]), Advised.REDRIVE),
        (facts(Kind.OVERFLOW), Advised.AFTER_FIX),
        (facts(Kind.OVERFLOW, certainty=Certainty.LIKELY, readers=[Status.OK]), Advised.AFTER_FIX),
    ],
)
def test_a_kind_has_its_advice(known: Facts, action: Advised) -> None:
    advice = advise(known)
    assert advice.action is action
    assert advice.reason.endswith(".")


@pytest.mark.parametrize("kind", list(Kind))
def test_what_came_back_is_not_advised_again_whatever_it_died_of(kind: Kind) -> None:
    taught = facts(kind, lesson=Lesson(NOW - 60, sent=10, came_back=4))
    assert advise(taught).action is Advised.DO_NOT
    assert "4 of 10 came back" in advise(taught).reason
    stamped = facts(kind, came_back=2)
    assert advise(stamped).action is Advised.DO_NOT
    assert "2 of these came back" in advise(stamped).reason


def test_a_redrive_from_which_nothing_came_back_teaches_nothing_against_another() -> None:
    assert advise(facts(Kind.DOWNSTREAM, lesson=Lesson(NOW - 60, sent=10, came_back=0))).action is Advised.REDRIVE


def test_a_deployment_since_then_gives_another_try() -> None:
    advice = advise(facts(Kind.EXCEPTION, lesson=Lesson(NOW - 60, 10, 10), fixed_at=NOW - 30))
    assert advice.action is Advised.AFTER_FIX
    assert "canary" in advice.reason


def test_a_deployment_since_the_last_one_died_is_said() -> None:
    assert "deployment was marked" in advise(facts(Kind.EXCEPTION, fixed_at=NOW - 30)).reason
    assert "deployment" not in advise(facts(Kind.DOWNSTREAM, fixed_at=NOW - 30)).reason
