"""Lag, progress and loss from columns of offsets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.kafka.lag import (
    Lag,
    Progress,
    Retention,
    RowLogs,
    advance,
    find_margin,
    grown,
    measure,
    new_progress_memory,
)
from monitor.brokers.kafka.memory import Memory

NAN = float("nan")


def one(committed: float, start: float, end: float, *, open_: int = 0, none: bool = False, tx: bool = False) -> Lag:
    """Measure one row; its last `open_` records are of an open transaction, `none` says that nothing is committed."""
    logs = RowLogs(np.array([start]), np.array([end]), np.array([end - open_]), np.array([tx]))
    return measure(np.array([committed]), np.array([none]), logs)


def test_lag_is_what_lies_between_the_committed_offset_and_the_end() -> None:
    assert one(400, 0, 1000).messages[0] == 600


def test_what_retention_has_deleted_is_no_lag() -> None:
    lag = one(10, 30, 100)
    assert (lag.messages[0], lag.position[0]) == (70, 30)


@pytest.mark.parametrize("unread", [(NAN, 0, 10), (5, NAN, 10), (5, 0, NAN)])
def test_what_could_not_be_read_is_unknown_and_not_zero(unread: tuple[float, float, float]) -> None:
    lag = one(*unread)
    assert np.isnan(lag.messages[0])
    assert np.isnan(lag.backlog[0])


def test_an_offset_beyond_the_end_is_marked_and_not_clamped_to_zero() -> None:
    lag = one(120, 0, 100)
    assert lag.ahead[0]
    assert np.isnan(lag.messages[0])


def test_without_a_committed_offset_there_is_no_lag_but_of_an_empty_log_nothing_can_wait() -> None:
    empty, filled = one(NAN, 7, 7, none=True), one(NAN, 0, 7, none=True)
    assert np.isnan(empty.messages[0])
    assert empty.backlog[0] == 0
    assert np.isnan(filled.backlog[0])


def test_a_marker_at_the_end_is_lag_to_the_letter_and_no_backlog() -> None:
    marker = one(10, 0, 11, tx=True)
    assert (marker.messages[0], marker.backlog[0]) == (1, 0)
    assert one(10, 0, 11).backlog[0] == 1  # no transaction was ever seen: it is a record
    assert one(9, 0, 11, tx=True).backlog[0] == 2
    assert one(10, 0, 11, open_=1, tx=True).backlog[0] == 1  # of a transaction that is still open


def follow(*looks: tuple[float, float]) -> tuple[list[Progress], Memory]:
    """Progress of one row through looks at (committed offset, log start)."""
    memory = new_progress_memory()
    memory.align(np.array([0]))
    return [advance(memory, np.array([committed]), np.array([start])) for committed, start in looks], memory


def totals(*looks: tuple[float, float]) -> tuple[float, float, float]:
    steps, _ = follow(*looks)
    return tuple(float(sum(getattr(step, name)[0] for step in steps)) for name in ("consumed", "lost", "rewound"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (((100, 0), (150, 0), (180, 0)), (80, 0, 0)),
        (((100, 0), (NAN, 0), (180, 0)), (80, 0, 0)),  # a cycle that could not read it loses nothing
        (((100, 0), (40, 0), (60, 0)), (20, 0, 1)),
        (((10, 0), (10, 30), (10, 50), (10, 50)), (0, 40, 0)),
        (((10, 0), (10, 30), (50, 30)), (20, 20, 0)),  # jumped over what was lost: not consumed
        (((10, 30),), (0, 20, 0)),  # lost before the first look
        (((100, 40), (0, 40), (60, 40)), (20, 0, 1)),  # went back to before the start: it has read there once
        (((100, 0), (500, 300)), (400, 0, 0)),  # deleted behind its back, but read
    ],
)
def test_progress_loss_and_rewinds_add_up(
    looks: tuple[tuple[float, float], ...], expected: tuple[float, float, float]
) -> None:
    assert totals(*looks) == expected


@pytest.mark.parametrize(
    ("looks", "before"),
    [
        (((10, 0), (10, 30)), 0),
        (((10, 30), (10, 35)), 20),
        (((NAN, 30), (10, 30), (10, 31)), 20),  # the offset is first read at the second look
        (((10, NAN), (10, 30), (10, 31)), 20),  # and here the start of the log
        (((10, 0), (NAN, 30), (10, 30)), 0),
    ],
)
def test_what_was_lost_before_a_row_was_seen_whole_is_told_apart(
    looks: tuple[tuple[float, float], ...], before: float
) -> None:
    steps, _ = follow(*looks)
    assert sum(step.lost_before[0] for step in steps) == before


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=20))
def test_counters_never_fall_whatever_happens(looks: list[tuple[int, int]]) -> None:
    starts = np.maximum.accumulate([start for _, start in looks]).tolist()
    steps, _ = follow(*((committed, start) for (committed, _), start in zip(looks, starts, strict=True)))
    assert all(min(step.consumed[0], step.lost[0], step.rewound[0]) >= 0 for step in steps)
    assert sum(step.lost[0] for step in steps) <= starts[-1]


def test_published_counts_nothing_where_a_side_is_unknown_or_the_log_began_anew() -> None:
    before, now = np.array([10.0, NAN, 5, 50]), np.array([15.0, 5, NAN, 3])
    assert grown(before, now).tolist() == [5, 0, 0, 0]


@pytest.mark.parametrize(
    ("backlog", "age", "seconds", "capped", "start", "margin"),
    [
        (6.0, 25.0, 100.0, False, 4.0, 0.75),
        (6.0, 25.0, 100.0, True, 4.0, 0.4),  # of the 10 offsets in the log 4 lie before the oldest unread record
        (6.0, 25.0, 100.0, True, 0.0, 0.75),  # size has not deleted anything yet
        (6.0, np.nan, np.nan, True, 4.0, 0.4),
        (6.0, 900.0, 100.0, True, 4.0, 0.0),
        (6.0, np.nan, np.nan, False, 4.0, np.nan),
        (0.0, np.nan, 100.0, False, 4.0, 1.0),
        (0.0, np.nan, np.nan, True, 4.0, 1.0),
        (np.nan, 25.0, 100.0, True, 4.0, np.nan),
    ],
)
def test_what_is_left_to_the_oldest_unread_record_is_told_of_time_and_of_size(
    backlog: float, age: float, seconds: float, capped: bool, start: float, margin: float
) -> None:
    one = np.array([backlog])
    position = np.array([8.0])
    no = np.array([False])
    lag = Lag(one, one, position, no, no)
    logs = RowLogs(np.array([start]), np.array([14.0]), np.array([14.0]), no)
    found = find_margin(lag, logs, np.array([age]), Retention(np.array([seconds]), np.array([capped])))
    assert found.tolist() == pytest.approx([margin], nan_ok=True)
