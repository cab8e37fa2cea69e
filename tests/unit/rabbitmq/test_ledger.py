"""What is remembered from cycle to cycle: counters that only rise, arrivals, ages."""

import math

import pytest

from monitor.brokers.rabbitmq.ledger import Accounts, Ledger
from monitor.memory import FORGETFUL, Memory
from monitor.model import AgeMethod
from tests.unit.rabbitmq.builders import nan_equal, readings
from tests.unit.remembering import Kept

START = 1_000_000.0
WORK = (("/", "work"),)


class Story:
    """Cycles of one queue, told as numbers, 10 seconds apart."""

    def __init__(self, memory: Memory = FORGETFUL) -> None:
        self._ledger, self._now, self.ahead = Ledger(memory), START, 0.0

    def then(self, seconds: float = 10.0, **columns: float | None) -> Accounts:
        self._now += seconds
        numbers = readings(WORK, **{name: [value] for name, value in columns.items()})
        return self._ledger.enter(numbers, self._now, self._now + self.ahead)


def counts(published: float, acked: float = 0.0, *, auto_acked: float = 0.0) -> dict[str, float]:
    return {
        "published": published,
        "delivered": acked + auto_acked,
        "acked": acked,
        "auto_acked": auto_acked,
        "redelivered": 0.0,
    }


def age(accounts: Accounts) -> tuple[float, AgeMethod]:
    return round(float(accounts.ages[0]), 3), accounts.methods[0]


# counters


def test_a_counter_that_begins_again_goes_on_from_where_it_was() -> None:
    story = Story()
    totals = [story.then(**counts(value)).counters["published"][0] for value in (100.0, 150.0, 20.0, 30.0)]
    assert totals == [100.0, 150.0, 170.0, 180.0]


def test_a_counter_that_steps_back_a_little_stands_still() -> None:
    # rabbitmq-server#2783, #6929: sums over channels can go down
    story = Story()
    totals = [story.then(**counts(value)).counters["published"][0] for value in (1000.0, 998.0, 1001.0)]
    assert totals == [1000.0, 1000.0, 1001.0]


@pytest.mark.parametrize("after", [74_000.0, 51_000.0, 200.0])
def test_a_counter_that_began_again_and_came_far_within_a_cycle_goes_on(after: float) -> None:
    story = Story()
    story.then(**counts(100_000.0))
    totals = [story.then(**counts(value)).counters["published"][0] for value in (after, after + 10)]
    assert totals == [100_000.0 + after, 100_010.0 + after]


def test_a_counter_that_stays_a_little_below_is_counted_on_from_there() -> None:
    story = Story()
    story.then(**counts(1000.0))
    totals = [story.then(**counts(950.0 + i)).counters["published"][0] for i in range(9)]
    assert totals == [1000.0] * 7 + [1001.0, 1002.0]


def test_counters_go_on_when_the_monitor_is_restarted_after_the_broker() -> None:
    memory = Kept()
    before = Story(memory)
    assert [before.then(**counts(value)).counters["published"][0] for value in (900.0, 40.0)] == [900.0, 940.0]
    assert Story(memory).then(**counts(45.0)).counters["published"][0] == 945.0
    # while nobody looked the broker was restarted once more
    assert Story(memory).then(**counts(3.0)).counters["published"][0] == 948.0


def test_what_went_on_while_the_monitor_was_down_makes_no_arrivals_and_no_ages() -> None:
    memory = Kept()
    Story(memory).then(ready=5.0, unacked=0.0, **counts(100.0, 95.0))
    after = Story(memory)
    first = after.then(ready=5.0)  # what the broker counted is told only later
    assert (first.arrivals[0], age(first)[1]) == (0.0, AgeMethod.UNKNOWN)
    told = after.then(ready=5.0, unacked=0.0, **counts(700.0, 695.0))
    assert (told.arrivals[0], told.counters["acked"][0]) == (0.0, 695.0)
    assert after.then(ready=7.0, unacked=0.0, **counts(702.0, 695.0)).arrivals[0] == 2.0


def test_a_counter_that_is_not_told_is_absent_and_then_goes_on() -> None:
    story = Story()
    story.then(**counts(100.0))
    assert math.isnan(story.then(ready=1.0).counters["published"][0])
    assert story.then(**counts(130.0)).counters["published"][0] == 130.0


def test_what_needs_no_acknowledgement_is_consumed_too() -> None:
    assert Story().then(**counts(10.0, 4.0, auto_acked=3.0)).consumed[0] == 7.0


