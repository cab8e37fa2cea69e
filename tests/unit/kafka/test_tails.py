"""Which ends of logs are read, what is remembered of them, and what it makes of the backlog."""

from collections.abc import Sequence

import numpy as np
import pytest

from monitor.brokers.kafka.groups import Group
from monitor.brokers.kafka.lag import Lag, RowLogs, measure
from monitor.brokers.kafka.metadata import PARTITION_BITS
from monitor.brokers.kafka.offsets import Logs
from monitor.brokers.kafka.rows import Rows, arrange
from monitor.brokers.kafka.tails import MOST_OFFSETS, MOST_RECORDS, Tail, Tails
from monitor.errors import BrokerError, Forbidden, TimedOut
from monitor.model import Floats
from tests.unit.kafka.builders import make_directory, make_group

NAN = float("nan")


class Cluster:
    """A topic whose partitions hold records at some offsets below their end, and groups that stand on them."""

    def __init__(self, *ends: float) -> None:
        self.directory = make_directory(orders=len(ends))
        self.ends = np.array(ends, dtype=np.float64)
        self.unstable: set[int] = set()
        self.records: dict[int, list[int]] = {}
        self.groups: dict[str, list[float]] = {}
        self.refusal: BrokerError | None = None
        self.asked: list[Tail] = []
        self.counted: list[list[bool]] = []
        self.now = 0.0
        self.tails = Tails(lambda: self.now)

    def read(self, tails: Sequence[Tail]) -> list[list[int] | BrokerError]:
        self.asked += tails
        if self.refusal is not None:
            return [self.refusal] * len(tails)
        held = [
            [offset for offset in self.records.get(tail.partition, []) if tail.start <= offset < tail.end]
            for tail in tails
        ]
        return [offsets[: MOST_RECORDS + 1] for offsets in held]

    def look(self) -> list[list[float]]:
        """Run a cycle, and return the backlog of each partition by group, in the order of their names."""
        self.asked = []
        groups = [self._group(code, name) for code, name in enumerate(sorted(self.groups))]
        rows = arrange("cluster", groups, self.directory.partitions, None)
        committed = np.concatenate([group.committed for group in groups])
        stable = self.ends - [float(slot in self.unstable) for slot in range(len(self.ends))]
        logs = Logs(np.zeros(len(self.ends)), self.ends.copy(), stable)
        lag = measure_rows(rows, committed, logs)
        refined = self.tails.refine(rows, self.directory.partitions, lag, logs, self.read)
        assert np.array_equal(refined.messages, lag.messages, equal_nan=True)  # the lag stays what everybody counts
        self.counted = refined.counted.reshape(len(groups), -1).tolist()
        return refined.backlog.reshape(len(groups), -1).tolist()

    def settle(self) -> list[list[float]]:
        """Run cycles until nothing is read any more."""
        for turn in range(20):
            backlog = self.look()
            if turn and not self.asked:
                return backlog
        raise AssertionError("reading goes on and on")

    def _group(self, code: int, name: str) -> Group:
        return make_group(name, code, [(0, number) for number in range(len(self.ends))], self.groups[name])


def measure_rows(rows: Rows, committed: Floats, logs: Logs) -> Lag:
    """What is known of rows without reading; nobody has seen a transaction."""
    nowhere = np.zeros(len(rows), dtype=bool)
    return measure(
        committed, nowhere, RowLogs(logs.start[rows.slot], logs.end[rows.slot], logs.stable[rows.slot], nowhere)
    )


def one(end: float, committed: float, *records: int) -> Cluster:
    """One group on one partition."""
    cluster = Cluster(end)
    cluster.groups["billing"] = [committed]
    cluster.records[0] = list(records)
    return cluster


def test_offsets_that_hold_no_record_are_no_backlog_from_the_second_look_on() -> None:
    cluster = one(11, 10)
    assert cluster.look() == [[1]]
    assert cluster.asked == []  # it may be on its way to be consumed
    assert cluster.look() == [[0]]
    assert cluster.asked == [Tail("billing", "orders", 0, 10, 11)]


def test_records_are_counted_and_what_lies_between_them_is_not() -> None:
    cluster = one(20, 10, 8, 12, 17)
    assert cluster.settle() == [[2]]
    assert one(11, 10, 10).settle() == [[1]]


def test_what_has_been_counted_is_marked_as_certain() -> None:
    cluster = one(11, 10, 10)
    cluster.look()
    assert cluster.counted == [[False]]
    cluster.look()
    assert cluster.counted == [[True]]


