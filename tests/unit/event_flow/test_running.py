import logging
import threading
from random import Random

import pytest

from examples.event_flow.buses.base import BusAway
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Contact, Crew, Stop, Worker, keep_connected


class Impatient(Stop):
    """Notes the waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def pause(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return not self.requested


def test_a_session_is_begun_again_after_growing_waits_until_it_ends_by_itself() -> None:
    stop, begun = Impatient(), 0

    def session(contact: Contact) -> None:
        nonlocal begun
        begun += 1
        if begun <= 8:
            raise BusAway("refused")

    keep_connected("orders/kafka", session, stop, Random(1))
    assert begun == 9
    ceilings = [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert all(ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(stop.waits, ceilings, strict=True))


def test_a_bus_that_was_met_in_between_is_tried_again_soon() -> None:
    stop, begun = Impatient(), 0

    def session(contact: Contact) -> None:
        nonlocal begun
        begun += 1
        if begun == 6:
            contact.made()
        if begun <= 6:
            raise BusAway("refused")

    keep_connected("orders/kafka", session, stop, Random(1))
    assert stop.waits[4] > 4
    assert stop.waits[5] <= 0.5


def test_nothing_is_tried_again_after_the_end_was_asked_for() -> None:
    stop, begun = Impatient(), 0

    def session(contact: Contact) -> None:
        nonlocal begun
        begun += 1
        stop.request()
        raise BusAway("refused")

    keep_connected("orders/kafka", session, stop, Random(1))
    assert begun == 1


def test_an_outage_is_logged_at_its_begin_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "event_flow")
    contact = Contact("orders/kafka")
    contact.made()
    for reason in ("refused", "refused", "no answer"):
        contact.lost(reason)
    contact.made()
    contact.made()
    assert [record.message.partition(" after ")[0] for record in caplog.records] == [
        "orders/kafka: the bus is away (refused); trying again",
        "orders/kafka: the bus is back",
    ]


def test_the_end_is_overdue_only_after_the_grace() -> None:
    stop = Stop()
    assert not stop.overdue(0)
    stop.request()
    assert stop.overdue(-1)
    assert not stop.overdue(60)


def test_a_worker_that_breaks_down_ends_the_others_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    stop = Stop()

    def break_down() -> None:
        raise ZeroDivisionError

    def wait_for_the_end() -> None:
        stop.pause(60)

    crew = Crew([Worker("a/x", break_down), Worker("b/x", wait_for_the_end)], stop, Tally())
    crew.start()
    crew.wait(lambda: False)
    assert not crew.end()
    assert [args.exc_type for args in told] == [ZeroDivisionError]


def test_a_crew_whose_work_is_done_has_not_broken_down() -> None:
    crew = Crew([Worker("a/x", lambda: None)], Stop(), Tally())
    crew.start()
    crew.wait(lambda: False)
    assert crew.end()


def test_a_bounded_run_is_settled_when_every_consumer_has_done_with_its_share() -> None:
    tally = Tally()
    workers = [Worker("orders/kafka", lambda: None), Worker("notification/kafka", lambda: None, events_per_order=2)]
    crew = Crew(workers, Stop(), tally)
    for outcome in (Outcome.PROCESSED, Outcome.POSTPONED, Outcome.ABANDONED):
        tally.add("notification/kafka", outcome)
    assert not crew.all_settled(1)
    tally.add("notification/kafka", Outcome.DEAD_LETTERED)
    assert crew.all_settled(1)


def test_a_report_tells_what_is_new_a_line_for_each_service(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "event_flow")
    tally = Tally()
    crew = Crew([Worker("orders/kafka", lambda: None), Worker("payment/aws", lambda: None)], Stop(), tally)
    tally.add("orders/kafka", Outcome.PUBLISHED)
    tally.add("payment/aws", Outcome.PUBLISHED)
    crew.report()
    tally.add("payment/aws", Outcome.PUBLISHED)
    tally.add("payment/aws", Outcome.PUBLISHED)
    crew.report()
    crew.report()
    assert [record.message for record in caplog.records] == [
        "orders: kafka 1 published",
        "payment: aws 1 published",
        "payment: aws 2 published",
    ]
