"""Groups over cycles. Listings are made up here: a broker that answers only in part cannot be had on demand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaError

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.groups import Groups
from monitor.brokers.kafka.metadata import keeper_of
from monitor.brokers.kafka.offsets_format import CommitKey
from monitor.brokers.kafka.offsets_topic import OffsetsTopic, State
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.rows import arrange
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster
from tests.unit.kafka.builders import make_directory, make_group
from tests.unit.kafka.commits import commit_key, commit_value


def listing(*names: str, errors: tuple[KafkaError, ...] = ()) -> Any:
    """What the library returns for a listing of groups."""
    groups = [
        SimpleNamespace(
            group_id=name,
            state=ConsumerGroupState.STABLE,
            type=ConsumerGroupType.CLASSIC,
            is_simple_consumer_group=False,
        )
        for name in names
    ]
    return SimpleNamespace(valid=groups, errors=list(errors))


def description(state: ConsumerGroupState) -> Any:
    return SimpleNamespace(state=state, type=ConsumerGroupType.CLASSIC, members=[], coordinator=None)


class Describing:
    """Stands for the client: every group is described as given."""

    def __init__(self, result: Any = None) -> None:
        self._result = result or description(ConsumerGroupState.DEAD)

    def descriptions(self, key: Any, groups: Any) -> Any:
        return SimpleNamespace(key=key, groups=groups)

    def run(self, calls: Any, seconds: float) -> Any:
        return [(call, [self._result for _ in call.groups]) for lane in calls.values() for call in lane]


def describe(groups: Groups, result: Any = None) -> Problems:
    problems = Problems()
    client: Any = Describing(result)
    groups.describe(client, make_directory(), 1.0, problems)
    return problems


def test_a_group_that_is_missing_in_a_whole_listing_and_dead_to_its_coordinator_is_gone() -> None:
    groups = Groups(Filter())
    groups.update(listing("a", "b"), Problems())
    groups.update(listing("b"), Problems())
    assert describe(groups).told() == ()
    assert list(groups.by_name) == ["b"]


@pytest.mark.parametrize(
    ("result", "reasons"),
    [
        (KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS), {"unreachable"}),
        (description(ConsumerGroupState.STABLE), set()),
    ],
    ids=["loading", "there after all"],
)
def test_a_coordinator_that_has_just_begun_to_serve_lists_too_few_and_makes_nobody_forgotten(
    result: Any, reasons: set[str]
) -> None:
    groups = Groups(Filter())
    groups.update(listing("a", "b"), Problems())
    code = groups.by_name["a"].code
    groups.update(listing("b"), Problems())
    assert {error.reason for error in describe(groups, result).told()} == reasons
    assert groups.by_name["a"].code == code


def test_a_listing_that_some_broker_left_unanswered_makes_nobody_forgotten() -> None:
    groups, problems = Groups(Filter()), Problems()
    groups.update(listing("a", "b"), problems)
    groups.update(listing("b", errors=(KafkaError(KafkaError._TIMED_OUT),)), problems)
    assert list(groups.by_name) == ["a", "b"]
    assert groups.by_name["a"].state == "unknown"
    assert [error.reason for error in problems.told()] == ["timeout"]


def test_a_group_that_comes_back_under_its_name_is_another() -> None:
    groups = Groups(Filter())
    groups.update(listing("a", "b"), Problems())
    before = groups.by_name["a"].code
    groups.update(listing("b"), Problems())
    describe(groups)
    groups.update(listing("a", "b"), Problems())
    assert groups.by_name["a"].code not in (before, groups.by_name["b"].code)


def test_filters_and_the_product_s_own_groups_are_left_out() -> None:
    groups = Groups(Filter(include=["a*"], exclude=["ab"]))
    groups.update(listing("a1", "ab", "c", "eventflow.redrive.x"), Problems())
    assert list(groups.by_name) == ["a1"]


def test_sums_over_a_group_s_topic_are_unknown_when_one_partition_is() -> None:
    directory = make_directory(a=2, b=1)
    groups = [make_group("g", 0, [(0, 0), (0, 1), (1, 0)], [1, 2, 3]), make_group("h", 1, [(1, 0)], [4])]
    rows = arrange("cluster", groups, directory.partitions, None)
    assert rows.total(np.array([1.0, np.nan, 3, 4])).tolist()[1:] == [3, 4]
    assert np.isnan(rows.total(np.array([1.0, np.nan, 3, 4]))[0])
    assert rows.largest(np.array([1.0, np.nan, 3, 4])).tolist() == [1, 3, 4]
    assert [name for name, _ in rows.names] == ["cluster/g/a", "cluster/g/b", "cluster/h/b"]


def test_rows_are_the_same_object_until_one_comes_or_goes() -> None:
    directory = make_directory(a=2)
    group = make_group("g", 0, [(0, 0)], [1])
    rows = arrange("cluster", [group], directory.partitions, None)
    assert arrange("cluster", [group], directory.partitions, rows) is rows
    grown = make_group("g", 0, [(0, 0), (0, 1)], [1, 2])
    assert arrange("cluster", [grown], directory.partitions, rows) is not rows


def test_a_cluster_without_groups_has_no_rows() -> None:
    rows = arrange("cluster", [], make_directory(a=1).partitions, None)
    assert len(rows) == len(rows.total(np.empty(0))) == 0


def test_many_problems_are_told_in_bounds() -> None:
    problems = Problems()
    for number in range(1000):
        problems.add(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), f"topic {number}")
    told = problems.told()
    assert len(told) == 101
    assert "(900 times)" in told[-1].message


def test_groups_whose_commits_are_not_read_to_the_end_are_unknown_and_never_taken_for_at_zero() -> None:
    directory = make_directory(t=3)
    client = KafkaClient(KafkaCluster(name="k", kind="kafka", bootstrap_servers="127.0.0.1:1"))
    topic = OffsetsTopic(client, dict, lambda group, topic: True, Clock())
    topic.log.take([commit_key(CommitKey("a", "t", 0)), commit_key(CommitKey("b", "t", 1))], [commit_value(5)] * 2)
    groups, problems = Groups(Filter()), Problems()
    groups.update(listing("a", "b"), problems)
    states = np.full(50, State.READ, dtype=np.int32)
    states[keeper_of("b", 50)] = State.BEHIND
    groups.by_name["b"].owned = np.array([1, 2], dtype=np.int64)
    groups.take_committed(topic, states, client, directory, 1.0, problems)
    client.close()
    read, behind = groups.by_name["a"], groups.by_name["b"]
    assert (read.keys.tolist(), read.committed.tolist()) == ([0], [5])
    # What is known to be there is expected; neither this nor what members own is known to have no commit.
    assert behind.keys.tolist() == [1, 2]
    assert np.isnan(behind.committed).all()
    assert not behind.uncommitted.any()
    assert (read.read_whole, behind.read_whole) == (True, False)
