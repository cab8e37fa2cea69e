"""What an item tells, and what it leaves null."""

import math

import pytest
from pydantic import TypeAdapter

from monitor.api.items import (
    CollectorItem,
    DeadLetterDetail,
    DeadLetterItem,
    Page,
    SubscriptionDetail,
    SubscriptionItem,
    field_name,
)
from monitor.exposition.families import FAMILIES
from monitor.model import (
    Age,
    AgeMethod,
    CollectionError,
    FoundBy,
    Origin,
    Problem,
    Role,
    Status,
    Table,
)
from tests.unit.api.builders import NOW, Api, blind_view, dead_letters, subscription, verdict, view


def test_a_subscription_tells_what_was_measured_and_what_is_thought_of_it() -> None:
    it = subscription(
        "order-events",
        backlog_messages=600.0,
        oldest_age=Age(12.5, AgeMethod.INTERPOLATED),
        in_flight_messages=3.0,
        consumers=2,
        published_messages_total=1000.0,
        consumed_messages_total=400.0,
        retention_seconds=604800.0,
        lost_messages_total=0.0,
        rewinds_total=1.0,
        role=Role.RETRY,
        expected=6,
        measured=6,
    )
    judged = verdict(
        Status.LAGGING,
        published_per_second=10.5,
        consumed_per_second=12.0,
        drain_seconds=400.0,
        owner="checkout",
        objective_age_seconds=30.0,
        objective_target=0.9,
        objective_lifetime={"met": 1950.0, "missed": 50.0},
    )
    (item,) = Api([view([(it, judged)])]).get("subscriptions").json()["items"]
    assert item == {
        "id": "orders/order-events-group/order-events",
        "system": "kafka",
        "cluster": "orders",
        "destination": "order-events",
        "subscriber": "order-events-group",
        "role": "retry",
        "owner": "checkout",
        "status": "lagging",
        "status_reason": "as told",
        "status_since": NOW - 60,
        "backlog_messages": 600,
        "oldest_age_seconds": 12.5,
        "age_method": "interpolated",
        "in_flight_messages": 3,
        "consumers": 2,
        "published_messages_total": 1000,
        "consumed_messages_total": 400,
        "published_per_second": 10.5,
        "consumed_per_second": 12,
        "drain_seconds": 400,
        "drains": True,
        "retention_seconds": 604800,
        "unread_lost_messages_total": 0,
        "rewinds_total": 1,
        "abandoned": False,
        "objective_age_seconds": 30,
        "objective_budget_left_ratio": 0.75,
        "muted_until": None,
        "muted_reason": None,
        "expected": 6,
        "measured": 6,
        "as_of": NOW - 10,
        "data_age_seconds": 10,
    }


def test_what_is_not_known_is_null_and_never_zero() -> None:
    (item,) = Api([view([subscription("a")])]).get("subscriptions").json()["items"]
    unknown = {name for name, value in item.items() if value is None}
    assert unknown == {
        "owner",
        "backlog_messages",
        "oldest_age_seconds",
        "in_flight_messages",
        "consumers",
        "published_messages_total",
        "consumed_messages_total",
        "published_per_second",
        "consumed_per_second",
        "drain_seconds",
        "drains",
        "retention_seconds",
        "unread_lost_messages_total",
        "rewinds_total",
        "objective_age_seconds",
        "objective_budget_left_ratio",
        "muted_until",
        "muted_reason",
    }
    assert item["age_method"] == "unknown"


@pytest.mark.parametrize(
    ("drain", "told"),
    [(None, (None, None)), (0.0, (0, True)), (12.5, (12.5, True)), (math.inf, (None, False)), (math.nan, (None, None))],
)
def test_a_backlog_that_never_drains_is_told_apart_from_one_of_which_nobody_knows(
    drain: float | None, told: tuple[float | None, bool | None]
) -> None:
    (item,) = Api([view([(subscription("a"), verdict(drain_seconds=drain))])]).get("subscriptions").json()["items"]
    assert (item["drain_seconds"], item["drains"]) == told


