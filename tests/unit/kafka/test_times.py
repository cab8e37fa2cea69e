"""The table of times: when a record came in, from polls and soundings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.brokers.kafka.times import POINTS, Spans, TimeTable, choose_soundings, is_coarse

SLOT = np.array([0])


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def locate(table: TimeTable, position: float) -> Spans:
    return table.locate(SLOT, floats(position))


def polled(*points: tuple[float, float]) -> TimeTable:
    """A table of one partition that was polled at these times, and ended at these offsets."""
    table = TimeTable(1)
    for time, end in points:
        table.observe(SLOT, floats(end), time)
    return table


def test_records_of_one_interval_are_spread_over_it() -> None:
    table = polled((100, 0), (110, 9))
    assert [locate(table, position).guess[0] for position in (0, 4, 8)] == [101, 105, 109]


def test_a_record_is_dated_between_the_two_polls_that_saw_it_come() -> None:
    spans = locate(polled((100, 50), (110, 60), (120, 70)), 65)
    assert (spans.oldest[0], spans.newest[0]) == (110, 120)


def test_before_the_first_poll_only_the_latest_possible_time_is_known() -> None:
    spans = locate(polled((100, 50), (110, 60)), 20)
    assert spans.unbounded[0]
    assert spans.guess[0] == 100


def test_a_log_at_rest_dates_the_next_record_after_the_rest() -> None:
    table = polled(*((100 + 10 * n, 50) for n in range(40)), (500, 51))
    spans = locate(table, 50)
    assert (spans.oldest[0], spans.newest[0]) == (490, 500)
    assert locate(polled((100, 40), (110, 50), (400, 50), (410, 51)), 45).newest[0] == 110


def test_the_stamp_of_a_sounding_dates_its_record_exactly_and_bounds_the_others() -> None:
    table = polled((1000, 100))
    table.insert(SLOT, floats(500), floats(60), floats(510), now=1000)
    assert locate(table, 60).guess[0] == 510
    assert locate(table, 60).width[0] == 0
    assert locate(table, 59).newest[0] == 500  # older than the moment that was asked about
    assert locate(table, 61).oldest[0] == 510


def test_a_sounding_that_finds_no_younger_record_dates_all_of_them_before_it() -> None:
    table = polled((1000, 100))
    table.insert(SLOT, floats(700), floats(np.inf), floats(np.nan), now=1000)
    assert locate(table, 99).newest[0] == 700


def test_stamps_that_contradict_what_was_seen_are_left_out() -> None:
    table = polled((100, 0), (200, 50), (300, 60))
    table.insert(SLOT, floats(150), floats(55), floats(160), now=300)  # 55 came after 200, whatever its producer says
    assert (locate(table, 55).oldest[0], locate(table, 55).newest[0]) == (200, 300)
    table.insert(SLOT, floats(250), floats(58), floats(9_999), now=300)  # a stamp of the future
    assert locate(table, 58).oldest[0] == 250


def test_a_clock_that_is_set_back_does_not_unsort_the_points() -> None:
    spans = locate(polled((100, 10), (50, 20), (120, 30)), 15)
    assert spans.oldest[0] <= spans.newest[0]
    assert locate(polled((100, 10), (50, 20), (120, 30)), 25).newest[0] == 120


def test_partitions_keep_their_points_when_slots_move_and_lose_them_when_cleared() -> None:
    table = TimeTable(2)
    table.observe(np.array([0, 1]), floats(10, 100), 50)
    table.observe(np.array([0, 1]), floats(20, 200), 60)
    moved = table.moved(np.array([1, -1, 0]))
    assert moved.locate(np.array([0, 2]), floats(150, 15)).newest.tolist() == [60, 60]
    moved.clear(np.array([0]))
    moved.observe(np.array([0, 1]), floats(5, 5), 70)
    assert moved.locate(np.array([0, 1]), floats(1, 1)).unbounded.all()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 30)), min_size=2, max_size=120), st.data())
def test_however_many_points_a_record_stays_within_the_times_between_which_it_came(
    steps: list[tuple[float, int]], data: st.DataObject
) -> None:
    times = np.cumsum([gap for gap, _ in steps])
    ends = np.cumsum([count for _, count in steps]).astype(float)
    table = polled(*zip(times.tolist(), ends.tolist(), strict=True))
    if ends[-1] <= ends[0]:
        return
    position = data.draw(st.integers(int(ends[0]), int(ends[-1]) - 1))
    came_by = int(np.searchsorted(ends, position, side="right"))
    spans = locate(table, position)
    assert spans.oldest[0] <= times[came_by - 1]
    assert spans.newest[0] >= times[came_by]
    assert spans.oldest[0] <= spans.guess[0] <= spans.newest[0]
    if came_by == len(steps) - 1 and len(steps) > POINTS:
        assert spans.newest[0] - spans.oldest[0] <= 4 * (times[came_by] - times[came_by - 1] + 50)  # still fine-grained


def test_a_guess_is_coarse_only_by_its_age() -> None:
    assert is_coarse(floats(15, 15, 0.1), floats(8, 3600, 0.5)).tolist() == [True, False, False]


@pytest.mark.parametrize("turn", range(4))
def test_a_sounding_is_always_within_the_span_and_asks_for_the_beginning_where_nothing_is_known(turn: int) -> None:
    table = polled((1000, 100))
    unknown = locate(table, 30)
    assert choose_soundings(unknown, np.array([turn]), 1000.0)[0] == 0
    table.insert(SLOT, floats(0), floats(10), floats(100), now=1000)
    spans = locate(table, 30)
    moment = choose_soundings(spans, np.array([turn]), 1000.0)[0]
    assert spans.oldest[0] < moment < spans.newest[0]
