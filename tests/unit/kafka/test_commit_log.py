"""Commits followed along records, against a plain dict that does the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.kafka import commit_log
from monitor.brokers.kafka.commit_log import CommitLog
from monitor.brokers.kafka.committed import UNREADABLE
from monitor.brokers.kafka.metadata import PARTITION_BITS
from monitor.brokers.kafka.offsets_format import CommitKey
from tests.unit.kafka.builders import make_directory
from tests.unit.kafka.commits import commit_key, commit_value, group_key

GROUPS, TOPICS, PARTITIONS = ("a", "b", "long-group"), ("t", "u"), 3
DIRECTORY = make_directory(t=PARTITIONS, u=PARTITIONS)

commits = st.builds(CommitKey, st.sampled_from(GROUPS), st.sampled_from(TOPICS), st.integers(0, PARTITIONS - 1))
records = st.lists(st.tuples(commits, st.none() | st.integers(0, 2**62), st.integers(0, 4)), max_size=20)


def watch_all(_group: str, _topic: str) -> bool:
    return True


def state_of(log: CommitLog) -> dict[CommitKey, int]:
    """Everything that a log holds of the topics in the directory."""
    found = log.commits(DIRECTORY)
    state = {}
    for group in GROUPS:
        keys, offsets = found.of(group)
        assert (np.diff(keys) > 0).all()
        for key, offset in zip(keys.tolist(), offsets.tolist(), strict=True):
            topic, partition = key >> PARTITION_BITS, key & ((1 << PARTITION_BITS) - 1)
            state[CommitKey(group, DIRECTORY.partitions.topics[topic], partition)] = offset
    return state


def take(log: CommitLog, *commits: tuple[CommitKey, int | None]) -> None:
    log.take(
        [commit_key(commit) for commit, _ in commits],
        [None if offset is None else commit_value(offset) for _, offset in commits],
    )


@given(st.lists(records, max_size=4))
def test_the_last_record_of_each_partition_counts_and_one_without_a_value_deletes(
    batches: list[list[tuple[CommitKey, int | None, int]]],
) -> None:
    log, expected = CommitLog(watch_all), dict[CommitKey, int]()
    for batch in batches:
        log.take(
            [commit_key(commit, kind=version % 2) for commit, _, version in batch],
            [None if offset is None else commit_value(offset, version) for _, offset, version in batch],
        )
        for commit, offset, _ in batch:
            if offset is None:
                expected.pop(commit, None)
            else:
                expected[commit] = offset
        assert state_of(log) == expected
        assert len(log) == len(expected)


def test_records_about_groups_are_left_out_and_kinds_that_nobody_knows_are_told() -> None:
    log, commit = CommitLog(watch_all), CommitKey("a", "t", 0)
    keys = [*(group_key("a", kind) for kind in range(2, 24)), commit_key(commit), group_key("a", 99), b"\0", None]
    log.take(keys, [b"x" * 20] * 22 + [commit_value(7), b"", None, None])
    assert state_of(log) == {commit: 7}
    assert set(log.unknown) == {"the unknown kind 99", "keys that are cut off"}


@pytest.mark.parametrize("value", [b"", b"\0\3", commit_value(5, 3)[:9], b"\0\7" + commit_value(5)[2:]])
def test_a_value_that_cannot_be_read_is_known_to_be_there_and_not_taken_for_none(value: bytes) -> None:
    log, commit, other = CommitLog(watch_all), CommitKey("a", "t", 0), CommitKey("a", "t", 1)
    take(log, (commit, 4))
    log.take([commit_key(commit), commit_key(other)], [value, commit_value(9)])
    assert state_of(log) == {commit: UNREADABLE, other: 9}
    take(log, (commit, 5))
    assert state_of(log) == {commit: 5, other: 9}


def test_what_nobody_watches_is_not_kept() -> None:
    log = CommitLog(lambda group, topic: (group, topic) == ("a", "t"))
    take(log, (CommitKey("a", "t", 0), 1), (CommitKey("a", "u", 0), 2), (CommitKey("b", "t", 0), 3))
    assert len(log) == 1


def test_topics_that_come_later_find_their_commits_and_partitions_that_are_not_there_do_not_show() -> None:
    log = CommitLog(watch_all)
    take(log, (CommitKey("a", "late", 1), 5), (CommitKey("a", "t", PARTITIONS), 6), (CommitKey("a", "t", 0), 7))
    assert state_of(log) == {CommitKey("a", "t", 0): 7}
    keys, offsets = log.commits(make_directory(u=1, late=2)).of("a")
    assert (keys.tolist(), offsets.tolist()) == ([1], [5])  # "late" has the first code


def test_the_same_rows_are_handed_out_until_one_comes_or_goes() -> None:
    log = CommitLog(watch_all)
    take(log, (CommitKey("a", "t", 0), 1))
    first = log.commits(DIRECTORY)
    take(log, (CommitKey("a", "t", 0), 2))
    assert log.commits(DIRECTORY).keys is first.keys
    assert first.offsets.tolist() == [1]  # what has been handed out does not change
    take(log, (CommitKey("a", "t", 1), 2))
    assert log.commits(DIRECTORY).keys is not first.keys


def test_names_of_groups_and_topics_that_are_gone_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "_SPARE_NUMBERS", 10)
    monkeypatch.setattr(commit_log, "_MOST_PREFIXES", 50)
    log, lasting = CommitLog(watch_all), CommitKey("a", "t", 2)
    take(log, (lasting, 1))
    for number in range(500):
        passing = CommitKey(f"passing-{number}", f"passing-{number}", 0)
        take(log, (passing, number), (lasting, number))
        log.settle()
        take(log, (passing, None))
        assert state_of(log) == {lasting: number}
    names = (log._groups, log._topics, log._prefixes)
    assert all(len(known) <= 50 for known in names)
