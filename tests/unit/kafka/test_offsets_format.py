"""The records of `__consumer_offsets`, written here as Kafka's schemas say."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.kafka.offsets_format import CommitKey, kind_of, read_commit_key
from monitor.errors import BadAnswer
from tests.unit.kafka.commits import commit_key, string

names = st.text(max_size=40).filter(lambda text: len(text.encode()) < 200)
commit_keys = st.builds(CommitKey, names, names, st.integers(0, 2**31 - 1))


@given(commit_keys, st.sampled_from([0, 1]))
def test_the_key_of_a_commit_is_read_as_it_was_written(commit: CommitKey, kind: int) -> None:
    data = commit_key(commit, kind)
    assert kind_of(data) == kind
    assert read_commit_key(data) == commit


@given(commit_keys, st.data())
def test_a_key_that_is_cut_off_or_too_long_is_told_and_never_misread(commit: CommitKey, data: st.DataObject) -> None:
    whole = commit_key(commit)
    cut = whole[: data.draw(st.integers(2, len(whole) - 1))]
    for wrong in (cut, whole + b"\0"):
        with pytest.raises(BadAnswer):
            read_commit_key(wrong)


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_raise_nothing_but_what_is_told(data: bytes) -> None:
    with suppress(BadAnswer):
        commit = read_commit_key(data)
        assert commit_key(commit, kind_of(data)) == data


@pytest.mark.parametrize("key", [b"", b"\0"])
def test_keys_without_a_kind_are_told(key: bytes) -> None:
    with pytest.raises(BadAnswer):
        kind_of(key)


def test_a_group_without_a_name_is_told() -> None:
    with pytest.raises(BadAnswer):
        read_commit_key(struct.pack(">hh", 1, -1) + string("t") + bytes(4))


def test_a_partition_below_zero_is_none() -> None:
    with pytest.raises(BadAnswer):
        read_commit_key(commit_key(CommitKey("group", "topic", 0))[:-4] + struct.pack(">i", -1))
