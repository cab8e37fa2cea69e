import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from pybreaker import CircuitBreaker
from tenacity import wait_fixed

from examples.event_flow import handling
from examples.event_flow.events import Data, OrderCreated, PaymentProcessed, to_bytes, to_document
from examples.event_flow.handling import (
    DownstreamFailed,
    DownstreamRefused,
    Failure,
    Handler,
    Policy,
    Reaction,
)
from examples.event_flow.inbox import Inbox
from examples.event_flow.metrics import Metrics
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.shop import order_created, payment_processed, purchases

PURCHASE = next(purchases(1, 0.0))
NOW = datetime(2026, 1, 31, tzinfo=UTC)
ORDER = to_bytes(to_document(order_created(PURCHASE, NOW)))
PAYMENT = to_bytes(to_document(payment_processed(PURCHASE, NOW)))
TABLES = "CREATE TABLE IF NOT EXISTS effects (bus TEXT, order_id TEXT)"
RETRY_SECONDS = 0.25


def note(db: sqlite3.Connection, bus: str, data: Any) -> None:
    db.execute("INSERT INTO effects VALUES (?, ?)", (bus, data.order_id))


class Call:
    """Fails as often as told, then succeeds; notes the keys of its calls."""

    def __init__(self, failures: int = 0, error: type[DownstreamFailed] = DownstreamFailed) -> None:
        self.failures, self.error = failures, error
        self.keys: list[str] = []

    def __call__(self, key: str, data: Any) -> None:
        self.keys.append(key)
        if len(self.keys) <= self.failures:
            raise self.error(f"call {len(self.keys)} failed")


class Pauses:
    """Notes the waits instead of waiting; ends the service after `allowed` of them."""

    def __init__(self, allowed: int = 1000) -> None:
        self.seconds: list[float] = []
        self._allowed = allowed

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) <= self._allowed


class Bench:
    """A handler of orders with a store of its own."""

    def __init__(self, path: Path) -> None:
        self.inbox = Inbox(path, TABLES, "kafka", lambda: 0.0)
        self.metrics = Metrics(Tally())
        self.breaker = CircuitBreaker(fail_max=100, exclude=[DownstreamRefused], throw_new_error_on_trip=False)
        self.policy = Policy(attempts=3, wait=wait_fixed(RETRY_SECONDS), breaker=self.breaker)
        self.path = path

    def handler(self, call: Call, told: type[Data] = OrderCreated, **policy: Any) -> Handler:
        reactions = {told: Reaction(call, note)}
        meter = self.metrics.meter("notification", "kafka")
        return Handler("notification", "kafka", reactions, replace(self.policy, **policy), self.inbox, meter)

    def effects(self) -> list[tuple[str, str]]:
        db = sqlite3.connect(self.path)
        try:
            return db.execute("SELECT * FROM effects").fetchall()
        finally:
            db.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "notification.db")
    yield bench
    bench.inbox.close()


EFFECT = ("kafka", PURCHASE.order.order_id)


def test_an_event_that_comes_again_is_not_processed_again(bench: Bench) -> None:
    call = Call()
    handling = bench.handler(call)
    assert [handling.handle(ORDER, Pauses()) for _ in range(3)] == [Outcome.PROCESSED, *[Outcome.DUPLICATE] * 2]
    assert (len(call.keys), bench.effects()) == (1, [EFFECT])


def test_an_event_that_another_process_has_settled_meanwhile_has_one_effect_and_one_key(bench: Bench) -> None:
    quicker = Inbox(bench.path, TABLES, "kafka", lambda: 0.0)

    class Overtaken(Call):
        def __call__(self, key: str, data: Any) -> None:
            super().__call__(key, data)
            other = Handler("n", "kafka", {OrderCreated: Reaction(first, note)}, bench.policy, quicker, meter)
            assert other.handle(ORDER, Pauses()) is Outcome.PROCESSED

    first, second, meter = Call(), Overtaken(), bench.metrics.meter("n", "kafka")
    # One breaker lets one call through at a time: each process has its own.
    own = CircuitBreaker()
    assert bench.handler(second, breaker=own).handle(ORDER, Pauses()) is Outcome.DUPLICATE
    quicker.close()
    assert bench.effects() == [EFFECT]
    assert set(first.keys) == set(second.keys)


def test_what_came_by_one_bus_is_no_duplicate_on_another(bench: Bench) -> None:
    bench.handler(Call()).handle(ORDER, Pauses())
    other = Inbox(bench.path, TABLES, "aws", lambda: 0.0)
    meter = bench.metrics.meter("notification", "aws")
    handling = Handler("notification", "aws", {OrderCreated: Reaction(Call(), note)}, bench.policy, other, meter)
    assert handling.handle(ORDER, Pauses()) is Outcome.PROCESSED
    other.close()
    assert bench.effects() == [EFFECT, ("aws", PURCHASE.order.order_id)]


