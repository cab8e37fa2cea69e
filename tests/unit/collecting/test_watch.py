import gc
import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from monitor.analysis.assessment import Rules
from monitor.clock import Clock
from monitor.collecting.store import Occasion, Store
from monitor.collecting.watch import Opener, ReadBy, Watch
from monitor.config import Cluster, KafkaCluster, Owner
from monitor.errors import Forbidden
from monitor.logs import JsonLines
from monitor.model import Floats, Health, Parts, Snapshot, Status, Subscription, System
from tests.unit.collecting.fakes import (
    PATIENCE,
    FakeCollector,
    Fleet,
    SetClock,
    cluster,
    hang_until_closed,
    snapshot,
    wait_for,
)

HURRIED = cluster(interval=60.0, deadline=0.25)


class Cast:
    """A watch over fake collectors, and what its store told."""

    def __init__(
        self,
        opener: Opener,
        section: KafkaCluster | None = None,
        clock: Clock | None = None,
        rules: Callable[[Cluster], Rules] = lambda it: Rules.of(it.interval),
        read_by: ReadBy = lambda _: None,
    ) -> None:
        section, clock = section or cluster(), clock or Clock()
        self.store = Store([section], clock)
        self.told: list[Occasion] = []
        self.store.subscribe(lambda view, occasion: self.told.append(occasion))
        self.watch = Watch(section, opener, self.store, rules, clock, read_by)

    @property
    def health(self) -> Health:
        return self.store.view("orders").health

    def run_aside(self) -> threading.Thread:
        thread = threading.Thread(target=self.watch.run, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Frees, at the end of a test, all that hangs in it."""
    event = threading.Event()
    yield event
    event.set()


def fine(collector: FakeCollector) -> Snapshot:
    return snapshot()


class TestCycles:
    def test_a_cycle_brings_its_snapshot_into_the_store(self) -> None:
        fleet = Fleet(fine)
        cast = Cast(fleet.open)
        cast.watch.run()
        taken = cast.store.view("orders").snapshot
        assert taken is not None
        assert taken.taken_at == 1e9
        assert cast.told == [Occasion.SUCCESS]
        assert 0 <= (cast.health.cycle_seconds or 0) < PATIENCE

    def test_the_collector_stays_from_cycle_to_cycle(self) -> None:
        fleet = Fleet(fine)
        cast = Cast(fleet.open)
        for _ in range(3):
            cast.watch.run()
        assert len(fleet.opened) == 1
        assert not fleet.opened[0].closed.is_set()

    def test_what_a_collector_logs_names_its_cluster_and_the_cycle(self, caplog: pytest.LogCaptureFixture) -> None:
        def speak(collector: FakeCollector) -> Snapshot:
            logging.getLogger("monitor.brokers").warning("a read failed")
            return snapshot()

        caplog.handler.setFormatter(JsonLines())
        cast = Cast(Fleet(speak).open)
        for _ in range(2):
            cast.watch.run()
        told = [json.loads(line) for line in caplog.text.splitlines()]
        assert [(it["message"], it["cluster"], it["cycle"]) for it in told] == [
            ("a read failed", "orders", 1), ("a read failed", "orders", 2)
        ]  # fmt: skip

    def test_it_is_asked_to_be_done_before_it_would_be_given_up(self) -> None:
        fleet, clock = Fleet(fine), SetClock()
        Cast(fleet.open, cluster(deadline=10.0), clock.clock).watch.run()
        assert fleet.opened[0].deadlines == [clock.steady + 8.0]

    def test_each_snapshot_is_judged_in_the_light_of_those_before(self) -> None:
        consumed = iter([900.0, 950.0])

        def busy(collector: FakeCollector) -> Snapshot:
            done = next(consumed)
            subscription = Subscription(
                "orders/g/t", System.KAFKA, "orders", "t", "g", backlog_messages=1_000 - done,
                published_messages_total=1_000.0, consumed_messages_total=done,
            )  # fmt: skip
            return Snapshot("orders", "kafka", 1e9, 0.01, (subscription,))

        cast = Cast(Fleet(busy).open)
        seen = []
        for _ in range(2):
            cast.watch.run()
            seen.append(cast.store.view("orders").verdicts[0].status)
        assert seen == [Status.UNKNOWN, Status.OK]

    def test_no_more_than_the_last_snapshot_is_held(self) -> None:
        columns: list[weakref.ref[Floats]] = []

        def large(collector: FakeCollector) -> Snapshot:
            backlog = np.zeros(3)
            columns.append(weakref.ref(backlog))
            parts = Parts(np.arange(3), np.zeros(3, np.int32), backlog, np.zeros(3), np.zeros(3))
            subscription = Subscription("orders/g/t", System.KAFKA, "orders", "t", "g", backlog_messages=0)
            return Snapshot("orders", "kafka", 1e9, 0.01, (subscription,), parts=parts)

        cast = Cast(Fleet(large).open)
        for _ in range(4):
            cast.watch.run()
        gc.collect()
        assert [column() is not None for column in columns] == [False, False, False, True]


class TestFailures:
    def test_a_broker_error_is_scored_by_its_reason_and_the_collector_stays(self) -> None:
        def refuse(collector: FakeCollector) -> Snapshot:
            raise Forbidden("may not be read", target="topics")

        fleet = Fleet(refuse)
        cast = Cast(fleet.open)
        cast.watch.run()
        cast.watch.run()
        assert cast.told == [Occasion.FAILURE] * 2
        assert cast.health.up is False
        assert cast.health.errors[0].reason == "forbidden"
        assert cast.health.errors_total["forbidden"] == 2
        assert len(fleet.opened) == 1

    def test_what_nobody_foresaw_is_internal_and_the_collector_is_replaced(self) -> None:
        def stumble(collector: FakeCollector) -> Snapshot:
            raise KeyError("x")

        fleet = Fleet(stumble, fine)
        cast = Cast(fleet.open)
        cast.watch.run()
        assert cast.health.errors[0].reason == "internal"
        wait_for(fleet.opened[0].closed.is_set)
        cast.watch.run()
        assert cast.health.up
        assert len(fleet.opened) == 2

    def test_a_collector_that_cannot_be_made_is_a_failure_like_any_other(self) -> None:
        def refuse(section: object) -> FakeCollector:
            raise ValueError("no such profile")

        cast = Cast(refuse)
        cast.watch.run()
        assert (cast.health.up, cast.health.errors[0].reason) == (False, "internal")

    def test_work_that_ends_its_thread_is_a_failure(self) -> None:
        def leave(collector: FakeCollector) -> Snapshot:
            raise SystemExit

        cast = Cast(Fleet(leave, fine).open)
        cast.watch.run()
        assert (cast.health.up, cast.health.errors[0].reason) == (False, "internal")
        cast.watch.run()
        assert cast.health.up


class TestHanging:
    def test_a_cycle_beyond_its_deadline_has_failed_and_its_collector_is_replaced(self) -> None:
        fleet = Fleet(hang_until_closed, fine)
        cast = Cast(fleet.open, HURRIED)
        cast.watch.run()
        assert (cast.health.up, cast.health.errors[0].reason) == (False, "timeout")
        assert 0.2 < (cast.health.cycle_seconds or 0) < PATIENCE
        assert fleet.opened[0].closed.wait(PATIENCE)
        cast.watch.run()
        assert cast.health.up
        assert len(fleet.opened) == 2

    def test_a_result_that_comes_late_changes_nothing(self, gate: threading.Event) -> None:
        handed_over = threading.Event()

        def late(collector: FakeCollector) -> Snapshot:
            gate.wait(PATIENCE)
            handed_over.set()
            return snapshot(taken_at=1.0)

        cast = Cast(Fleet(late, fine).open, HURRIED)
        cast.watch.run()
        cast.watch.run()
        gate.set()
        assert handed_over.wait(PATIENCE)
        cast.watch.run()
        assert cast.told == [Occasion.FAILURE, Occasion.SUCCESS, Occasion.SUCCESS]
        taken = cast.store.view("orders").snapshot
        assert taken is not None
        assert taken.taken_at == 1e9

    def test_one_thread_may_be_lost_and_cycles_go_on(self, gate: threading.Event) -> None:
        def deaf(collector: FakeCollector) -> Snapshot:
            gate.wait(PATIENCE)
            return snapshot()

        cast = Cast(Fleet(deaf, fine).open, HURRIED)
        for _ in range(4):
            cast.watch.run()
        assert cast.told == [Occasion.FAILURE, *[Occasion.SUCCESS] * 3]

    def test_a_second_thread_is_not_given_up_while_the_first_is_lost(self, gate: threading.Event) -> None:
        def deaf(collector: FakeCollector) -> Snapshot:
            gate.wait(PATIENCE)
            return snapshot()

        fleet = Fleet(deaf)
        cast = Cast(fleet.open, HURRIED)
        cast.watch.run()
        second = cast.run_aside()
        wait_for(lambda: len(cast.told) == 2, "the second failure")
        second.join(0.1)
        assert second.is_alive()
        assert len(fleet.opened) == 2
        gate.set()
        second.join(PATIENCE)
        assert not second.is_alive()

    def test_closing_that_hangs_delays_nothing_once_the_thread_is_back(self, gate: threading.Event) -> None:
        fleet = Fleet(hang_until_closed, fine, on_close=lambda: gate.wait(PATIENCE))
        cast = Cast(fleet.open, HURRIED)
        cast.watch.run()
        cast.watch.run()
        assert cast.told == [Occasion.FAILURE, Occasion.SUCCESS]

    def test_a_collector_that_takes_too_long_to_open_is_closed_as_soon_as_it_is_there(
        self, gate: threading.Event
    ) -> None:
        fleet = Fleet(fine)
        first = threading.Event()

        def slow_at_first(section: Cluster) -> FakeCollector:
            if not first.is_set():
                first.set()
                gate.wait(PATIENCE)
            return fleet.open(section)

        cast = Cast(slow_at_first, HURRIED)
        cast.watch.run()
        assert cast.health.errors[0].reason == "timeout"
        cast.watch.run()
        assert cast.health.up
        gate.set()
        wait_for(lambda: len(fleet.opened) == 2, "the late opening")
        assert fleet.opened[1].closed.wait(PATIENCE)
        assert fleet.opened[1].deadlines == []


class TestMissedRuns:
    def test_a_run_that_was_due_during_another_is_told_at_once(self, gate: threading.Event) -> None:
        entered = threading.Event()

        def slow(collector: FakeCollector) -> Snapshot:
            entered.set()
            gate.wait(PATIENCE)
            return snapshot()

        cast = Cast(Fleet(slow).open)
        running = cast.run_aside()
        assert entered.wait(PATIENCE)
        cast.watch.skip()
        wait_for(lambda: cast.health.missed_runs_total == 1, "the missed run")
        assert cast.health.up is None
        gate.set()
        running.join(PATIENCE)
        assert cast.told == [Occasion.MISSED, Occasion.SUCCESS]

    def test_runs_that_the_scheduler_came_too_late_for_are_counted(self) -> None:
        time_set = SetClock()
        cast = Cast(Fleet(fine).open, cluster(interval=15.0), time_set.clock)
        for pause in (15.0, 15.3, 14.7, 61.0, 14.0):
            cast.watch.run()
            time_set.pass_seconds(pause)
        cast.watch.run()
        assert cast.health.missed_runs_total == 3

    def test_small_lateness_is_none_however_often_it_comes(self) -> None:
        time_set = SetClock()
        cast = Cast(Fleet(fine).open, cluster(interval=1.0), time_set.clock)
        for i in range(200):
            cast.watch.run()
            time_set.pass_seconds(1.0 + (0.4 if i % 2 else -0.4))
        assert cast.health.missed_runs_total == 0

    def test_it_says_when_the_scheduler_should_have_come_again(self) -> None:
        time_set = SetClock()
        cast = Cast(Fleet(fine).open, cluster(interval=15.0), time_set.clock)
        assert not cast.watch.overdue()
        cast.watch.run()
        time_set.pass_seconds(29)
        assert not cast.watch.overdue()
        time_set.pass_seconds(2)
        assert cast.watch.overdue()


class TestStopping:
    def test_it_ends_a_hung_cycle_at_once_and_closes_the_collector(self) -> None:
        entered = threading.Event()

        def hang(collector: FakeCollector) -> Snapshot:
            entered.set()
            return hang_until_closed(collector)

        fleet = Fleet(hang)
        cast = Cast(fleet.open, cluster(deadline=60.0))
        running = cast.run_aside()
        assert entered.wait(PATIENCE)
        begun = time.monotonic()
        closing = cast.watch.stop()
        running.join(PATIENCE)
        assert not running.is_alive()
        assert closing is not None
        closing.join(PATIENCE)
        assert fleet.opened[0].closed.is_set()
        assert time.monotonic() - begun < 1.0
        assert cast.told == []

    def test_nothing_is_begun_afterwards(self) -> None:
        fleet = Fleet(fine)
        cast = Cast(fleet.open)
        assert cast.watch.stop() is None
        cast.watch.run()
        assert fleet.opened == []

    def test_between_two_cycles_the_collector_is_closed_as_well(self) -> None:
        fleet = Fleet(fine)
        cast = Cast(fleet.open)
        cast.watch.run()
        closing = cast.watch.stop()
        assert closing is not None
        closing.join(PATIENCE)
        assert fleet.opened[0].closed.is_set()


class TestAnotherReader:
    def test_what_another_monitor_reads_is_left_to_it_and_begun_anew_when_it_comes_back(self) -> None:
        reader: dict[str, str | None] = {}
        fleet = Fleet(fine)
        cast = Cast(fleet.open, read_by=reader.get)
        cast.watch.run()
        reader["orders"] = "http://two"
        cast.watch.run()
        cast.watch.run()
        wait_for(fleet.opened[0].closed.is_set, "the collector to be closed")
        assert cast.told == [Occasion.SUCCESS, Occasion.LEFT]
        assert cast.health.read_by == "http://two"
        reader["orders"] = None
        cast.watch.run()
        assert len(fleet.opened) == 2
        assert cast.health.read_by is None


class TestAnotherConfiguration:
    def test_the_next_cycle_is_judged_by_what_it_says_and_counts_on(self) -> None:
        team = ["checkout"]

        def rules(section: Cluster) -> Rules:
            return Rules.of(section.interval, [Owner(match="*", team=team[0])], left={"orders/g/t": (len(team), 0.0)})

        read = Subscription("orders/g/t", System.KAFKA, "orders", "t", "g")
        cast = Cast(Fleet(lambda _: replace(snapshot(), subscriptions=(read,))).open, rules=rules)
        cast.watch.run()
        team[:] = ["mail", "and", "more"]
        cast.watch.run()
        assert [verdict.owner for verdict in cast.store.view("orders").verdicts] == ["checkout"]
        cast.watch.judge_anew()
        cast.watch.run()
        assert [verdict.owner for verdict in cast.store.view("orders").verdicts] == ["mail"]
