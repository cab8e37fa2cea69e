"""A stand-in for what AWS publishes by itself: the CloudWatch series that LocalStack leaves out.

Nothing here is AWS. LocalStack 4.12 publishes how deep each SQS queue is, once a minute; this feeder calls
PutMetricData for the rest, every few seconds:

    AWS/SQS  ApproximateAgeOfOldestMessage                 of every queue, from the messages that LocalStack holds
             NumberOfMessagesSent, -Received, -Deleted, NumberOfEmptyReceives
                                                           counted where LocalStack would publish each by a call of its
                                                           own, which falls behind by minutes
    AWS/SNS  NumberOfMessagesPublished                     counted where LocalStack hands messages to a topic
             NumberOfNotificationsDelivered, ...Failed     counted where it logs how a delivery went
             NumberOfNotificationsFilteredOut, and the same with -MessageAttributes, -NoMessageAttributes,
             -MessageBody, -InvalidMessageBody             counted where it holds a message against a filter policy
             NumberOfNotificationsRedrivenToDlq, NumberOfNotificationsFailedToRedriveToDlq

What differs from AWS: values are there within seconds; SentMessageSize is left out; deliveries by e-mail are not
counted, since LocalStack does not log them; a message that was received more than three times still counts for the age.

It lives in LocalStack's process, because messages and deliveries are nowhere else to be seen without receiving them.
"""

import importlib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

FEED_SECONDS = 5.0
EMPTY_SECONDS = 60.0  # the age of an empty queue is 0; that need not be said more often than AWS does
DATAPOINTS_PER_CALL = 1_000
FILTERED = "NumberOfNotificationsFilteredOut"
AGE = "ApproximateAgeOfOldestMessage"

LOG = logging.getLogger("eventflow.feeder")


@dataclass(frozen=True, order=True)
class Series:
    """One CloudWatch series with one dimension."""

    account: str
    region: str
    namespace: str
    dimension: str
    resource: str
    metric: str
    unit: str


class Counts:
    """What happened since it was last taken."""

    def __init__(self) -> None:
        self._counts: Counter[Series] = Counter()
        self._lock = threading.Lock()

    def add(self, series: Series, count: int) -> None:
        """Count something."""
        with self._lock:
            self._counts[series] += count

    def take(self) -> Mapping[Series, float]:
        """Give the counts and begin anew."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


class QueueAges:
    """The age of the oldest message of every queue; 0 for an empty one, said once and then at times."""

    def __init__(self) -> None:
        self._next_saying: dict[Series, float] = {}

    def take(self, now: float) -> Mapping[Series, float]:
        """Give the ages, in seconds, that are due at this Unix time."""
        ages = {}
        for series, queue in _queues():
            oldest = oldest_message(queue)
            if oldest is None and now < self._next_saying.get(series, 0.0):
                continue
            self._next_saying[series] = now + EMPTY_SECONDS if oldest is None else 0.0
            ages[series] = 0.0 if oldest is None else max(now - oldest, 0.0)
        return ages


def _queues() -> Iterator[tuple[Series, Any]]:
    stores = importlib.import_module("localstack.services.sqs.models").sqs_stores
    # copies: requests create accounts, regions and queues while this goes through them
    for account, regions in list(stores.items()):
        for region, store in list(regions.items()):
            for queue in list(store.queues.values()):
                yield Series(account, region, "AWS/SQS", "QueueName", queue.name, AGE, "Seconds"), queue


def oldest_message(queue: Any) -> float | None:
    """When the oldest message that is not deleted came into the queue (Unix time); None for an empty queue.

    Visible, delayed and in flight all count, as on AWS; after a move to a dead-letter queue it is the time of the move.
    """
    with queue.mutex:
        messages = [*queue.inflight, *queue.delayed]
        if hasattr(queue, "message_groups"):  # FIFO: what is visible waits in its group
            messages += [message for group in queue.message_groups.values() for message in group.messages]
        else:
            messages += queue.visible.queue
    return min((message.created for message in messages if not message.deleted), default=None)


class Feeder:
    """Publishes the series from a thread of its own."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._ages = QueueAges()

    def start(self) -> None:
        """Hook into SQS and SNS and begin; before the runtime is started."""
        count_queue_calls(self._counts)
        count_notifications(self._counts)
        LOG.warning(
            "The feeder stands in for AWS: it publishes the SQS ages and SNS series that LocalStack leaves out."
        )
        threading.Thread(target=self._feed, name="eventflow-feeder", daemon=True).start()

    def _feed(self) -> None:
        errors = importlib.import_module("botocore.exceptions")
        while True:
            time.sleep(FEED_SECONDS)
            now = time.time()
            try:
                publish({**self._counts.take(), **self._ages.take(now)}, now)
            except (errors.ClientError, errors.BotoCoreError):
                LOG.exception("The feeder lost one round.")


