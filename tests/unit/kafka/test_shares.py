"""Which groups are taken for share groups, and how often that is asked."""

from types import SimpleNamespace
from typing import Any

from monitor.brokers.kafka.metadata import SHARE_STATE_TOPIC
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.shares import ShareGroups
from monitor.config import Filter
from monitor.errors import TimedOut

GROUPS = [("classic", "Stable", "consumer"), ("connect", "Stable", "connect"), ("modern", "Dead", ""),
          ("shared", "Dead", ""), ("eventflow.redrive.x", "Dead", ""), ("other", "Dead", "")]  # fmt: skip


class Client:
    """Stands for the client: lists these groups, or fails."""

    def __init__(self) -> None:
        self.asked, self.fails = 0, False

    def list_groups_of_all_kinds(self, seconds: float) -> list[tuple[str, str, str]]:
        self.asked += 1
        if self.fails:
            raise TimedOut("no answer")
        return GROUPS


def refresh(shares: ShareGroups, client: Client, topics: Any = (SHARE_STATE_TOPIC,), known: Any = ("modern",)) -> Any:
    problems = Problems()
    shares.refresh(client, topics, known, 1.0, problems)  # type: ignore[arg-type]
    return SimpleNamespace(names=shares.names, reasons=[it.reason for it in problems.told()])


def test_groups_that_only_the_older_call_knows_and_cannot_describe_are_share_groups() -> None:
    shares = ShareGroups(Filter(exclude=["other"]))
    assert refresh(shares, Client()).names == ("shared",)


def test_a_cluster_without_state_of_share_groups_is_not_asked() -> None:
    client = Client()
    assert refresh(ShareGroups(Filter()), client, topics=("orders",)).names == ()
    assert client.asked == 0


def test_they_are_listed_seldom_and_again_after_a_failure() -> None:
    shares, client = ShareGroups(Filter()), Client()
    client.fails = True
    assert refresh(shares, client).reasons == ["timeout"]
    client.fails = False
    for _ in range(20):
        assert refresh(shares, client).reasons == []
    assert client.asked == 2
    refresh(shares, client)
    refresh(shares, client)
    assert client.asked == 3


def test_a_group_that_turns_out_to_be_measurable_is_none_from_then_on() -> None:
    shares, client = ShareGroups(Filter()), Client()
    assert "modern" in refresh(shares, client, known=()).names
    assert "modern" not in refresh(shares, client, known=("modern",)).names
