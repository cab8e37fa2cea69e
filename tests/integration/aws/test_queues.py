"""SQS queues on the stand-in: all of them, their depths, kinds and ages."""

import contextlib
import time

from monitor.analysis.assessment import Rules, assess
from monitor.brokers.aws.queues import IN_FLIGHT_QUOTA
from monitor.exposition.render import render_cluster
from monitor.model import AgeMethod, ClusterView, Health, Role, System
from tests.integration.aws.conftest import Aws, by_queue, collect, in_parallel, rows


def test_250_queues_are_all_there_and_one_that_is_deleted_is_gone_in_the_next_cycle(aws: Aws) -> None:
    names = sorted(aws.name(f"q-{i:03}") for i in range(250))
    in_parallel(lambda name: aws.sqs.create_queue(QueueName=name), names)
    with contextlib.closing(aws.collector()) as collector:
        first = collect(collector)
        assert [it.destination for it in first.subscriptions] == names
        assert (first.expected, first.measured, first.errors) == (250, 250, ())
        assert first.parts is not None
        assert len(set(first.parts.ids.tolist())) == 250

        second = collect(collector)
        for name, table in second.tables.items():
            assert table.labels is first.tables[name].labels or not table.labels, name
        requests = rows(second.tables["aws_api"], "aws_api_requests_total")
        assert requests["sqs", "ListQueues"] == 2
        assert requests["sqs", "GetQueueAttributes"] == 500

        aws.sqs.delete_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=names[7])["QueueUrl"])
        third = collect(collector)
        assert [it.destination for it in third.subscriptions] == names[:7] + names[8:]
        assert third.expected == 249


def test_visible_in_flight_and_delayed_messages_are_told_apart(aws: Aws) -> None:
    url = aws.make_queue("orders", VisibilityTimeout="300", MessageRetentionPeriod="86400")
    for _ in range(3):
        aws.sqs.send_message(QueueUrl=url, MessageBody="x")
    aws.sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=600)
    assert aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    snapshot = aws.collect()
    (orders,) = snapshot.subscriptions
    assert (orders.id, orders.system, orders.role) == (f"cloud/{aws.name('orders')}", System.SQS, Role.WORK)
    assert (orders.backlog_messages, orders.in_flight_messages, orders.consumers) == (2.0, 1.0, None)
    assert orders.retention_seconds == 86_400.0
    assert orders.oldest_age.method is AgeMethod.UNKNOWN
    assert rows(
        snapshot.tables["queues"],
        "sqs_queue_messages_visible",
        "sqs_queue_messages_in_flight",
        "sqs_queue_messages_delayed",
        "sqs_queue_retention_seconds",
        "sqs_queue_visibility_timeout_seconds",
        "sqs_queue_in_flight_quota",
    ) == {(aws.name("orders"),): (2.0, 1.0, 1.0, 86_400.0, 300.0, float(IN_FLIGHT_QUOTA))}


def test_the_age_of_an_empty_queue_is_exactly_zero_and_of_a_full_one_not_known_without_cloudwatch(aws: Aws) -> None:
    url = aws.make_queue("orders")
    with contextlib.closing(aws.collector()) as collector:
        (empty,) = collect(collector).subscriptions
        assert (empty.oldest_age.seconds, empty.oldest_age.method) == (0.0, AgeMethod.EXACT)
        aws.sqs.send_message(QueueUrl=url, MessageBody="x")
        collect(collector)
        (full,) = collect(collector).subscriptions
        assert (full.oldest_age.seconds, full.oldest_age.method) == (None, AgeMethod.UNKNOWN)


def test_a_fifo_queue_is_told_as_one_with_its_dead_letter_queue(aws: Aws) -> None:
    aws.make_queue("dead.fifo", FifoQueue="true")
    aws.make_queue("orders.fifo", "dead.fifo", receives=4, FifoQueue="true")
    snapshot = aws.collect()
    assert rows(snapshot.tables["queue_info"], "sqs_queue_info") == {
        (aws.name("dead.fifo"), "true", "dead_letter", ""): 1.0,
        (aws.name("orders.fifo"), "true", "work", aws.name("dead.fifo")): 1.0,
    }
    receives = rows(snapshot.tables["queues"], "sqs_queue_max_receive_count")
    assert receives[aws.name("orders.fifo"),] == 4.0
    # a moved message begins anew in a FIFO queue, so equal retention is no mistake there
    assert [it.problems for it in snapshot.dead_letters] == [()]


def test_a_queue_that_is_made_again_is_another_part(aws: Aws) -> None:
    url = aws.make_queue("orders")
    with contextlib.closing(aws.collector()) as collector:
        first = collect(collector)
        aws.sqs.delete_queue(QueueUrl=url)
        assert collect(collector).subscriptions == ()
        made = time.time()
        while int(time.time()) == int(made):  # creation times are full seconds
            time.sleep(0.05)
        aws.make_queue("orders")
        again = collect(collector)
    assert list(by_queue(again)) == [aws.name("orders")]
    assert first.parts is not None
    assert again.parts is not None
    assert first.parts.ids.tolist() != again.parts.ids.tolist()


def test_a_role_is_assumed_and_that_call_counts_too(aws: Aws) -> None:
    aws.make_queue("orders")
    snapshot = aws.collect(role_arn="arn:aws:iam::000000000000:role/monitor")
    assert list(by_queue(snapshot)) == [aws.name("orders")]
    assert rows(snapshot.tables["aws_api"], "aws_api_requests_total")["sts", "AssumeRole"] == 1


def test_every_number_has_its_place_in_the_metrics(aws: Aws) -> None:
    aws.make_queue("orders")
    aws.sns.create_topic(Name=aws.name("events"))
    snapshot = aws.collect(cloudwatch={"interval": "1m"})
    verdicts, _ = assess(snapshot, None, Rules.of(30.0), at=0.0)
    text = render_cluster(ClusterView(Health("cloud", "aws", 30.0, up=True), snapshot, verdicts))
    assert text.mistakes == frozenset()
    assert {"queues", "queue_info", "topics", "sns_subscriptions", "aws_api", "cloudwatch"} <= set(snapshot.tables)
