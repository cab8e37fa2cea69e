"""What of a cluster is shown where families are left out or series are limited."""

import random

import pytest

from monitor.config import Filter
from monitor.exposition.choice import Choice
from monitor.exposition.page import MetricsPage
from monitor.exposition.render import render_cluster
from monitor.model import Table
from tests.unit.exposition.builders import group_partitions, plain_of, subscription, values_by, view

LAG = "kafka_consumer_group_lag_messages"


def text_of(tables: dict[str, Table], choice: Choice, subscriptions: int = 0) -> str:
    groups = [subscription(subscriber=f"g{number}") for number in range(subscriptions)]
    return plain_of(render_cluster(view(tables, groups), choice=choice))


def lags(groups: list[str], partitions: int = 3) -> dict[str, Table]:
    rows = [(group, "t", str(number)) for group in groups for number in range(partitions)]
    return {
        "group_partitions": group_partitions(rows, lag_messages=[1.0] * len(rows)),
        "brokers": Table.of_rows((), (), {"kafka_brokers": [3.0]}),
    }


def shown_groups(text: str) -> set[tuple[str, ...] | str]:
    return {key[0] for key in values_by(text, LAG, "group", "partition")}


def dropped(text: str) -> float:
    return values_by(text, "collector_series_dropped", "system")["kafka"]


@pytest.mark.parametrize("pattern", [LAG, f"eventflow_{LAG}", "*_lag_messages"])
def test_only_chosen_families_are_shown_and_what_is_told_of_the_collector(pattern: str) -> None:
    text = text_of(lags(["a"]), Choice(Filter(include=[pattern])), subscriptions=1)
    families = {line.split("{")[0].removeprefix("eventflow_") for line in text.strip().split("\n")}
    assert {name for name in families if not name.startswith("collector_")} == {LAG}
    assert {"collector_up", "collector_errors_total", "collector_series_dropped"} <= families


def test_without_a_limit_nothing_is_dropped() -> None:
    assert dropped(text_of(lags(["a", "b"]), Choice())) == 0


def test_a_limit_holds_and_tells_how_many_are_left_out() -> None:
    whole = text_of(lags(["a", "b", "c", "d"]), Choice(), subscriptions=2)
    lines = whole.strip().count("\n") + 1
    cut = text_of(lags(["a", "b", "c", "d"]), Choice(most=lines - 4), subscriptions=2)
    shown = cut.strip().count("\n") + 1
    assert shown <= lines - 4
    assert shown + dropped(cut) == lines
    # Details by partition went, a whole group at a time; what is told of every bus and of the whole stayed.
    assert shown_groups(cut) == {"a", "b"}
    assert len(values_by(cut, "subscription_backlog_messages", "subscriber")) == 2
    assert values_by(cut, "kafka_brokers", "cluster") == {"orders": 3.0}


def test_the_same_series_stay_whatever_the_order_and_a_new_group_moves_only_the_edge() -> None:
    names = [f"g{number:02}" for number in range(20)]
    whole = text_of(lags(names), Choice()).strip().count("\n") + 1
    limit = Choice(most=whole - 30)
    first = shown_groups(text_of(lags(names), limit))
    assert first == set(names[:10])
    random.Random(1).shuffle(names)
    assert shown_groups(text_of(lags(names), limit)) == first
    assert shown_groups(text_of(lags([*names, "g05-new"]), limit)) == (first | {"g05-new"}) - {"g09"}


def test_the_page_tells_what_it_shows_and_what_it_leaves_out_by_cluster() -> None:
    page = MetricsPage("1", choice_of=lambda name: Choice(most=20) if name == "orders" else Choice())
    page.update(view(lags(["a", "b", "c", "d"])), cycle_ended=True)
    assert page.series("orders") is not None
    assert (page.series("orders") or 0) <= 20
    assert (page.dropped("orders") or 0) > 0
    assert page.dropped("unheard") is None