def test_a_dead_letter_queue_tells_whose_it_is_and_what_is_wrong_with_it() -> None:
    it = dead_letters(
        "orders.dlq",
        messages=42.0,
        oldest_age=Age(3600.0, AgeMethod.EXACT),
        retention_seconds=86400.0,
        expires_at=NOW + 82800,
        arrivals_total=7.0,
        origins=(Origin("orders", FoundBy.HEADERS), Origin("payments", FoundBy.NAME)),
        problems=(Problem.RETENTION_TOO_SHORT,),
    )
    (item,) = Api([view(dead=[it])]).get("dead-letters").json()["items"]
    assert item == {
        "id": "orders/orders.dlq",
        "system": "kafka",
        "cluster": "orders",
        "queue": "orders.dlq",
        "role": "dead_letter",
        "messages": 42,
        "oldest_age_seconds": 3600,
        "age_method": "exact",
        "retention_seconds": 86400,
        "expiry_timestamp_seconds": NOW + 82800,
        "arrivals_total": 7,
        "found_by": "name",
        "origins": ["orders", "payments"],
        "origin_evidence": [{"origin": "orders", "found_by": "headers"}, {"origin": "payments", "found_by": "name"}],
        "problems": ["retention_too_short"],
        "muted_until": None,
        "muted_reason": None,
        "as_of": NOW - 10,
        "data_age_seconds": 10,
    }


def test_a_collector_tells_its_health_and_how_much_it_covers() -> None:
    errors = (CollectionError("timeout", "partition 3", "partition 3: no answer"),)
    it = view(cycle_seconds=0.4, last_success=NOW - 9, missed_runs_total=2, errors=errors, errors_total={"timeout": 5})
    api = Api([it])
    api.page.update(it, cycle_ended=True)
    (item,) = api.get("collectors").json()["items"]
    series = item.pop("series")
    assert (item.pop("series_dropped"), item.pop("probe")) == (0, None)
    assert item == {
        "cluster": "orders",
        "system": "kafka",
        "up": True,
        "last_success_timestamp_seconds": NOW - 9,
        "interval_seconds": 15,
        "read_by": None,
        "duration_seconds": 0.4,
        "missed_runs_total": 2,
        "errors": [{"reason": "timeout", "target": "partition 3", "message": "partition 3: no answer"}],
        "errors_total": {"timeout": 5},
        "expected": 4,
        "measured": 4,
        "notes": ["by hand"],
        "as_of": NOW - 10,
        "data_age_seconds": 10,
    }
    assert series == api.page.page().plain.decode().count('cluster="orders"') - HISTOGRAM_LINES


HISTOGRAM_LINES = 15  # buckets, sum and count of the durations, which the monitor keeps of itself


def test_a_collector_tells_what_its_probe_found() -> None:
    counts = [("1", "returned", 8), ("1", "lost", 0), ("1", "refused", 1)] + [("2", it, 0) for it in OUTCOMES]
    tables = {
        "probe": Table.of_rows(
            (), (), {"kafka_probe_commit_seconds": [0.01], "kafka_probe_last_round_timestamp_seconds": [NOW - 5]}
        ),
        "probe_brokers": Table.of_rows(("broker",), [("1",), ("2",)], {"kafka_probe_round_trip_seconds": [0.02, None]}),
        "probe_messages": Table.of_rows(
            ("broker", "outcome"), [row[:2] for row in counts], {"kafka_probe_messages_total": [it[2] for it in counts]}
        ),
    }
    (item,) = Api([view(tables=tables)]).get("collectors").json()["items"]
    assert item["probe"] == {
        "last_round_timestamp_seconds": NOW - 5,
        "commit_seconds": 0.01,
        "brokers": [
            {"broker": "1", "round_trip_seconds": 0.02, "returned_total": 8, "lost_total": 0, "refused_total": 1},
            {"broker": "2", "round_trip_seconds": None, "returned_total": 0, "lost_total": 0, "refused_total": 0},
        ],
    }


OUTCOMES = ("returned", "lost", "refused")


def test_what_the_limit_leaves_out_is_told_in_numbers_and_words() -> None:
    lag = {"kafka_consumer_group_lag_messages": [1.0] * 50}
    rows = [("a-group", "a", str(number)) for number in range(50)]
    it = view(tables={"group_partitions": Table.of_rows(("group", "topic", "partition"), rows, lag)})
    api = Api([it], most_series=30)
    api.page.update(it, cycle_ended=True)
    (item,) = api.get("collectors").json()["items"]
    assert item["series"] <= 30
    assert item["series_dropped"] == 50
    assert any("50 series are left out" in note for note in item["notes"])


def test_a_collector_without_a_snapshot_claims_no_coverage() -> None:
    (item,) = Api([blind_view(up=False, errors_total={})]).get("collectors").json()["items"]
    assert item["up"] is False
    assert [item[name] for name in ("expected", "measured", "as_of", "data_age_seconds", "series")] == [None] * 5


