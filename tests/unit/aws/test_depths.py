import pytest

from monitor.brokers.aws.depths import DepthHistory, tell_age
from monitor.model import Age, AgeMethod
from tests.unit.aws.builders import queue
from tests.unit.remembering import Kept


def test_the_age_of_an_empty_queue_is_exactly_zero() -> None:
    assert tell_age(queue("q"), reported=55.0) == Age(0.0, AgeMethod.EXACT)


def test_a_queue_with_messages_in_flight_only_is_not_empty() -> None:
    assert tell_age(queue("q", in_flight=1.0), reported=None) == Age.unknown()


def test_the_age_is_the_reported_one() -> None:
    assert tell_age(queue("q", depth=3), reported=7.0) == Age(7.0, AgeMethod.REPORTED)


def test_a_depth_that_only_rises_says_nothing_about_ages() -> None:
    """100 a second come and 99 are taken: after an hour 3,600 wait, and the oldest of them came 36 s ago."""
    history = DepthHistory()
    for second in range(0, 3_601, 60):
        history.observe(queue("q", depth=float(second)), 100.0 + second)
    assert tell_age(queue("q", depth=3_600), reported=None) == Age.unknown()


def test_emptied_and_filled_again_no_message_is_older_than_that() -> None:
    history = DepthHistory()
    for now, depth in ((100.0, 5), (110.0, 0), (120.0, 2)):
        history.observe(queue("q", depth=depth), now)
    assert history.emptied_at("q") == 110.0
    assert history.oldest_possible(queue("q", depth=2), 125.0) == 15.0


def test_arrivals_add_up_what_the_depth_rose_and_never_go_down() -> None:
    history, seen = DepthHistory(), []
    for now, depth in ((100.0, 5), (110.0, 8), (120.0, 2), (130.0, 3)):
        history.observe(queue("q", depth=depth), now)
        seen.append(history.arrivals_of("q"))
    assert seen == [0.0, 3.0, 3.0, 4.0]


def test_peeking_which_puts_messages_in_flight_makes_no_arrivals() -> None:
    history = DepthHistory()
    history.observe(queue("q", depth=5), 100.0)
    history.observe(queue("q", depth=2, in_flight=3.0), 110.0)
    history.observe(queue("q", depth=5), 120.0)
    assert history.arrivals_of("q") == 0.0


def test_all_that_a_queue_made_while_watching_holds_came_while_watching() -> None:
    history = DepthHistory()
    history.observe(queue("old", depth=5), 2_000.0)
    history.observe(queue("new", depth=4, created_at=2_005.0), 2_010.0)
    assert (history.arrivals_of("old"), history.arrivals_of("new"), history.arrivals_of("none")) == (0.0, 4.0, None)


@pytest.mark.parametrize("jump", [-8_900.0, 3_600.0])
def test_a_clock_that_is_put_hides_no_reported_age(jump: float) -> None:
    history = DepthHistory()
    history.observe(queue("q"), 9_000.0)
    history.observe(queue("q", depth=1), 9_010.0)
    history.observe(queue("q", depth=1), 9_020.0 + jump)
    assert history.emptied_at("q") <= 9_020.0 + jump


def test_what_is_gone_is_forgotten() -> None:
    history = DepthHistory()
    history.observe(queue("q", depth=5), 100.0)
    history.settle({"other"})
    assert history.arrivals_of("q") is None


def test_when_a_queue_was_last_seen_empty_is_known_after_a_restart() -> None:
    memory, names = Kept(), {"q", "r", "made"}
    first = DepthHistory(memory)
    for now, depth in ((100.0, 0), (110.0, 4)):
        for name in names:
            first.observe(queue(name, depth=depth), now)
    first.settle(names)
    second = DepthHistory(memory)
    second.observe(queue("q", depth=4), 9_000.0)
    second.observe(queue("made", depth=4, created_at=60.0), 9_000.0)
    second.settle(names)
    assert second.oldest_possible(queue("q", depth=4), 9_000.0) == 8_900.0
    assert second.emptied_at("made") == 0.0  # another queue of the same name
    third = DepthHistory(memory)  # and so is what the second could not read
    third.observe(queue("r", depth=4), 9_100.0)
    assert third.emptied_at("r") == 100.0
