from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

from examples.event_flow.events import OrderCreated, PaymentProcessed, to_bytes, to_document
from examples.event_flow.handling import DownstreamFailed, Failure, Handler, Outcome, Retry, SeenIds
from examples.event_flow.shop import order_created, payment_processed, purchases

PURCHASE = next(purchases(1, 0.0))
NOW = datetime(2026, 1, 31, tzinfo=UTC)
ORDER = to_bytes(to_document(order_created(PURCHASE, NOW)))
PAYMENT = to_bytes(to_document(payment_processed(PURCHASE, NOW)))


class Reaction:
    """Fails as often as told, then succeeds; counts its calls."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self, data: Any) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise DownstreamFailed(f"call {self.calls} failed")


class Pauses:
    """Notes the waits instead of waiting; ends the service after `allowed` of them."""

    def __init__(self, allowed: int = 1000) -> None:
        self.seconds: list[float] = []
        self._allowed = allowed

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) <= self._allowed


def handler(reaction: Callable[[Any], None], attempts: int = 3, seen: SeenIds | None = None) -> Handler:
    retry = Retry(attempts=attempts, first_wait_seconds=0.2, rng=Random(1))
    return Handler("notification", {OrderCreated: reaction}, retry, seen or SeenIds())


def test_an_event_that_comes_again_is_not_processed_again() -> None:
    reaction = Reaction()
    handling = handler(reaction)
    assert [handling.handle(ORDER, Pauses()) for _ in range(3)] == [Outcome.PROCESSED, *[Outcome.DUPLICATE] * 2]
    assert reaction.calls == 1


def test_an_event_that_nobody_wants_is_ignored() -> None:
    reaction = Reaction()
    assert handler(reaction).handle(PAYMENT, Pauses()) is Outcome.IGNORED
    assert reaction.calls == 0


def test_a_reaction_is_chosen_by_the_kind_of_data() -> None:
    orders, payments = Reaction(), Reaction()
    handling = Handler("n", {OrderCreated: orders, PaymentProcessed: payments}, Retry(1, 0.1, Random(1)), SeenIds())
    handling.handle(PAYMENT, Pauses())
    assert (orders.calls, payments.calls) == (0, 1)


def test_a_failure_that_heals_is_retried_with_growing_waits() -> None:
    reaction, pauses = Reaction(failures=2), Pauses()
    assert handler(reaction).handle(ORDER, pauses) is Outcome.PROCESSED
    assert reaction.calls == 3
    first, second = pauses.seconds
    assert 0.1 <= first <= 0.2 <= second <= 0.4


def test_a_failure_that_does_not_heal_is_given_up_after_the_last_attempt() -> None:
    reaction, pauses = Reaction(failures=100), Pauses()
    verdict = handler(reaction, attempts=4).handle(ORDER, pauses)
    assert isinstance(verdict, Failure)
    assert (verdict.attempts, reaction.calls, len(pauses.seconds)) == (4, 4, 3)
    assert verdict.message == "notification: call 4 failed"
    assert verdict.class_name == "examples.event_flow.handling.HandlingFailed"
    assert verdict.cause_class_name == "examples.event_flow.handling.DownstreamFailed"
    assert "in __call__" in verdict.stacktrace


def test_an_event_that_was_given_up_is_tried_again_when_it_comes_back() -> None:
    reaction = Reaction(failures=3)
    handling = handler(reaction)
    assert isinstance(handling.handle(ORDER, Pauses()), Failure)
    assert handling.handle(ORDER, Pauses()) is Outcome.PROCESSED


def test_a_payload_that_cannot_be_read_is_not_tried_twice() -> None:
    reaction, pauses = Reaction(), Pauses()
    verdict = handler(reaction).handle(ORDER[:50], pauses)
    assert isinstance(verdict, Failure)
    assert (verdict.attempts, reaction.calls, pauses.seconds) == (1, 0, [])
    assert verdict.cause_class_name == "examples.event_flow.events.Unparseable"


def test_a_service_that_ends_leaves_the_message_to_the_bus() -> None:
    reaction = Reaction(failures=100)
    assert handler(reaction, attempts=10).handle(ORDER, Pauses(allowed=1)) is Outcome.ABANDONED
    assert reaction.calls == 2


def test_a_long_stacktrace_keeps_its_end() -> None:
    def reaction(_: object) -> None:
        raise DownstreamFailed("x" * 20_000 + " the end")

    verdict = handler(reaction, attempts=1).handle(ORDER, Pauses())
    assert isinstance(verdict, Failure)
    assert len(verdict.stacktrace) == 8_000
    assert verdict.stacktrace.endswith("the end\n")


def test_only_so_many_ids_are_remembered() -> None:
    seen = SeenIds(capacity=2)
    for event_id in ("a", "b", "c"):
        seen.add(event_id)
    assert [event_id in seen for event_id in ("a", "b", "c")] == [False, True, True]
