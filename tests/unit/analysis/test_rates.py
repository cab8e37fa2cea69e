import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.analysis.rates import Rates, Totals, Track, drain_seconds, extend, measure
from monitor.model import System, as_floats
from tests.unit.analysis.story import Story

SPAN = 120.0


def rates_of(looks: Sequence[tuple[float, float | None, float | None]]) -> tuple[float, float]:
    """The rates (published, consumed) after looks of (moment, published, consumed)."""
    track: Track = ()
    for at, published, consumed in looks:
        track = extend(track, Totals(as_floats([published]), as_floats([consumed])), at, SPAN)
    rates = measure(track)
    return float(rates.published[0]), float(rates.consumed[0])


def test_one_look_tells_no_rate() -> None:
    assert all(map(math.isnan, rates_of([(0, 100, 50)])))


def test_two_looks_tell_a_rate() -> None:
    assert rates_of([(0, 100, 50), (15, 250, 80)]) == (10.0, 2.0)


def test_a_rate_is_that_of_the_last_span_and_not_of_all_time() -> None:
    busy = [(15.0 * i, 150.0 * i, 0.0) for i in range(100)]
    quiet = [(1_500.0 + 15 * i, 15_000.0, 0.0) for i in range(11)]
    assert rates_of(busy + quiet) == (0.0, 0.0)


def test_a_counter_that_begins_anew_makes_no_negative_rate() -> None:
    published, _ = rates_of([(0, 1_000, 0), (15, 1_150, 0), (30, 20, 0)])
    assert math.isnan(published)
    published, _ = rates_of([(0, 1_000, 0), (15, 1_150, 0), (30, 20, 0), (45, 170, 0)])
    assert published == 10.0


def test_looks_too_far_apart_tell_no_present_rate() -> None:
    assert all(map(math.isnan, rates_of([(0, 100, 50), (3_600, 5_000, 4_000)])))


def test_a_counter_that_is_not_known_for_a_while_is_measured_from_when_it_was() -> None:
    assert rates_of([(0, None, 50), (15, 100, 80), (30, 250, 110)]) == (10.0, 2.0)


@given(st.lists(st.tuples(st.floats(1, 60), st.integers(0, 1_000)), min_size=1, max_size=200))
def test_a_track_stays_small_and_its_rates_between_the_slowest_and_the_fastest(steps: list[tuple[float, int]]) -> None:
    track, at, total = extend((), Totals(np.zeros(1), np.zeros(1)), 0.0, SPAN), 0.0, 0.0
    for pause, more in steps:
        at, total = at + pause, total + more
        track = extend(track, Totals(np.array([total]), np.array([total])), at, SPAN)
        assert len(track) <= 10
    rate = float(measure(track).published[0])
    each = [more / pause for pause, more in steps]
    assert min(each) - 1e-9 <= rate <= max(each) + 1e-9


@pytest.mark.parametrize(
    ("backlog", "published", "consumed", "expected"),
    [
        (0, 5, 0, 0.0),
        (0, None, None, 0.0),
        (100, 5, 15, 10.0),
        (100, 5, 5, math.inf),
        (100, 5, 0, math.inf),
        (100, None, 5, None),
        (None, 5, 15, None),
    ],
)
def test_drain_time(
    backlog: float | None, published: float | None, consumed: float | None, expected: float | None
) -> None:
    rates = Rates(as_floats([published]), as_floats([consumed]))
    (seconds,) = drain_seconds(as_floats([backlog]), rates).tolist()
    assert math.isnan(seconds) if expected is None else seconds == expected


@given(st.floats(1, 1e9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_at_its_drain_time_a_backlog_is_gone(backlog: float, published: float, consumed: float) -> None:
    rates = Rates(np.array([published]), np.array([consumed]))
    (seconds,) = drain_seconds(np.array([backlog]), rates).tolist()
    if math.isinf(seconds):
        assert consumed - published < 1e-290
    else:
        assert backlog + (published - consumed) * seconds == pytest.approx(0, abs=backlog * 1e-6)


def test_verdicts_carry_rates_and_drain_time() -> None:
    story = Story(System.SQS)
    first = story.look((1_000, 100))
    assert (first.published_per_second, first.consumed_per_second, first.drain_seconds) == (None, None, None)
    second = story.look((1_150, 400))
    assert (second.published_per_second, second.consumed_per_second, second.drain_seconds) == (10.0, 20.0, 75.0)