def publish(values: Mapping[Series, float], now: float) -> None:
    """Give the values to LocalStack's CloudWatch by PutMetricData, as datapoints of this Unix time.

    Raises:
        botocore.exceptions.ClientError: CloudWatch refused them.
    """
    connect_to = importlib.import_module("localstack.aws.connect").connect_to
    for (account, region, namespace), some in groupby(sorted(values), key=lambda s: (s.account, s.region, s.namespace)):
        client = connect_to(aws_access_key_id=account, region_name=region).cloudwatch
        data = [_datapoint(series, values[series], now) for series in some]
        for start in range(0, len(data), DATAPOINTS_PER_CALL):
            client.put_metric_data(Namespace=namespace, MetricData=data[start : start + DATAPOINTS_PER_CALL])


def _datapoint(series: Series, value: float, now: float) -> Mapping[str, Any]:
    return {
        "MetricName": series.metric,
        "Dimensions": [{"Name": series.dimension, "Value": series.resource}],
        "Timestamp": now,
        "Value": value,
        "Unit": series.unit,
    }


def count_queue_calls(counts: Counts) -> None:
    """Count what LocalStack's SQS would send to CloudWatch message by message."""
    dispatcher: Any = importlib.import_module("localstack.services.sqs.provider").CloudwatchDispatcher

    def count(
        _self: Any, account_id: str, region: str, queue_name: str, metric: str, value: float = 1, unit: str = "Count"
    ) -> None:
        if unit == "Count":  # the size of messages is the only other one, and not for adding up
            counts.add(Series(account_id, region, "AWS/SQS", "QueueName", queue_name, metric, unit), int(value))

    dispatcher.dispatch_sqs_metric = count


def count_notifications(counts: Counts) -> None:
    """Put a counter at each place where LocalStack's SNS publishes, filters, delivers, or gives a delivery up."""
    publisher: Any = importlib.import_module("localstack.services.sns.publisher")

    def add(topic_arn: str, metric: str, count: int = 1) -> None:
        region, account, topic = topic_arn.split(":")[3:6]  # arn:aws:sns:region:account:name
        counts.add(Series(account, region, "AWS/SNS", "TopicName", topic, metric, "Count"), count)

    _count_published(publisher.PublishDispatcher, add)
    _count_filtered(publisher.PublishDispatcher, add)
    _count_delivered(publisher, add)
    _count_given_up(publisher, add)


def _count_published(dispatcher: Any, add: Callable[..., None]) -> None:
    publish_one, publish_batch = dispatcher.publish_to_topic, dispatcher.publish_batch_to_topic

    def count_one(self: Any, ctx: Any, topic_arn: str) -> None:
        add(topic_arn, "NumberOfMessagesPublished")
        publish_one(self, ctx, topic_arn)

    def count_batch(self: Any, ctx: Any, topic_arn: str) -> None:
        add(topic_arn, "NumberOfMessagesPublished", len(ctx.messages))
        publish_batch(self, ctx, topic_arn)

    dispatcher.publish_to_topic, dispatcher.publish_batch_to_topic = count_one, count_batch


def _count_filtered(dispatcher: Any, add: Callable[..., None]) -> None:
    should_publish = dispatcher._should_publish

    def count(self: Any, policies: Mapping[str, Any], message: Any, subscriber: Mapping[str, str]) -> Any:
        passes = should_publish(self, policies, message, subscriber)
        # without a policy it is a subscription that nobody confirmed yet
        if not passes and policies.get(subscriber["SubscriptionArn"]):
            add(subscriber["TopicArn"], FILTERED)
            add(subscriber["TopicArn"], f"{FILTERED}-{filter_reason(message, subscriber)}")
        return passes

    dispatcher._should_publish = count


def _count_delivered(publisher: Any, add: Callable[..., None]) -> None:
    log_delivery = publisher.store_delivery_log

    def count(message: Any, subscriber: Mapping[str, str], success: bool, *args: Any, **kwargs: Any) -> Any:
        add(subscriber["TopicArn"], "NumberOfNotificationsDelivered" if success else "NumberOfNotificationsFailed")
        return log_delivery(message, subscriber, success, *args, **kwargs)

    publisher.store_delivery_log = count


def _count_given_up(publisher: Any, add: Callable[..., None]) -> None:
    give_up = publisher.sns_error_to_dead_letter_queue

    def count(sns_subscriber: Mapping[str, str], *args: Any, **kwargs: Any) -> Any:
        try:
            queue = give_up(sns_subscriber, *args, **kwargs)
        except Exception:  # of whatever kind: LocalStack raises plain ones, and this one goes on to its caller
            add(sns_subscriber["TopicArn"], "NumberOfNotificationsFailedToRedriveToDlq")
            raise
        if queue is not None:  # None: the subscription has no dead-letter queue
            add(sns_subscriber["TopicArn"], "NumberOfNotificationsRedrivenToDlq")
        return queue

    publisher.sns_error_to_dead_letter_queue = count


def filter_reason(message: Any, subscriber: Mapping[str, str]) -> str:
    """Which of AWS's names for a filtered notification fits.

    Source: "Amazon SNS metrics" in the developer guide. A subscription looks at attributes, or at a body of JSON.
    """
    if subscriber.get("FilterPolicyScope") != "MessageBody":
        return "MessageAttributes" if message.message_attributes else "NoMessageAttributes"
    try:
        body = json.loads(message.message_content(subscriber["Protocol"]))
    except ValueError:
        return "InvalidMessageBody"
    return "MessageBody" if isinstance(body, dict) else "InvalidMessageBody"