def test_an_answer_holds_until_the_end_of_the_log_moves() -> None:
    cluster = one(11, 10)
    cluster.settle()
    assert cluster.look() == [[0]]
    assert cluster.asked == []
    cluster.ends[0], cluster.records[0] = 12, [11]
    assert cluster.look() == [[2]]
    assert cluster.asked == []
    assert cluster.look() == [[1]]
    cluster.groups["billing"] = [12.0]
    assert cluster.settle() == [[0]]


def test_who_moves_within_what_is_known_is_told_without_reading_again() -> None:
    cluster = one(20, 10, 12, 17)
    cluster.settle()
    cluster.groups["billing"] = [13.0]
    assert cluster.look() == [[1]]
    cluster.groups["billing"] = [18.0]
    assert cluster.look() == [[0]]
    assert cluster.asked == []


def test_nothing_is_read_while_a_group_or_its_log_moves() -> None:
    cluster = one(11, 10)
    for step in range(5):
        cluster.ends[0], cluster.groups["billing"] = 11 + step, [10.0 + step % 2]
        cluster.look()
        assert cluster.asked == []


@pytest.mark.parametrize(
    ("end", "committed"), [(10, 10), (NAN, 10), (11, NAN), (10 + MOST_OFFSETS + 1, 10)], ids=lambda value: f"{value:g}"
)
def test_nothing_is_read_where_nothing_is_left_or_known_or_too_much(end: float, committed: float) -> None:
    cluster = one(end, committed)
    for _ in range(3):
        cluster.look()
        assert cluster.asked == []


def test_nothing_is_read_below_an_open_transaction() -> None:
    cluster = one(11, 10)
    cluster.unstable.add(0)
    assert cluster.settle() == [[1]]
    assert cluster.asked == []


def test_more_records_than_are_counted_leave_the_offsets_as_they_are_and_are_read_once() -> None:
    cluster = one(100, 10, *range(20, 60))
    assert cluster.settle() == [[90]]
    cluster.groups["late"] = [5.0]
    cluster.groups["ready"] = [60.0]
    assert cluster.settle() == [[90], [95], [0]]


def test_one_reading_a_partition_and_cycle_serves_all_its_groups() -> None:
    cluster = one(20, 12, 15)
    cluster.groups |= {"same": [12.0], "late": [10.0]}
    cluster.look()
    assert cluster.look() == [[1], [10], [1]]
    assert [tail.start for tail in cluster.asked] == [12]
    assert cluster.settle() == [[1], [1], [1]]


def test_a_cycle_reads_a_bounded_number_of_partitions_those_with_the_fewest_offsets_first() -> None:
    cluster = Cluster(*[50.0] * 250)
    cluster.groups["billing"] = [49.0 if number >= 240 else 40.0 for number in range(250)]
    cluster.look()
    cluster.look()
    assert len(cluster.asked) == 50
    assert {tail.partition for tail in cluster.asked} > set(range(240, 250))
    assert cluster.settle() == [[0] * 250]


def test_a_topic_that_may_not_be_read_stays_as_it_was_is_told_and_asked_again_later() -> None:
    cluster = one(11, 10)
    cluster.refusal = Forbidden("not allowed")
    assert cluster.settle() == [[1]]
    (note,) = cluster.tails.tell()
    assert "orders" in note
    cluster.ends[0] = 12
    assert cluster.settle() == [[2]]
    assert cluster.asked == []  # also for another end: each attempt is a denial in the broker's log
    cluster.now, cluster.refusal = 601.0, None
    assert cluster.settle() == [[0]]
    assert cluster.tails.tell() == ()


def test_readings_in_vain_rest_for_a_while_and_are_given_up_in_the_end() -> None:
    cluster = one(11, 10)
    cluster.refusal = TimedOut("no answer")
    cluster.look()
    asked = 0
    for _ in range(10):
        assert cluster.look() == [[1]]
        asked += len(cluster.asked)
        assert cluster.look() == [[1]]
        assert cluster.asked == []
        cluster.now += 21
    assert asked == 3


def test_partitions_that_come_and_go_keep_what_is_known_of_the_others() -> None:
    cluster = one(11, 10)
    cluster.settle()
    cluster.directory.update({"another": [(1, 1, 1)], "orders": [(1, 1, 1)] * 2})
    number = cluster.directory.index["orders"]
    order = cluster.directory.partitions.topic == number
    cluster.ends = np.where(order, 11.0, 7.0)
    groups = [Group("billing", 0, keys=np.array([0 << PARTITION_BITS]), committed=np.array([10.0]))]
    rows = arrange("cluster", groups, cluster.directory.partitions, None)
    logs = Logs(np.zeros(len(order)), cluster.ends, cluster.ends)
    lag = measure_rows(rows, np.array([10.0]), logs)
    refined = cluster.tails.refine(rows, cluster.directory.partitions, lag, logs, cluster.read)
    assert refined.backlog.tolist() == [0]
