"""When a job is given up, and how long it waits before that."""

from monitor.errors import BadAnswer, Unreachable
from monitor.redrive.failures import Failures


def after(*errors: Exception) -> Failures:
    failures = Failures()
    for error in errors:
        failures.add(error)  # type: ignore[arg-type]
    return failures


def test_the_same_over_and_over_is_hopeless() -> None:
    assert not after(*[BadAnswer("no")] * 4).is_hopeless
    assert after(*[BadAnswer("no")] * 5).is_hopeless


def test_a_bad_answer_of_a_broker_that_has_just_come_back_is_not() -> None:
    assert not after(*[Unreachable("away")] * 9, BadAnswer("not yet")).is_hopeless


def test_a_job_that_gets_on_begins_anew() -> None:
    failures = after(*[BadAnswer("no")] * 5)
    failures.forget()
    failures.add(BadAnswer("no"))
    assert (failures.is_hopeless, failures.backoff_seconds) == (False, 0.5)


def test_the_wait_grows_up_to_five_seconds() -> None:
    assert [after(*[Unreachable("away")] * number).backoff_seconds for number in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 5.0]
