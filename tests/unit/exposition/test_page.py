import gzip
import logging
import threading

import pytest

from monitor.exposition.families import FAMILIES
from monitor.exposition.page import MetricsPage
from monitor.model import ClusterView, Table
from tests.unit.exposition.builders import (
    group_partitions,
    health,
    page_of,
    samples_of,
    subscription,
    values_by,
    view,
)


def lag(value: float) -> dict[str, Table]:
    return {"any": group_partitions([("g", "t", "0")], lag_messages=[value])}


def headers(text: str, keyword: str) -> list[str]:
    return [line.split(" ")[2] for line in text.split("\n") if line.startswith(f"# {keyword} ")]


def test_help_and_type_stand_once_a_family_even_with_several_clusters_of_a_kind() -> None:
    views = [view(lag(1), [subscription()], of=health(name)) for name in ("c", "a", "b")]

    text = page_of(*views).plain.decode()

    assert len(set(headers(text, "HELP"))) == len(headers(text, "HELP"))
    assert headers(text, "HELP") == headers(text, "TYPE")
    found = values_by(text, "kafka_consumer_group_lag_messages", "cluster")
    assert list(found) == ["a", "b", "c"]


def test_families_stand_in_the_order_of_the_table_and_only_those_with_samples() -> None:
    text = page_of(view(lag(1))).plain.decode()

    shown = [name for name in headers(text, "TYPE") if name.startswith("eventflow_")]
    order = [family.full_name for family in FAMILIES if family.full_name in shown]
    own = (
        "eventflow_build_info",
        "eventflow_collector_duration_seconds",
        "eventflow_redrive_jobs",
        "eventflow_history_write_errors_total",
        "eventflow_config_last_reload_successful",
        "eventflow_config_last_reload_success_timestamp_seconds",
    )
    rendered = [name for name in shown if name not in own]
    assert rendered == [name for name in order if name in rendered]
    assert "eventflow_subscription_backlog_messages" not in shown


def test_both_bodies_are_the_same_text() -> None:
    page = page_of(view(lag(1)))

    assert gzip.decompress(page.gzip) == page.plain == b"".join(page.read_plain())
    assert page.size == len(page.plain)
    assert page.plain.endswith(b"\n")


def test_a_large_plain_body_comes_in_pieces() -> None:
    rows = [("some-consumer-group", "some-topic", str(i)) for i in range(10_000)]

    page = page_of(view({"any": group_partitions(rows, lag_messages=range(10_000))}))

    pieces = list(page.read_plain())
    assert max(map(len, pieces)) <= 256 * 1024
    assert b"".join(pieces) == page.plain


def test_a_page_in_hand_stays_as_it_is_while_the_next_one_comes() -> None:
    metrics = MetricsPage("1")
    metrics.update(view(lag(1)), cycle_ended=True)
    in_hand = metrics.page()
    before = in_hand.plain

    metrics.update(view(lag(2)), cycle_ended=True)

    assert in_hand.plain == before
    assert values_by(metrics.page().plain.decode(), "kafka_consumer_group_lag_messages", "group") == {"g": 2.0}


def test_the_page_of_a_monitor_that_has_not_watched_yet_tells_its_build() -> None:
    text = MetricsPage("1.2.3").page().plain.decode()

    assert values_by(text, "build_info", "version") == {"1.2.3": 1.0}
    assert "process_resident_memory_bytes" in headers(text, "TYPE")


def test_cycles_of_one_cluster_leave_the_others_as_they_are() -> None:
    metrics = MetricsPage("1")
    metrics.update(view(lag(1), of=health("a")), cycle_ended=True)
    metrics.update(view(lag(2), of=health("b")), cycle_ended=True)

    metrics.update(ClusterView(health("b", up=False)), cycle_ended=True)

    text = metrics.page().plain.decode()
    assert values_by(text, "kafka_consumer_group_lag_messages", "cluster") == {"a": 1.0}
    assert values_by(text, "collector_up", "cluster") == {"a": 1.0, "b": 0.0}


def test_the_number_of_series_is_told_for_each_cluster() -> None:
    metrics = MetricsPage("1")
    metrics.update(view(lag(1), of=health("a")), cycle_ended=True)

    (shown,) = values_by(metrics.page().plain.decode(), "collector_series", "cluster").values()
    assert (metrics.series("a"), metrics.series("unheard")) == (shown, None)


def test_each_cycle_is_one_observation_of_its_duration() -> None:
    metrics = MetricsPage("1")
    metrics.update(ClusterView(health(up=None, cycle_seconds=None)), cycle_ended=False)
    for seconds in (0.3, 4.0):
        metrics.update(ClusterView(health(cycle_seconds=seconds)), cycle_ended=True)
    metrics.update(ClusterView(health(cycle_seconds=4.0)), cycle_ended=False)

    text = metrics.page().plain.decode()

    assert list(samples_of(text, "collector_duration_seconds_count").values()) == [2.0]
    assert list(samples_of(text, "collector_duration_seconds_sum").values()) == [4.3]
    buckets = values_by(text, "collector_duration_seconds_bucket", "le")
    assert (buckets["0.25"], buckets["0.5"], buckets["2.5"], buckets["5.0"]) == (0.0, 1.0, 1.0, 2.0)
    assert "_created" not in text


def test_a_mistake_of_a_collector_is_logged_once_and_again_when_it_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    metrics = MetricsPage("1")
    bad = view({"bad": Table.of_rows(("group",), [("g",)], {"kafka_no_such_family": [1]})})

    with caplog.at_level(logging.ERROR):
        for each in (bad, bad, view(), bad):
            metrics.update(each, cycle_ended=True)

    assert [record.message.split(";")[0] for record in caplog.records] == [
        "cluster orders: the table of metric families has no kafka_no_such_family with the labels (group)"
    ] * 2


def test_clusters_that_end_their_cycles_at_once_are_all_on_the_page() -> None:
    metrics = MetricsPage("1")
    names = [f"cluster-{i}" for i in range(8)]
    start = threading.Barrier(len(names))

    def cycles(name: str) -> None:
        start.wait(10)
        for i in range(20):
            metrics.update(view(lag(i), of=health(name)), cycle_ended=True)

    threads = [threading.Thread(target=cycles, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    text = metrics.page().plain.decode()
    assert values_by(text, "kafka_consumer_group_lag_messages", "cluster") == dict.fromkeys(names, 19.0)
    assert values_by(text, "collector_duration_seconds_count", "cluster") == dict.fromkeys(names, 20.0)
