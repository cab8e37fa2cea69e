from collections.abc import Collection, Mapping, Sequence

from monitor.storage.shares import Moves, Scene, choose

CLUSTERS = ("a", "b", "c", "d")
NOT_WAITED: Mapping[str, int] = {}


def decide(
    holders: Mapping[str, int],
    present: Sequence[int] = (1, 2),
    waited: Mapping[str, int] = NOT_WAITED,
    settled: Collection[str] = (),
) -> Moves:
    """As session 1 does."""
    return choose(CLUSTERS, Scene(1, frozenset(present), holders), waited, settled)


class TestChoosing:
    def test_who_is_alone_takes_everything(self) -> None:
        assert decide({}, present=(1,)) == Moves(list(CLUSTERS), [])

    def test_of_what_is_free_it_takes_no_more_than_the_others_have(self) -> None:
        assert decide({"a": 2, "b": 2}).take == ["c", "d"]
        assert decide({"a": 1, "b": 2}).take == ["c"]
        assert decide({"a": 1, "b": 1, "c": 2}).take == []

    def test_what_died_with_its_monitor_is_taken_by_the_others(self) -> None:
        assert decide({"a": 1, "b": 1}, present=(1,)).take == ["c", "d"]

    def test_half_of_the_difference_is_handed_over_to_one_who_has_come(self) -> None:
        assert decide(dict.fromkeys(CLUSTERS, 1)).hand_over == ["c", "d"]
        assert decide({"a": 1, "b": 1, "c": 2, "d": 2}).hand_over == []
        assert decide({"a": 1, "b": 1, "c": 1, "d": 2}).hand_over == ["c"]

    def test_nothing_is_handed_over_for_a_difference_of_one(self) -> None:
        assert choose(CLUSTERS[:3], Scene(1, frozenset({1, 2}), {"a": 1, "b": 1, "c": 2}), {}, ()).hand_over == []

    def test_what_nobody_takes_is_taken_in_the_end_and_kept(self) -> None:
        holders = {"a": 1, "b": 1, "c": 1}
        assert decide(holders, waited={"d": 4}).take == []
        assert decide(holders, waited={"d": 5}).take == ["d"]
        assert decide({**holders, "d": 1}, settled=CLUSTERS).hand_over == []
