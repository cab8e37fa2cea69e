"""Changes of state and rebalances of groups, as looks show them."""

from collections.abc import Sequence

from monitor.brokers.kafka.activity import GroupActivity
from monitor.brokers.kafka.groups import Group
from monitor.memory import FORGETFUL
from tests.unit.remembering import Kept

CHANGES, REBALANCES = "kafka_consumer_group_state_changes_total", "kafka_consumer_group_rebalances_total"


def follow(activity: GroupActivity, *looks: tuple[str, int | None]) -> Sequence[float]:
    """Show a group in these states with these assignments; return its changes and rebalances."""
    for state, assignment in looks:
        table = activity.observe([Group("g", 0, state=state, assignment=assignment)])
    return [float(table.columns[name][0]) for name in (CHANGES, REBALANCES)]


def test_a_group_that_stays_as_it_is_counts_nothing() -> None:
    assert follow(GroupActivity(FORGETFUL), ("stable", 1), ("stable", 1), ("stable", 1)) == [0, 0]


def test_other_partitions_of_the_members_are_a_rebalance_that_nobody_saw() -> None:
    assert follow(GroupActivity(FORGETFUL), ("stable", 1), ("stable", 2), ("stable", 2)) == [0, 1]


def test_a_rebalance_that_was_seen_counts_once_with_its_outcome() -> None:
    looks = [("stable", 1), ("preparing_rebalance", None), ("completing_rebalance", None), ("stable", 2)]
    assert follow(GroupActivity(FORGETFUL), *looks) == [3, 1]


def test_a_look_that_could_not_tell_is_no_change() -> None:
    assert follow(GroupActivity(FORGETFUL), ("stable", 1), ("unknown", None), ("stable", 1)) == [0, 0]


def test_a_group_goes_on_counting_after_a_restart_and_a_new_one_of_its_name_does_not() -> None:
    memory = Kept()
    assert follow(GroupActivity(memory), ("stable", 1), ("empty", 0)) == [1, 1]
    second = GroupActivity(memory)
    assert follow(second, ("empty", 0), ("stable", 1)) == [2, 2]
    second.observe([])
    assert follow(second, ("stable", 1)) == [0, 0]
