"""Lanes of calls, with futures that the test resolves and a clock that it moves: no broker is slow on demand."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.brokers.kafka.lanes import Call, Lanes
from monitor.errors import BrokerError, TimedOut, Unreachable


class Broker:
    """Answers calls at once, with an error, or never."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.asked = 0
        self.most_at_once = 0
        self.open: list[Future[Any]] = []

    def call(self, key: str) -> Call[str]:
        def start(_seconds: float) -> Future[Any]:
            self.asked += 1
            future: Future[Any] = Future()
            if isinstance(self.answer, Exception):
                future.set_exception(self.answer)
            elif self.answer is not None:
                future.set_result(f"{self.answer}-{key}")
            else:
                self.open.append(future)
                self.most_at_once = max(self.most_at_once, len(self.open))
            return future

        return Call(key, start, lambda result: result)


class Hours:
    """A clock that moves by a second each time somebody waits in vain."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def tick(self) -> None:
        self.now += 1.0


def run(lanes: dict[int, list[Call[str]]], seconds: float = 10) -> tuple[dict[str, str | BrokerError], Lanes[str]]:
    clock = Hours()
    running = Lanes(lanes, seconds, clock)
    return {call.key: result for call, result in running.run(clock.tick)}, running


def test_every_call_is_answered_once() -> None:
    broker = Broker("ok")
    results, running = run({1: [broker.call(str(number)) for number in range(200)], 2: [broker.call("x")]})
    assert len(results) == 201
    assert results["7"] == "ok-7"
    assert running.hung == []


def test_a_broker_that_hangs_costs_only_its_own_lane() -> None:
    good, bad = Broker("ok"), Broker()
    results, running = run(
        {1: [bad.call(f"bad{n}") for n in range(100)], 2: [good.call(f"good{n}") for n in range(100)]}
    )
    assert all(results[f"good{n}"] == f"ok-good{n}" for n in range(100))
    assert all(isinstance(results[f"bad{n}"], TimedOut) for n in range(100))
    assert bad.asked < 100  # after the silence no more of it is asked
    assert len(running.hung) == bad.asked


def test_at_most_a_window_of_calls_is_under_way() -> None:
    broker = Broker()
    run({1: [broker.call(str(number)) for number in range(500)]})
    assert broker.most_at_once == 64


def test_a_timeout_ends_its_lane_and_other_errors_do_not() -> None:
    hung = Broker(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    refusing = Broker(KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)))
    lanes = {1: [hung.call(f"h{n}") for n in range(100)], 2: [refusing.call(f"r{n}") for n in range(100)]}
    results, running = run(lanes)
    assert len(results) == 200
    assert hung.asked < 100
    assert refusing.asked == 100
    assert running.hung == []


def test_a_late_answer_of_a_lane_that_was_given_up_is_not_told_twice() -> None:
    bad, clock = Broker(), Hours()
    running = Lanes({1: [bad.call("a")], 2: [bad.call("b")]}, 10, clock)
    seen: list[str] = []
    for call, _ in running.run(clock.tick):
        seen.append(call.key)
        for future in bad.open:
            if not future.done():
                future.set_result("late")
    assert sorted(seen) == ["a", "b"]


def test_a_call_that_cannot_even_be_started_is_told_and_the_rest_goes_on() -> None:
    def refuse(_seconds: float) -> Future[Any]:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    results, _ = run({1: [Call("broken", refuse, lambda result: result), Broker("ok").call("next")]})
    assert isinstance(results["broken"], Unreachable)
    assert results["next"] == "ok-next"


def test_without_time_nothing_is_asked() -> None:
    broker = Broker("ok")
    results, _ = run({1: [broker.call("a")]}, seconds=0)
    assert isinstance(results["a"], TimedOut)
    assert broker.asked == 0


def test_closing_in_the_middle_ends_the_run() -> None:
    def close() -> None:
        raise Unreachable("closed")

    running = Lanes({1: [Broker().call("a")]}, 10, Hours())
    with pytest.raises(Unreachable, match="closed"):
        list(running.run(close))
