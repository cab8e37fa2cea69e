"""CloudWatch sums as counters, on the stand-in, whose series a test publishes as AWS does."""

import contextlib
import math
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from monitor.brokers.aws.collector import AwsCollector
from monitor.clock import Clock
from monitor.model import AgeMethod, Snapshot
from monitor.storage.counters import Counters
from monitor.storage.database import Database
from tests.integration.aws.conftest import Aws, in_parallel, rows

MINUTE = 60.0


class Hands:
    """A clock that a test moves on, so that nobody waits for the next pass or for a value to settle."""

    def __init__(self, now: float) -> None:
        self.now, self._started = now, now
        self.clock = Clock(now=lambda: self.now, monotonic=lambda: time.monotonic() + self.now - self._started)

    def collect(self, collector: AwsCollector) -> Snapshot:
        return collector.collect(self.clock.monotonic() + 30)


def publish(aws: Aws, name: str, metric: str, when: float, *values: float, of: str = "Queue") -> None:
    for value in values:
        aws.cloudwatch.put_metric_data(
            Namespace="AWS/SQS" if of == "Queue" else "AWS/SNS",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": f"{of}Name", "Value": aws.name(name)}],
                    "Timestamp": datetime.fromtimestamp(when, UTC),
                    "Value": value,
                }
            ],
        )