def test_a_cluster_without_a_snapshot_has_no_subscriptions_and_no_dead_letters() -> None:
    api = Api([blind_view(up=False)])
    assert api.get("subscriptions").json() == {"items": [], "next": None, "total": 0}
    assert api.get("dead-letters").json() == {"items": [], "next": None, "total": 0}


TABLES = {
    "group_partitions": Table.of_rows(
        ("group", "topic", "partition"),
        [("a-group", "a", "0"), ("a-group", "a", "1"), ("b-group", "a", "0")],
        {"kafka_consumer_group_lag_messages": [5, None, 7], "kafka_consumer_group_lag_seconds": [1.5, 2.5, 3.5]},
    ),
    "partitions": Table.of_rows(
        ("topic", "partition"), [("a", "0"), ("b", "0")], {"kafka_partition_end_offset": [9, 8]}
    ),
    "nodes": Table.of_rows(("node",), [("1",)], {"rabbitmq_node_alarm": [1]}),
}


def test_one_subscription_has_the_rows_of_its_bus_that_speak_of_it() -> None:
    api = Api([view([subscription("a")], tables=TABLES)])
    item = api.get("subscriptions/orders/a-group/a").json()
    assert item["details"] == {
        "group_partitions": [
            {"group": "a-group", "topic": "a", "partition": "0", "lag_messages": 5, "lag_seconds": 1.5},
            {"group": "a-group", "topic": "a", "partition": "1", "lag_messages": None, "lag_seconds": 2.5},
        ],
        "partitions": [{"topic": "a", "partition": "0", "end_offset": 9}],
    }


def test_one_dead_letter_queue_has_the_rows_of_its_bus_that_speak_of_it() -> None:
    api = Api([view(dead=[dead_letters("b")], tables=TABLES)])
    assert api.get("dead-letters/orders/b").json()["details"] == {
        "partitions": [{"topic": "b", "partition": "0", "end_offset": 8}]
    }


def test_every_family_keeps_its_place_in_a_row_beside_its_labels_and_neighbours() -> None:
    for labels in {family.labels for family in FAMILIES}:
        names = [field_name(family.name, labels) for family in FAMILIES if family.labels == labels]
        assert len({*names, *labels}) == len(names) + len(labels)


def test_a_value_named_like_its_label_stands_beside_it() -> None:
    rows = [("a-group", "Stable"), ("a-group", "Empty")]
    tables = {"states": Table.of_rows(("group", "state"), rows, {"kafka_consumer_group_state": [1, 0]})}
    item = Api([view([subscription("a")], tables=tables)]).get("subscriptions/orders/a-group/a").json()
    assert item["details"]["states"] == [
        {"group": "a-group", "state": "Stable", "kafka_consumer_group_state": 1},
        {"group": "a-group", "state": "Empty", "kafka_consumer_group_state": 0},
    ]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("subscriptions", Page[SubscriptionItem]),
        ("subscriptions/orders/a-group/a", SubscriptionDetail),
        ("dead-letters", Page[DeadLetterItem]),
        ("dead-letters/orders/b", DeadLetterDetail),
        ("collectors", Page[CollectorItem]),
    ],
)
def test_answers_have_the_shape_that_the_api_describes(path: str, shape: type) -> None:
    api = Api([view([subscription("a")], dead=[dead_letters("b")], tables=TABLES)])
    body = api.get(path).json()
    adapter: TypeAdapter[object] = TypeAdapter(shape)
    assert adapter.dump_python(adapter.validate_python(body), mode="json") == body


def test_a_collector_is_told_with_the_rows_that_speak_of_its_cluster_as_a_whole() -> None:
    tables = {
        "aws_api": Table.of_rows(("service", "operation"), [("sqs", "ListQueues")], {"aws_api_requests_total": [3.0]}),
        "queues": Table.of_rows(("queue",), [("q",)], {"sqs_queue_messages_visible": [1.0]}),
    }
    api = Api([view(tables=tables, cluster="a b"), blind_view("mail")])
    told = api.get("collectors/a%20b").json()
    assert told["cluster"] == "a b"
    assert told["details"] == {"aws_api": [{"service": "sqs", "operation": "ListQueues", "aws_api_requests_total": 3}]}
    assert api.get("collectors/mail").json()["details"] == {}
