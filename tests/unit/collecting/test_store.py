import pytest

from monitor.collecting.store import Occasion, Store
from monitor.errors import REASONS
from monitor.model import ClusterView, CollectionError, Snapshot, Status, Verdict
from tests.unit.collecting.fakes import SetClock, cluster, snapshot

TIMEOUT = CollectionError("timeout", "orders", "no answer")


@pytest.fixture
def time() -> SetClock:
    return SetClock()


@pytest.fixture
def store(time: SetClock) -> Store:
    return Store([cluster("orders", interval=15.0), cluster("mail", interval=30.0)], time.clock)


@pytest.fixture
def told(store: Store) -> list[tuple[str, Occasion]]:
    told: list[tuple[str, Occasion]] = []
    store.subscribe(lambda view, occasion: told.append((view.health.cluster, occasion)))
    return told


def test_before_the_first_cycle_nothing_is_known_and_counters_are_zero(store: Store) -> None:
    view = store.view("orders")
    assert (view.health.up, view.health.last_success, view.health.cycle_seconds, view.snapshot) == (None,) * 4
    assert dict(view.health.errors_total) == dict.fromkeys(REASONS, 0)
    assert view.health.missed_runs_total == 0


def test_views_come_in_the_order_of_the_configuration(store: Store) -> None:
    store.fail("mail", TIMEOUT, 1.0)
    assert [view.health.cluster for view in store.views()] == ["orders", "mail"]


def test_an_unknown_cluster_is_a_mistake(store: Store) -> None:
    with pytest.raises(KeyError):
        store.view("other")


def test_success_brings_snapshot_verdicts_and_health(store: Store, time: SetClock) -> None:
    verdicts = (Verdict(Status.OK, "nothing waits", 0.0),)
    taken = snapshot()
    store.succeed("orders", taken, verdicts, 0.25)
    view = store.view("orders")
    assert view.snapshot is taken
    assert view.verdicts is verdicts
    assert (view.health.up, view.health.last_success, view.health.cycle_seconds) == (True, time.wall, 0.25)
    assert store.view("mail").snapshot is None


def test_failure_keeps_the_last_values_and_counts(store: Store, time: SetClock) -> None:
    store.succeed("orders", snapshot(), (), 0.25)
    succeeded_at = time.wall
    time.pass_seconds(15)
    store.fail("orders", TIMEOUT, 5.0)
    view = store.view("orders")
    assert view.snapshot is not None
    assert (view.health.up, view.health.last_success, view.health.cycle_seconds) == (False, succeeded_at, 5.0)
    assert view.health.errors == (TIMEOUT,)
    assert view.health.errors_total["timeout"] == 1


def test_errors_inside_a_snapshot_are_counted_and_it_is_still_a_success(store: Store) -> None:
    errors = (TIMEOUT, TIMEOUT, CollectionError("forbidden", "group g", "no"))
    for _ in range(2):
        store.succeed("orders", Snapshot("orders", "kafka", 1e9, 0.1, errors=errors), (), 0.25)
    health = store.view("orders").health
    assert (health.up, health.errors) == (True, errors)
    assert {reason: n for reason, n in health.errors_total.items() if n} == {"timeout": 4, "forbidden": 2}
    assert set(health.errors_total) == set(REASONS)


def test_errors_of_the_last_cycle_go_with_the_next(store: Store) -> None:
    store.fail("orders", TIMEOUT, 5.0)
    store.succeed("orders", snapshot(), (), 0.1)
    health = store.view("orders").health
    assert health.errors == ()
    assert health.errors_total["timeout"] == 1


def test_missed_runs_add_up_and_leave_the_rest(store: Store) -> None:
    store.succeed("orders", snapshot(), (), 0.25)
    store.miss("orders", 1)
    store.miss("orders", 2)
    view = store.view("orders")
    assert view.health.missed_runs_total == 3
    assert view.health.up
    assert view.snapshot is not None


