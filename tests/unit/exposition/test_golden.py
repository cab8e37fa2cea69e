"""A whole page as it is meant to look. `UPDATE_GOLDEN=1 pytest tests/unit/exposition` writes it anew."""

import os
from pathlib import Path

import numpy as np

from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    DeadLetterQueue,
    FoundBy,
    Origin,
    Problem,
    Role,
    Status,
    Subscription,
    System,
    Table,
)
from tests.unit.exposition.builders import (
    dead_letter_queue,
    group_partitions,
    health,
    page_of,
    subscription,
    verdict,
    view,
)

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"


def kafka(cluster: str) -> ClusterView:
    lag = group_partitions(
        [("notification", "order-events", "0"), ("notification", "order-events", "1"), ('a "b"\\\n', "é", "0")],
        lag_messages=[600, 0, None],
        lag_seconds=[12.5, 0, None],
        committed_offset=[400, 9_007_199_254_740_992, 7],
    )
    ends = Table.of_rows(
        ("topic", "partition"),
        [("order-events", "0"), ("order-events", "1")],
        {"kafka_partition_end_offset": [1000, None], "kafka_partition_leader_available": [1, 0]},
    )
    judged = verdict(
        Status.LAGGING,
        drain_seconds=float("inf"),
        owner="checkout",
        objective_age_seconds=30.0,
        objective_seconds={"met": 45.0, "missed": 15.0, "unknown": 0.0},
    )
    dead = dead_letter_queue(
        messages=3.0,
        arrivals_total=3.0,
        origins=(Origin("order-events", FoundBy.HEADERS),),
        retention_seconds=604_800.0,
    )
    lagging = subscription(
        published_messages_total=1000.0, consumed_messages_total=400.0, consumers=1, expected=2, measured=2
    )
    return view({"group_partitions": lag, "partitions": ends}, [lagging], [judged], [dead], of=health(cluster))


def rabbitmq() -> ClusterView:
    queues = Table.of_rows(
        ("vhost", "queue"),
        [("/", "notifications"), ("shop/eu", "a b.c")],
        {"rabbitmq_queue_messages_ready": [5, 0], "rabbitmq_queue_messages_unacked": [1, None]},
    )
    retry = Subscription(
        "mail/notifications-retry-1",
        System.RABBITMQ,
        "mail",
        "notifications-retry-1",
        "notifications-retry-1",
        backlog_messages=2.0,
        oldest_age=Age(3.25, AgeMethod.REPORTED),
        role=Role.RETRY,
    )
    bare = DeadLetterQueue(
        "mail/notifications",
        System.RABBITMQ,
        "mail",
        "notifications",
        FoundBy.TOPOLOGY,
        problems=(Problem.NONE_CONFIGURED,),
    )
    told = health("mail", "rabbitmq", up=False, errors_total={"timeout": 2}, missed_runs_total=1, cycle_seconds=15.0)
    return view({"queues": queues}, [retry], dead_letters=[bare], of=told)


def aws() -> ClusterView:
    tables = {
        "queues": Table.of_rows(
            ("queue",),
            [("NotificationQueue",), ("NotificationDLQ",)],
            {"sqs_queue_messages_visible": [4, 0], "sqs_queue_max_receive_count": [5, None]},
        ),
        "billing": Table((), {"cloudwatch_billable_metrics_total": np.array([36.0])}),
    }
    partial = Subscription(
        "aws/NotificationQueue",
        System.SQS,
        "aws",
        "NotificationQueue",
        "NotificationQueue",
        backlog_messages=4.0,
        measured=0,
    )
    return view(tables, [partial], [verdict(Status.UNKNOWN)], of=health("aws", "aws", interval=30.0))


def unwatched() -> ClusterView:
    return ClusterView(health("new", up=None, last_success=None, cycle_seconds=None))


def test_the_page_looks_as_it_should() -> None:
    text = page_of(kafka("orders"), kafka("orders-eu"), rabbitmq(), aws(), unwatched()).plain.decode()
    # What stands before differs from process to process.
    shown = text[text.index("# HELP eventflow_collector_duration_seconds") :]

    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(shown, encoding="utf-8", newline="")
    assert shown == GOLDEN.read_text(encoding="utf-8"), (
        "meant? then run with UPDATE_GOLDEN=1 and look at the difference"
    )
