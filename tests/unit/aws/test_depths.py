import pytest

from monitor.brokers.aws.depths import DepthHistory
from monitor.model import Age, AgeMethod
from tests.unit.aws.builders import queue


def test_the_age_of_an_empty_queue_is_exactly_zero() -> None:
    assert DepthHistory().age_of(queue("q"), 100.0, reported=55.0) == Age(0.0, AgeMethod.EXACT)


def test_a_queue_with_messages_in_flight_only_is_not_empty() -> None:
    history, busy = DepthHistory(), queue("q", in_flight=1.0)
    history.observe(busy, 100.0, 100.0)
    assert history.age_of(busy, 130.0, reported=None) == Age(30.0, AgeMethod.LOWER_BOUND)


def test_a_reported_age_goes_before_one_from_below() -> None:
    history, full = DepthHistory(), queue("q", depth=3)
    history.observe(full, 100.0, 100.0)
    assert history.age_of(full, 130.0, reported=7.0) == Age(7.0, AgeMethod.REPORTED)


def test_messages_are_at_least_as_old_as_the_last_fall_of_the_depth() -> None:
    history = DepthHistory()
    for now, depth in ((100.0, 5), (110.0, 8), (120.0, 6), (130.0, 6)):
        history.observe(queue("q", depth=depth), now, now)
    assert history.age_of(queue("q", depth=6), 140.0, reported=None) == Age(20.0, AgeMethod.LOWER_BOUND)


def test_emptied_and_filled_again_the_age_begins_anew() -> None:
    history = DepthHistory()
    for now, depth in ((100.0, 5), (110.0, 0), (120.0, 2)):
        history.observe(queue("q", depth=depth), now, now)
    assert history.age_of(queue("q", depth=2), 125.0, reported=None) == Age(5.0, AgeMethod.LOWER_BOUND)
    assert history.emptied_at("q") == 110.0
    assert history.oldest_possible(queue("q", depth=2), 125.0) == 15.0


def test_arrivals_add_up_what_the_depth_rose_and_never_go_down() -> None:
    history, seen = DepthHistory(), []
    for now, depth in ((100.0, 5), (110.0, 8), (120.0, 2), (130.0, 3)):
        history.observe(queue("q", depth=depth), now, now)
        seen.append(history.arrivals_of("q"))
    assert seen == [0.0, 3.0, 3.0, 4.0]


def test_peeking_which_puts_messages_in_flight_makes_no_arrivals() -> None:
    history = DepthHistory()
    history.observe(queue("q", depth=5), 100.0, 100.0)
    history.observe(queue("q", depth=2, in_flight=3.0), 110.0, 110.0)
    history.observe(queue("q", depth=5), 120.0, 120.0)
    assert history.arrivals_of("q") == 0.0


def test_all_that_a_queue_made_while_watching_holds_came_while_watching() -> None:
    history = DepthHistory()
    history.observe(queue("old", depth=5), 2_000.0, 2_000.0)
    history.observe(queue("new", depth=4, created_at=2_005.0), 2_010.0, 2_010.0)
    assert (history.arrivals_of("old"), history.arrivals_of("new"), history.arrivals_of("none")) == (0.0, 4.0, None)


@pytest.mark.parametrize("jump", [-8_900.0, 3_600.0])
def test_a_clock_that_is_put_changes_no_age_and_hides_no_reported_one(jump: float) -> None:
    history = DepthHistory()
    history.observe(queue("q"), 9_000.0, 0.0)
    history.observe(queue("q", depth=1), 9_010.0, 10.0)
    history.observe(queue("q", depth=1), 9_020.0 + jump, 20.0)
    assert history.age_of(queue("q", depth=1), 20.0, reported=None) == Age(10.0, AgeMethod.LOWER_BOUND)
    assert history.emptied_at("q") <= 9_020.0 + jump


def test_what_is_gone_is_forgotten() -> None:
    history = DepthHistory()
    history.observe(queue("q", depth=5), 100.0, 100.0)
    history.forget({"other"})
    assert history.arrivals_of("q") is None
