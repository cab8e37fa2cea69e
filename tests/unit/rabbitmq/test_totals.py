"""Counters of whole nodes go on over restarts and a change of who tells them."""

from monitor.brokers.rabbitmq.totals import Totals

DROPPED = ("dropped",)


def test_a_restarted_node_counts_on() -> None:
    totals = Totals()
    assert [totals.enter("n", {DROPPED: value})[DROPPED] for value in (5.0, 7.0, 2.0, 3.0)] == [5.0, 7.0, 9.0, 10.0]


def test_another_source_takes_over_where_the_first_stood() -> None:
    totals = Totals()
    totals.enter("plugin", {DROPPED: 10.0})
    assert totals.enter("management", {DROPPED: 400.0})[DROPPED] == 10.0
    assert totals.enter("management", {DROPPED: 401.0})[DROPPED] == 11.0
    assert totals.enter("plugin", {DROPPED: 11.0})[DROPPED] == 11.0


def test_zero_is_told_before_anything_happened() -> None:
    assert Totals().enter("n", {DROPPED: 0.0}) == {DROPPED: 0.0}