class TestExpiry:
    @pytest.fixture(autouse=True)
    def _succeeded(self, store: Store) -> None:
        store.succeed("orders", snapshot(), (Verdict(Status.OK, "", 0.0),), 0.1)

    def test_values_stay_for_three_intervals_and_then_go(self, store: Store, time: SetClock) -> None:
        time.pass_seconds(45)
        store.expire()
        assert store.view("orders").snapshot is not None
        time.pass_seconds(0.1)
        store.expire()
        view = store.view("orders")
        assert (view.snapshot, view.verdicts) == (None, ())
        assert view.health.up
        assert view.health.last_success is not None

    @pytest.mark.parametrize("happening", ["fail", "miss"])
    def test_a_failed_or_missed_cycle_puts_it_into_effect_too(
        self, store: Store, time: SetClock, happening: str
    ) -> None:
        time.pass_seconds(46)
        if happening == "fail":
            store.fail("orders", TIMEOUT, 5.0)
        else:
            store.miss("orders", 1)
        assert store.view("orders").snapshot is None

    def test_success_brings_them_back(self, store: Store, time: SetClock) -> None:
        time.pass_seconds(500)
        store.expire()
        store.succeed("orders", snapshot(), (), 0.1)
        store.expire()
        assert store.view("orders").snapshot is not None

    @pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
    def test_a_jump_of_the_wall_clock_neither_drops_nor_keeps_them(
        self, store: Store, time: SetClock, jump: float
    ) -> None:
        time.wall += jump
        store.expire()
        assert store.view("orders").snapshot is not None
        time.steady += 46
        store.expire()
        assert store.view("orders").snapshot is None


class TestListeners:
    def test_they_are_told_of_everything_that_changes_once(
        self, store: Store, told: list[tuple[str, Occasion]], time: SetClock
    ) -> None:
        store.succeed("orders", snapshot(), (), 0.1)
        store.fail("mail", TIMEOUT, 1.0)
        store.miss("orders", 1)
        store.expire()
        time.pass_seconds(46)
        store.expire()
        store.expire()
        assert told == [
            ("orders", Occasion.SUCCESS),
            ("mail", Occasion.FAILURE),
            ("orders", Occasion.MISSED),
            ("orders", Occasion.EXPIRED),
        ]

    def test_they_are_given_the_view_that_is_then_to_be_read(self, store: Store) -> None:
        seen: list[tuple[ClusterView, ClusterView]] = []
        store.subscribe(lambda view, occasion: seen.append((view, store.view("orders"))))
        store.succeed("orders", snapshot(), (), 0.1)
        ((given, read),) = seen
        assert given is read

    def test_one_that_fails_keeps_no_other_from_being_told_and_is_counted(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(view: ClusterView, occasion: Occasion) -> None:
            raise OSError("disk full")

        told: list[Occasion] = []
        store.subscribe(broken)
        store.subscribe(lambda view, occasion: told.append(occasion))
        for _ in range(3):
            store.succeed("orders", snapshot(), (), 0.1)
        assert told == [Occasion.SUCCESS] * 3
        assert store.view("orders").health.errors_total["internal"] == 3
        assert store.view("orders").health.up
        (record,) = caplog.records
        assert "broken" in record.getMessage()
        assert "disk full" in record.getMessage()


class TestOtherMonitors:
    def test_a_cluster_that_is_left_has_nothing_but_the_address_of_its_reader(
        self, store: Store, told: list[tuple[str, Occasion]]
    ) -> None:
        store.succeed("orders", snapshot(), (), 0.1)
        store.fail("orders", TIMEOUT, 1.0)
        for address in ("", "http://two", "http://two"):
            store.leave("orders", address)
        view = store.view("orders")
        assert view.snapshot is None
        assert (view.health.up, view.health.last_success, view.health.read_by) == (None, None, "http://two")
        assert set(view.health.errors_total.values()) == {0}
        assert told[2:] == [("orders", Occasion.LEFT)]

    def test_it_is_read_here_again_after_the_first_cycle(self, store: Store) -> None:
        store.leave("orders", "http://two")
        store.fail("orders", TIMEOUT, 1.0)
        assert store.view("orders").health.read_by is None


class TestAnotherConfiguration:
    def test_what_is_known_of_a_cluster_that_stays_goes_on(self, store: Store) -> None:
        store.succeed("orders", snapshot(), (), 0.1)
        store.replace([cluster("orders", interval=2.0), cluster("new")])
        assert store.view("orders").snapshot
        assert store.view("orders").health.interval == 2.0
        assert store.view("orders").health.last_success

    def test_listeners_hear_what_goes_and_what_comes(self, store: Store, told: list[tuple[str, Occasion]]) -> None:
        store.replace([cluster("orders", interval=15.0), cluster("new")])
        store.succeed("new", snapshot("new"), (), 0.1)
        assert told == [("mail", Occasion.LEFT), ("new", Occasion.ADDED), ("new", Occasion.SUCCESS)]
        assert [view.health.cluster for view in store.views()] == ["orders", "new"]

    def test_what_comes_late_of_a_cluster_that_is_gone_changes_nothing(
        self, store: Store, told: list[tuple[str, Occasion]]
    ) -> None:
        store.replace([cluster("orders", interval=15.0)])
        told.clear()
        store.succeed("mail", snapshot("mail"), (), 0.1)
        store.leave("mail", "")
        assert told == []
