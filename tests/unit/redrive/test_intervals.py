"""Sets of offsets, against Python's own sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.kafka.intervals import Intervals

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@given(spans, st.integers(0, 60), st.integers(0, 60))
def test_they_are_sets_of_numbers(given_spans: list[tuple[int, int]], low: int, high: int) -> None:
    intervals = Intervals(given_spans)
    numbers = {number for start, end in given_spans for number in range(start, end)}
    assert {number for start, end in intervals for number in range(start, end)} == numbers
    assert all((number in intervals) == (number in numbers) for number in range(62))
    assert intervals.count(low, high) == len(numbers & set(range(low, high)))
    assert intervals.after(low) == next(number for number in range(low, 200) if number not in numbers)
    pairs = list(intervals)
    assert all(end < start for (_, end), (start, _) in pairwise(pairs)), "they touch"
