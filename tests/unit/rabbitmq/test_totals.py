"""Counters of whole nodes go on over restarts and a change of who tells them."""

from monitor.brokers.rabbitmq.totals import Totals
from monitor.memory import FORGETFUL, Memory
from tests.unit.remembering import Kept

DROPPED = ("dropped",)


def unroutable(memory: Memory = FORGETFUL) -> Totals:
    return Totals("unroutable", ("outcome",), memory)


def test_a_restarted_node_counts_on() -> None:
    totals = unroutable()
    assert [totals.enter("n", {DROPPED: value})[DROPPED] for value in (5.0, 7.0, 2.0, 3.0)] == [5.0, 7.0, 9.0, 10.0]


def test_another_source_takes_over_where_the_first_stood() -> None:
    totals = unroutable()
    totals.enter("plugin", {DROPPED: 10.0})
    assert totals.enter("management", {DROPPED: 400.0})[DROPPED] == 10.0
    assert totals.enter("management", {DROPPED: 401.0})[DROPPED] == 11.0
    assert totals.enter("plugin", {DROPPED: 11.0})[DROPPED] == 11.0


def test_zero_is_told_before_anything_happened() -> None:
    assert unroutable().enter("n", {DROPPED: 0.0}) == {DROPPED: 0.0}


def test_after_a_restart_of_the_node_and_then_of_the_monitor_nothing_falls_and_nothing_is_counted_again() -> None:
    memory = Kept()
    before = unroutable(memory)
    assert [before.enter("n", {DROPPED: value})[DROPPED] for value in (900.0, 40.0)] == [900.0, 940.0]
    assert unroutable(memory).enter("n", {DROPPED: 45.0})[DROPPED] == 945.0
    # While nobody looked the node has restarted once more, or another source tells now.
    assert unroutable(memory).enter("n", {DROPPED: 3.0})[DROPPED] == 948.0
    assert unroutable(memory).enter("management", {DROPPED: 5_000.0})[DROPPED] == 948.0


def test_what_another_source_has_not_told_yet_is_taken_over_when_it_does() -> None:
    memory = Kept()
    before = unroutable(memory)
    before.enter("n", {DROPPED: 7.0, ("returned",): 2.0})
    before.enter("m", {DROPPED: 100.0})
    after = unroutable(memory)
    assert after.enter("m", {DROPPED: 101.0, ("returned",): 50.0}) == {DROPPED: 8.0, ("returned",): 2.0}
