"""Slots and keys of partitions, and who coordinates a group."""

import numpy as np
import pytest

from monitor.brokers.kafka.metadata import NO_LEADER, Directory, coordinator_of
from tests.unit.kafka.builders import make_directory


@pytest.mark.parametrize(
    ("group", "partition"),
    # Java: Math.abs("...".hashCode()) % 50
    [("a", 47), ("billing", 9), ("polygenelubricants", 0), ("größe", 7), ("😀", 49)],
)
def test_the_coordinator_is_found_as_kafka_does_it(group: str, partition: int) -> None:
    assert coordinator_of(group, tuple(range(50))) == partition


def test_where_the_offsets_topic_is_hidden_the_coordinator_is_not_known() -> None:
    assert coordinator_of("billing", ()) == NO_LEADER


def test_columns_stay_the_same_object_while_no_topic_or_partition_comes_or_goes() -> None:
    directory = make_directory(a=2, b=1)
    before = directory.partitions
    replication = directory.update({"b": [(2, 3, 2)], "a": [(NO_LEADER, 1, 0), (1, 1, 1)]})
    assert directory.partitions is before
    assert replication.leader.tolist() == [NO_LEADER, 1, 2]
    assert replication.in_sync.tolist() == [0, 1, 2]


def keys_by_name(directory: Directory) -> dict[tuple[str, int], int]:
    partitions = directory.partitions
    return dict(zip(partitions.named(np.arange(len(partitions))), partitions.keys.tolist(), strict=True))


def test_keys_move_with_their_partitions_and_are_never_given_again() -> None:
    directory = make_directory(a=1, b=2)
    before = keys_by_name(directory)
    directory.update({"b": [(1, 1, 1)] * 3, "c": [(1, 1, 1)]})
    after = keys_by_name(directory)
    assert all(after[named] == key for named, key in before.items() if named[0] == "b")
    assert not {after["b", 2], after["c", 0]} & set(before.values())
    assert ("a", 0) not in after
    directory.update({"a": [(1, 1, 1)], "b": [(1, 1, 1)] * 3, "c": [(1, 1, 1)]})
    assert keys_by_name(directory)["a", 0] not in {*before.values(), *after.values()}


def test_a_topic_that_was_made_again_gets_new_keys() -> None:
    directory = make_directory(a=1, b=1)
    before = directory.partitions.keys
    directory.recreated(["a"])
    directory.update({"a": [(1, 1, 1)], "b": [(1, 1, 1)]})
    assert directory.partitions.slots_of(before).tolist() == [-1, 0]


def test_a_cluster_without_topics_has_no_slots() -> None:
    directory = Directory()
    assert len(directory.update({}).leader) == 0
    assert len(directory.partitions) == 0