def test_each_datapoint_counts_once_late_ones_too_and_the_counter_never_goes_down(aws: Aws) -> None:
    aws.make_queue("orders")
    start = (time.time() - 3_600) // MINUTE * MINUTE
    hands = Hands(start + 5)
    pace = {"interval": "5s", "settle": "2m"}
    with contextlib.closing(aws.collector(hands.clock, cloudwatch=pace)) as collector:

        def sent_and_deleted(after: float = 5.0) -> tuple[float | None, float | None]:
            hands.now += after
            (orders,) = hands.collect(collector).subscriptions
            return orders.published_messages_total, orders.consumed_messages_total

        publish(aws, "orders", "NumberOfMessagesSent", start - MINUTE, 1_000)
        assert sent_and_deleted() == (0.0, 0.0)  # what was before is not counted

        publish(aws, "orders", "NumberOfMessagesSent", start, 5)
        publish(aws, "orders", "NumberOfMessagesDeleted", start, 2)
        assert sent_and_deleted(after=MINUTE) == (5.0, 2.0)
        assert sent_and_deleted() == (5.0, 2.0)

        publish(aws, "orders", "NumberOfMessagesSent", start, 1)  # comes late, into a minute that was counted
        publish(aws, "orders", "NumberOfMessagesSent", start + MINUTE, 10)
        assert sent_and_deleted(after=MINUTE) == (16.0, 2.0)
        assert sent_and_deleted(after=10 * MINUTE) == (16.0, 2.0)  # all of it has settled

        publish(aws, "orders", "NumberOfMessagesSent", hands.now, 4)
        assert sent_and_deleted() == (20.0, 2.0)
        columns = hands.collect(collector).tables["cloudwatch"].columns
        newest = columns["cloudwatch_newest_datapoint_timestamp_seconds"].tolist()
        assert newest == [hands.now // MINUTE * MINUTE]
        # four sums of one empty queue, in six passes; the last cycle came before the next pass
        assert columns["cloudwatch_billable_metrics_total"].tolist() == [24.0]


def test_the_age_is_the_one_that_cloudwatch_reports_while_messages_wait(aws: Aws) -> None:
    url = aws.make_queue("orders")
    hands = Hands((time.time() - 3_600) // MINUTE * MINUTE + 5)  # in the past, where the stack's feeder adds nothing
    with contextlib.closing(aws.collector(hands.clock, cloudwatch={"interval": "5s"})) as collector:
        publish(aws, "orders", "ApproximateAgeOfOldestMessage", hands.now - MINUTE, 4_000)
        (empty,) = hands.collect(collector).subscriptions
        assert (empty.oldest_age.seconds, empty.oldest_age.method) == (0.0, AgeMethod.EXACT)
        # that age spoke of messages that are gone: the one that comes now is not so old
        aws.sqs.send_message(QueueUrl=url, MessageBody="x")
        hands.now += 5
        (young,) = hands.collect(collector).subscriptions
        assert (young.oldest_age.seconds, young.oldest_age.method) == (None, AgeMethod.UNKNOWN)
    with contextlib.closing(aws.collector(hands.clock, cloudwatch={"interval": "5s"})) as fresh:
        snapshot = hands.collect(fresh)
        (old,) = snapshot.subscriptions
        assert (old.oldest_age.seconds, old.oldest_age.method) == (4_000.0, AgeMethod.REPORTED)
        ages = rows(snapshot.tables["queues"], "sqs_queue_oldest_message_age_seconds")
        assert ages == {(aws.name("orders"),): 4_000.0}


def test_without_cloudwatch_there_are_no_counters_rather_than_zeros(aws: Aws) -> None:
    aws.make_queue("orders")
    snapshot = aws.collect()
    (orders,) = snapshot.subscriptions
    assert (orders.published_messages_total, orders.consumed_messages_total) == (None, None)
    assert math.isnan(rows(snapshot.tables["queues"], "sqs_queue_sent_total")[aws.name("orders"),])
    assert any("CloudWatch is not asked" in note for note in snapshot.notes)


def test_the_cost_of_30_days_is_told(aws: Aws) -> None:
    aws.make_queue("orders")
    snapshot = aws.collect(cloudwatch={"interval": "1m"})
    # four metrics of one queue a minute: 172,800 in 30 days at a cent for a thousand
    assert any("$1.73 for CloudWatch" in note for note in snapshot.notes)
    costs = rows(snapshot.tables["aws_api"], "aws_api_monthly_cost_dollars")
    assert round(costs["cloudwatch", "GetMetricData"], 2) == 1.73
    assert 0 < costs["sqs", "GetQueueAttributes"] == costs["sqs", "ListQueues"]


def test_more_metrics_than_one_call_takes_are_all_answered(aws: Aws) -> None:
    in_parallel(lambda name: aws.sns.create_topic(Name=name), [aws.name(f"t-{index:02}") for index in range(55)])
    publish(aws, "t-54", "NumberOfMessagesPublished", time.time(), 7, of="Topic")
    snapshot = aws.collect(cloudwatch={"interval": "1m"})
    counted = rows(snapshot.tables["topics"], "sns_topic_published_total")
    assert counted[aws.name("t-54"),] == 7.0
    assert counted[aws.name("t-00"),] == 0.0
    # ten of each topic, by five hundred
    assert snapshot.tables["cloudwatch"].columns["cloudwatch_billable_metrics_total"].tolist() == [550.0]
    requests = rows(snapshot.tables["aws_api"], "aws_api_requests_total")
    assert requests["cloudwatch", "GetMetricData"] == 2


def test_a_counter_goes_on_after_a_restart_with_what_was_counted_meanwhile(aws: Aws, tmp_path: Path) -> None:
    aws.make_queue("orders")
    start = (time.time() - 3_600) // MINUTE * MINUTE
    hands = Hands(start + 5)
    pace = {"interval": "5s", "settle": "2m"}

    def sent(*datapoints: tuple[float, float]) -> float | None:
        """Start anew, look again after each of some datapoints, and save."""
        with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as database:
            counters = Counters(database, Clock())
            counters.load(["cloud"])
            memory = counters.memory_of("cloud")
            with closing(aws.collector(hands.clock, memory, cloudwatch=pace)) as collector:
                (orders,) = hands.collect(collector).subscriptions
                for minute, value in datapoints:
                    publish(aws, "orders", "NumberOfMessagesSent", start + minute * MINUTE, value)
                    hands.now += MINUTE
                    (orders,) = hands.collect(collector).subscriptions
            counters.save()
        return orders.published_messages_total

    assert sent((0, 5), (1, 7)) == 12.0
    publish(aws, "orders", "NumberOfMessagesSent", start + 2 * MINUTE, 20)
    publish(aws, "orders", "NumberOfMessagesSent", start + 1 * MINUTE, 1)  # not settled when it was saved
    hands.now += 30 * MINUTE
    assert sent() == 33.0
    assert sent((33, 2)) == 35.0