def test_a_queue_that_comes_back_goes_on_with_its_counters_and_id() -> None:
    ledger, work, other = Ledger(), ("/", "work"), ("/", "other")
    both, alone = (other, work), (other,)
    first = ledger.enter(readings(both, published=[1.0, 10.0]), START, START)
    ledger.enter(readings(alone, published=[1.0]), START + 10, START)
    back = ledger.enter(readings((*both, ("/", "x")), published=[1.0, 4.0, 0.0]), START + 20, START)
    assert nan_equal(back.counters["published"], [1.0, 14.0, 0.0])
    assert back.ids[:2].tolist() == first.ids.tolist()
    assert back.ids[2] not in first.ids


def test_a_queue_that_was_long_gone_is_another_one() -> None:
    ledger, keys = Ledger(), (("/", "work"),)
    first = ledger.enter(readings(keys, published=[10.0]), START, START)
    ledger.enter(readings((("/", "other"),), published=[0.0]), START + 10, START)
    back = ledger.enter(readings((("/", "work"),), published=[4.0]), START + 10_000, START)
    assert back.counters["published"][0] == 4.0
    assert back.ids[0] != first.ids[0]


def test_ids_stay_when_other_queues_come_and_go() -> None:
    ledger = Ledger()
    a, b, c = ("/", "a"), ("/", "b"), ("/", "c")
    before = ledger.enter(readings((a, c), ready=[1.0, 1.0]), START, START)
    after = ledger.enter(readings((a, b, c), ready=[1.0, 1.0, 1.0]), START + 10, START)
    assert after.ids[[0, 2]].tolist() == before.ids.tolist()


# arrivals


def test_arrivals_begin_at_zero_whatever_is_there() -> None:
    assert Story().then(ready=40.0, unacked=0.0, **counts(500.0, 460.0)).arrivals[0] == 0.0


def test_dead_letters_that_no_one_published_are_seen_by_the_depth() -> None:
    story = Story()
    story.then(ready=3.0, unacked=0.0, **counts(0.0))
    assert story.then(ready=5.0, unacked=0.0, **counts(0.0)).arrivals[0] == 2.0


def test_dead_letters_that_are_taken_out_between_two_cycles_are_seen_by_what_was_consumed() -> None:
    story = Story()
    story.then(ready=3.0, unacked=0.0, **counts(0.0, 10.0))
    assert story.then(ready=3.0, unacked=0.0, **counts(0.0, 14.0)).arrivals[0] == 4.0


def test_taking_messages_out_is_no_arrival() -> None:
    story = Story()
    story.then(ready=3.0, unacked=0.0, **counts(0.0))
    assert story.then(ready=0.0, unacked=0.0, **counts(0.0, 3.0)).arrivals[0] == 0.0


def test_counters_that_lag_behind_the_depth_make_no_arrivals() -> None:
    story = Story()
    story.then(ready=10.0, unacked=0.0, **counts(0.0))
    story.then(ready=0.0, unacked=0.0, **counts(0.0))  # taken out, the acknowledgements are not counted yet
    assert story.then(ready=0.0, unacked=0.0, **counts(0.0, 10.0)).arrivals[0] == 0.0


def test_counters_that_become_known_make_no_arrivals() -> None:
    story = Story()
    story.then(ready=10.0, unacked=0.0)
    assert story.then(ready=10.0, unacked=0.0, **counts(7000.0, 6990.0)).arrivals[0] == 0.0
    assert story.then(ready=12.0, unacked=0.0, **counts(7002.0, 6990.0)).arrivals[0] == 2.0


def test_after_a_purge_arrivals_are_counted_on() -> None:
    story = Story()
    story.then(ready=100.0, unacked=0.0, **counts(0.0))
    for _ in range(8):
        story.then(ready=0.0, unacked=0.0, **counts(0.0))
    assert story.then(ready=5.0, unacked=0.0, **counts(0.0)).arrivals[0] == 5.0


def test_arrivals_do_not_go_down_when_a_node_restarts() -> None:
    story = Story()
    story.then(ready=0.0, unacked=0.0, **counts(100.0, 100.0))
    before = story.then(ready=0.0, unacked=0.0, **counts(150.0, 150.0)).arrivals[0]
    after = story.then(ready=0.0, unacked=0.0, **counts(1.0, 1.0)).arrivals[0]
    assert (before, after) == (50.0, 51.0)


# ages


def test_where_nothing_waits_the_age_is_exactly_zero() -> None:
    assert age(Story().then(ready=0.0, unacked=0.0)) == (0.0, AgeMethod.EXACT)


def test_a_message_that_is_being_processed_is_not_done_with() -> None:
    story = Story()
    story.then(ready=0.0, unacked=0.0, **counts(0.0))
    story.then(ready=0.0, unacked=1.0, **counts(1.0))
    assert age(story.then(ready=0.0, unacked=1.0, **counts(1.0)))[1] is AgeMethod.ESTIMATED


