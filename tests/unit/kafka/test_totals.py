"""Counters of groups go on where another collector left them, and never go back a little."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from monitor.brokers.kafka.lag import RowLogs
from monitor.brokers.kafka.rows import Rows
from monitor.brokers.kafka.totals import Totals
from monitor.model import Labels
from tests.unit.remembering import Kept

NOW = 1_700_000_000.0


def rows(partitions: int = 2, pair: int = 7) -> Rows:
    """One group that reads one topic."""
    codes = np.zeros(1, dtype=np.int32)
    ids = np.arange(partitions, dtype=np.int64)
    return Rows(
        groups=("g",),
        ids=ids,
        slot=ids,
        pair=np.zeros(partitions, dtype=np.int32),
        first=np.zeros(1, dtype=np.int64),
        pair_ids=np.array([pair], dtype=np.int64),
        pair_group=codes,
        pair_topic=codes,
        labels=(),
        pair_labels=(Labels("group", ("g",), codes), Labels("topic", ("t",), codes)),
        names=(),
    )


def look(
    totals: Totals,
    committed: Sequence[float],
    ends: Sequence[float],
    starts: Sequence[float] | None = None,
    seen: Rows | None = None,
    now: float = NOW,
    **growth: Sequence[float],
) -> Mapping[str, float]:
    """Add one cycle; return the counters."""
    seen = seen or rows(len(committed))
    nothing = dict.fromkeys(("published", "consumed", "lost", "lost_before", "rewinds"), np.zeros(len(committed)))
    grown = {name: np.array(values, dtype=np.float64) for name, values in growth.items()}
    logs = RowLogs(
        np.array(starts or np.zeros(len(committed)), dtype=np.float64),
        np.array(ends, dtype=np.float64),
        np.array(ends, dtype=np.float64),
        np.zeros(len(committed), dtype=bool),
    )
    totals.add(seen, {**nothing, **grown}, np.array(committed, dtype=np.float64), logs, now)
    return {name: float(totals.columns[name][0]) for name in ("published", "consumed", "lost", "rewinds")}


def news(totals: Totals) -> float:
    """How many of the lost messages went while somebody watched, or since a collector before this one looked."""
    return float(totals.columns["lost_while_watched"][0])


def test_the_next_collector_counts_on_with_what_went_on_in_between() -> None:
    memory = Kept()
    first = Totals(memory)
    look(first, [10, 10], [20, 20])
    look(first, [15, 10], [30, 20], consumed=[5, 0], published=[10, 0])
    # Nobody looked while five more were consumed and seven published.
    assert look(Totals(memory), [18, 12], [35, 22]) == {"consumed": 10, "published": 17, "lost": 0, "rewinds": 0}


def test_a_crash_after_the_last_save_takes_nothing_back() -> None:
    memory = Kept()
    first = Totals(memory)
    look(first, [10, 10], [20, 20])
    saved = dict(memory.tables)
    shown = look(first, [18, 12], [40, 20], consumed=[8, 2], published=[20, 0])
    memory.tables = saved
    assert look(Totals(memory), [18, 12], [40, 20]) == shown


@pytest.mark.parametrize(
    ("committed", "ends"),
    [([np.nan, 12], [40, 20]), ([18, 12, 1], [40, 20, 2]), ([5, 5], [40, 20])],
    ids=["not all read", "more partitions", "went back"],
)
def test_consumed_begins_at_zero_where_it_cannot_be_told_what_went_on(
    committed: Sequence[float], ends: Sequence[float]
) -> None:
    memory = Kept()
    first = Totals(memory)
    look(first, [10, 10], [20, 20])
    look(first, [15, 10], [20, 20], consumed=[5, 0], lost=[3, 0], rewinds=[1, 0])
    resumed = look(Totals(memory), committed, ends)
    assert (resumed["consumed"], resumed["lost"], resumed["rewinds"]) == (0, 3, 1)


def test_a_loss_that_still_stands_is_not_told_twice_and_one_that_came_meanwhile_is() -> None:
    memory = Kept()
    first = Totals(memory)
    assert look(first, [10], [50], [30], lost=[20], lost_before=[20])["lost"] == 20
    # A first look finds everything between the committed offset and the log's start.
    second, third = Totals(memory), Totals(memory)
    assert look(second, [10], [50], [30], lost=[20], lost_before=[20])["lost"] == 20
    assert look(third, [10], [50], [35], lost=[25], lost_before=[25])["lost"] == 25
    assert (news(first), news(second), news(third)) == (0, 0, 5)


def test_a_loss_that_was_there_at_the_first_look_is_counted_and_no_news() -> None:
    totals = Totals(Kept())
    assert look(totals, [10], [50], [30], lost=[20], lost_before=[20])["lost"] == 20
    assert news(totals) == 0
    assert look(totals, [10], [50], [34], lost=[4])["lost"] == 24
    assert news(totals) == 4


def test_a_partition_that_is_read_late_after_a_start_tells_no_loss_again() -> None:
    memory, whole = Kept(), ([10, 10], [50, 50], [30, 15])
    look(Totals(memory), *whole, lost=[20, 5], lost_before=[20, 5])
    totals = Totals(memory)
    unread = ([np.nan, 10], [np.nan, 50], [np.nan, 15])
    assert look(totals, *unread, lost=[0, 5], lost_before=[0, 5])["lost"] == 25
    after_a_crash = Totals(memory)
    assert look(after_a_crash, *whole, lost=[20, 5], lost_before=[20, 5])["lost"] == 25
    assert look(totals, *whole, lost=[20, 0], lost_before=[20, 0])["lost"] == 25
    assert (news(totals), news(after_a_crash)) == (0, 0)


def test_what_was_owed_lapses_once_everything_was_read() -> None:
    memory = Kept()
    look(Totals(memory), [10], [50], [30], lost=[20], lost_before=[20])
    totals = Totals(memory)
    look(totals, [40], [50], [30])  # the group has jumped over what was lost
    assert look(totals, [40], [50], [45], lost=[5], lost_before=[5])["lost"] == 25


def test_a_group_that_comes_back_later_does_not_get_old_counters() -> None:
    memory = Kept()
    look(Totals(memory), [10], [20], rewinds=[4])
    totals = Totals(memory)
    assert look(totals, [10], [20], seen=rows(1, pair=1))["rewinds"] == 4
    assert look(totals, [10], [20], seen=rows(1, pair=2))["rewinds"] == 0


def moments(totals: Totals) -> tuple[float, float]:
    """When the pair was first seen, and when it last got on."""
    return float(totals.columns["since"][0]), float(totals.columns["advanced"][0])


def test_when_a_group_last_got_on_is_kept_over_a_restart() -> None:
    memory = Kept()
    first = Totals(memory)
    look(first, [10, 10], [20, 20], now=NOW)
    assert np.isnan(moments(first)[1])
    look(first, [15, 10], [20, 20], consumed=[5, 0], now=NOW + 60)
    look(first, [15, 10], [20, 20], now=NOW + 120)
    assert moments(first) == (NOW, NOW + 60)
    second = Totals(memory)
    look(second, [15, 10], [20, 20], now=NOW + 9000)
    assert moments(second) == (NOW, NOW + 60)
    # It got on while nobody looked: when, is not known, but it was not later than this.
    third = Totals(memory)
    look(third, [18, 10], [20, 20], now=NOW + 18000)
    assert moments(third) == (NOW, NOW + 18000)
