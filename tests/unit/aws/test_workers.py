import threading
import time
from collections.abc import Iterator

import pytest

from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.errors import BrokerError, Forbidden, TimedOut, Unreachable


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(4, Clock())
    yield made
    made.close()


def in_seconds(seconds: float) -> float:
    return time.monotonic() + seconds


def refuse() -> str:
    raise Forbidden("no")


def test_outcomes_come_in_the_order_of_the_calls_and_errors_among_them(workers: Workers) -> None:
    outcomes = workers.run([lambda: "a", refuse, lambda: "c"], in_seconds(10))
    assert (outcomes[0], outcomes[2]) == ("a", "c")
    assert isinstance(outcomes[1], Forbidden)


def test_nothing_to_do_takes_no_time(workers: Workers) -> None:
    assert workers.run([], in_seconds(-1)) == []


def test_no_more_calls_than_threads_are_under_way_at_once(workers: Workers) -> None:
    lock, together, most = threading.Lock(), 0, 0

    def count() -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.001)
        with lock:
            together -= 1

    workers.run([count] * 40, in_seconds(10))
    assert 1 < most <= 4


def test_a_call_that_hangs_costs_itself_and_the_caller_goes_on_at_the_deadline(workers: Workers) -> None:
    let_go = threading.Event()
    began = time.monotonic()
    outcomes = workers.run([lambda: let_go.wait(10), lambda: True], in_seconds(0.05))
    assert time.monotonic() - began < 5
    assert isinstance(outcomes[0], TimedOut)
    assert outcomes[1] is True
    let_go.set()


def test_calls_that_have_not_begun_at_the_deadline_never_begin(workers: Workers) -> None:
    let_go, begun = threading.Event(), threading.Event()
    hanging = [lambda: let_go.wait(10)] * 4
    outcomes = workers.run([*hanging, begun.set], in_seconds(0.05))
    assert all(isinstance(outcome, TimedOut) for outcome in outcomes)
    let_go.set()
    assert workers.run([lambda: "next"], in_seconds(10)) == ["next"]
    assert not begun.is_set()


def test_closing_wakes_whoever_waits(workers: Workers) -> None:
    let_go, outcome = threading.Event(), []

    def wait() -> None:
        try:
            workers.run([lambda: let_go.wait(10)], in_seconds(10))
        except BrokerError as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    workers.close()
    waiting.join(5)
    let_go.set()
    assert isinstance(outcome[0], Unreachable)


def test_a_mistake_in_a_call_reaches_whoever_waits(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        workers.run([lambda: 1 // 0], in_seconds(10))


def test_a_batch_that_is_begun_does_not_wait_for_the_threads_of_one_before(workers: Workers) -> None:
    free = threading.Event()
    before = workers.begin([free.wait] * 2)
    assert workers.run([lambda: "made"] * 2, in_seconds(10)) == ["made"] * 2
    free.set()
    assert workers.wait(before, in_seconds(10)) == [True, True]