def test_what_was_processed_is_known_after_a_restart_and_forgotten_after_all_retention(bench: Bench) -> None:
    bench.handler(Call()).handle(ORDER, Pauses())
    event = order_created(PURCHASE, NOW)
    for days, known in ((14, True), (16, False)):
        later = Inbox(bench.path, TABLES, "kafka", lambda days=days: days * 86_400.0)  # type: ignore[misc]
        assert later.knows(event.id) is known
        later.close()


def test_an_event_that_nobody_wants_is_ignored(bench: Bench) -> None:
    call = Call()
    assert bench.handler(call).handle(PAYMENT, Pauses()) is Outcome.IGNORED
    assert call.keys == []
    assert bench.handler(call, PaymentProcessed).handle(PAYMENT, Pauses()) is Outcome.PROCESSED


def test_a_failure_that_heals_is_retried_after_a_wait_under_the_same_key(bench: Bench) -> None:
    call, pauses = Call(failures=2), Pauses()
    assert bench.handler(call).handle(ORDER, pauses) is Outcome.PROCESSED
    assert (len(call.keys), len(set(call.keys))) == (3, 1)
    assert pauses.seconds == [RETRY_SECONDS] * 2
    assert b'event_flow_retries_total{bus="kafka",service="notification"} 2.0' in generate_latest(
        bench.metrics.registry
    )


def test_a_failure_that_does_not_heal_is_given_up_after_the_last_attempt(bench: Bench) -> None:
    call, pauses = Call(failures=100), Pauses()
    verdict = bench.handler(call, attempts=4).handle(ORDER, pauses)
    assert isinstance(verdict, Failure)
    assert (verdict.attempts, len(call.keys), len(pauses.seconds)) == (4, 4, 3)
    assert verdict.message == "notification: call 4 failed"
    assert verdict.class_name == "examples.event_flow.handling.HandlingFailed"
    assert verdict.cause_class_name == "examples.event_flow.handling.DownstreamFailed"
    assert "in __call__" in verdict.stacktrace
    assert bench.effects() == []


def test_an_event_that_was_given_up_is_tried_again_when_it_comes_back(bench: Bench) -> None:
    handling = bench.handler(Call(failures=3))
    assert isinstance(handling.handle(ORDER, Pauses()), Failure)
    assert handling.handle(ORDER, Pauses()) is Outcome.PROCESSED


def test_a_payload_that_cannot_be_read_is_not_tried_twice(bench: Bench) -> None:
    call, pauses = Call(), Pauses()
    verdict = bench.handler(call).handle(ORDER[:50], pauses)
    assert isinstance(verdict, Failure)
    assert (verdict.attempts, call.keys, pauses.seconds) == (1, [], [])
    assert verdict.cause_class_name == "examples.event_flow.schemas.Unparseable"


def test_a_service_that_ends_leaves_the_message_to_the_bus(bench: Bench) -> None:
    call = Call(failures=100)
    assert bench.handler(call, attempts=10).handle(ORDER, Pauses(allowed=1)) is Outcome.ABANDONED
    assert len(call.keys) == 2


def test_a_long_stacktrace_keeps_its_end(bench: Bench) -> None:
    class Wordy(Call):
        def __call__(self, key: str, data: Any) -> None:
            raise DownstreamFailed("x" * 20_000 + " the end")

    verdict = bench.handler(Wordy(), attempts=1).handle(ORDER, Pauses())
    assert isinstance(verdict, Failure)
    assert len(verdict.stacktrace) == 8_000
    assert verdict.stacktrace.endswith("the end\n")


def test_an_open_circuit_holds_the_message_asks_nothing_and_goes_on_when_downstream_is_back(bench: Bench) -> None:
    breaker = CircuitBreaker(fail_max=2, reset_timeout=3600, throw_new_error_on_trip=False)
    call = Call(failures=2)
    looks = 0

    def pause(seconds: float) -> bool:
        nonlocal looks
        if seconds == RETRY_SECONDS:
            return True
        assert len(call.keys) == 2, "an open circuit lets no call through"
        looks += 1
        if looks == 3:
            breaker.half_open()
        return True

    assert bench.handler(call, breaker=breaker).handle(ORDER, pause) is Outcome.PROCESSED
    assert (looks, breaker.current_state, bench.effects()) == (3, "closed", [EFFECT])


def test_a_message_that_every_trial_dies_of_is_given_up_in_the_end(bench: Bench) -> None:
    breaker = CircuitBreaker(fail_max=1, reset_timeout=0, throw_new_error_on_trip=False)
    call = Call(failures=1000)
    verdict = bench.handler(call, breaker=breaker).handle(ORDER, Pauses())
    assert isinstance(verdict, Failure)
    assert len(call.keys) == 3 * (1 + handling._TRIALS)


def test_a_refusal_says_nothing_about_the_health_of_what_refuses(bench: Bench) -> None:
    breaker = CircuitBreaker(fail_max=1, exclude=[DownstreamRefused], throw_new_error_on_trip=False)
    call = Call(failures=3, error=DownstreamRefused)
    assert isinstance(bench.handler(call, breaker=breaker).handle(ORDER, Pauses()), Failure)
    assert breaker.current_state == "closed"