def test_the_publishers_timestamp_is_reported() -> None:
    story = Story()
    head = START + 10 - 42
    assert age(story.then(ready=1.0, unacked=0.0, head=head)) == (42.0, AgeMethod.REPORTED)


@pytest.mark.parametrize("head", [START + 5000, START * 1000, 0.0, -5.0])
def test_a_timestamp_that_cannot_be_one_is_passed_over(head: float) -> None:
    assert age(Story().then(ready=1.0, unacked=0.0, head=head))[1] is AgeMethod.UNKNOWN


def test_what_was_there_before_is_at_least_as_old_as_the_watch() -> None:
    story = Story()
    story.then(ready=5.0, unacked=0.0, **counts(100.0, 95.0))
    assert age(story.then(ready=5.0, unacked=0.0, **counts(100.0, 95.0))) == (10.0, AgeMethod.LOWER_BOUND)


def test_the_age_of_a_steady_queue_is_estimated_from_when_its_oldest_message_came() -> None:
    story = Story()
    for cycle in range(30):
        # ten messages a cycle come, the consumer is thirty behind
        accounts = story.then(ready=30.0, unacked=0.0, **counts(10.0 * cycle + 1000, 10.0 * cycle + 970))
    assert accounts.methods[0] is AgeMethod.ESTIMATED
    assert abs(accounts.ages[0] - 30.0) <= 10.0


def test_the_age_goes_by_arrivals_that_no_one_published() -> None:
    story = Story()
    story.then(ready=0.0, unacked=0.0, **counts(0.0))
    story.then(ready=4.0, unacked=0.0, **counts(0.0))
    for _ in range(5):
        accounts = story.then(ready=4.0, unacked=0.0, **counts(0.0))
    assert accounts.methods[0] is AgeMethod.ESTIMATED
    assert 50.0 <= accounts.ages[0] <= 60.0


def test_rejected_messages_do_not_make_the_rest_look_old() -> None:
    story = Story()
    # everything that comes is rejected within the cycle: neither acknowledged nor waiting
    for cycle in range(20):
        accounts = story.then(ready=1.0, unacked=0.0, **counts(100.0 * cycle, 0.0))
    assert accounts.methods[0] is AgeMethod.ESTIMATED
    assert accounts.ages[0] <= 10.0


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_wall_clock_that_jumps_changes_no_estimate(jump: float) -> None:
    story = Story()
    story.then(ready=0.0, unacked=0.0, **counts(0.0))
    story.then(ready=1.0, unacked=0.0, **counts(1.0))
    story.ahead = jump
    assert age(story.then(ready=1.0, unacked=0.0, **counts(1.0))) == (10.0, AgeMethod.ESTIMATED)


def test_without_counters_the_age_of_what_waits_is_unknown() -> None:
    story = Story()
    story.then(ready=5.0)
    assert age(story.then(ready=5.0))[1] is AgeMethod.UNKNOWN


def test_a_queue_that_was_not_read_has_no_age() -> None:
    assert age(Story().then(ready=None, **counts(5.0)))[1] is AgeMethod.UNKNOWN


def test_the_history_reaches_back_to_the_beginning_however_long_it_runs() -> None:
    story = Story()
    story.then(ready=0.0, unacked=0.0, **counts(0.0))
    for _ in range(1000):
        accounts = story.then(ready=1.0, unacked=0.0, **counts(1.0))
    assert accounts.methods[0] is AgeMethod.ESTIMATED
    assert accounts.ages[0] == pytest.approx(10_000.0, rel=0.1)


# repeated deliveries


def delivered(first: float, again: float) -> dict[str, float]:
    return {"delivered": first + again, "redelivered": again}


def test_the_share_of_repeated_deliveries_is_that_of_the_last_ten_minutes() -> None:
    story = Story()
    assert math.isnan(story.then(**delivered(1000.0, 1000.0)).redelivered[0])  # what was before is not counted
    assert story.then(60.0, **delivered(1006.0, 1002.0)).redelivered[0] == 0.25
    story.then(500.0, **delivered(1006.0, 1002.0))
    assert story.then(100.0, **delivered(1010.0, 1002.0)).redelivered[0] == 0.0
    assert math.isnan(story.then(700.0, **delivered(1010.0, 1002.0)).redelivered[0])


def test_the_share_of_repeated_deliveries_is_unknown_without_their_counters_and_never_above_one() -> None:
    story = Story()
    story.then(ready=1.0)
    assert math.isnan(story.then(ready=1.0).redelivered[0])
    story.then(**delivered(0.0, 0.0))
    assert story.then(60.0, delivered=2.0, redelivered=3.0).redelivered[0] == 1.0
