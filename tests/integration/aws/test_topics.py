"""SNS topics and subscriptions on the stand-in."""

import contextlib
import json
import time

from monitor.model import FoundBy, Origin, Problem, System
from tests.integration.aws.conftest import Aws, collect, dead_by_queue, redrive_policy, rows
from tests.unit.aws.builders import policy


def subscribe(aws: Aws, topic: str, protocol: str, endpoint: str, **attributes: str) -> str:
    made = aws.sns.subscribe(
        TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=attributes, ReturnSubscriptionArn=True
    )
    return made["SubscriptionArn"]


def test_subscriptions_are_told_with_their_dead_letter_queues_and_filters_that_are_shut(aws: Aws) -> None:
    topic = aws.sns.create_topic(Name=aws.name("events"))["TopicArn"]
    lets_sns_in = policy({"Condition": {"ArnEquals": {"aws:SourceArn": topic}}})
    for name in ("undeliverable", "good", "shut", "hopeless"):
        aws.make_queue(name, Policy=lets_sns_in)
    aws.make_queue("closed")
    subscribe(aws, topic, "sqs", aws.arn("good"), RedrivePolicy=redrive_policy(aws.arn("undeliverable")))
    subscribe(aws, topic, "sqs", aws.arn("shut"), FilterPolicy=json.dumps({"event type": ["OrderCreated"]}))
    subscribe(aws, topic, "sqs", aws.arn("hopeless"), RedrivePolicy=redrive_policy(aws.arn("gone")))
    subscribe(aws, topic, "sqs", aws.arn("closed"), RedrivePolicy=redrive_policy(aws.arn("undeliverable")))
    snapshot = aws.collect()
    name = aws.name("events")
    assert rows(snapshot.tables["sns_subscriptions"], "sns_subscription_info") == {
        (name, "sqs", aws.arn("good"), "true"): 1.0,
        (name, "sqs", aws.arn("shut"), "false"): 1.0,
        (name, "sqs", aws.arn("hopeless"), "true"): 1.0,
        (name, "sqs", aws.arn("closed"), "true"): 1.0,
    }
    found = dead_by_queue(snapshot)
    undeliverable = found[aws.name("undeliverable")]
    assert undeliverable.found_by is FoundBy.TOPOLOGY
    assert undeliverable.origins == (Origin(name, FoundBy.TOPOLOGY),)
    shut = found[f"{name}/{aws.name('shut')}"]
    assert (shut.system, shut.messages) == (System.SNS, None)
    assert set(shut.problems) == {Problem.DROPS_EVERYTHING, Problem.NONE_CONFIGURED}
    assert found[f"{name}/{aws.name('hopeless')}"].problems == (Problem.TARGET_MISSING,)
    assert found[f"{name}/{aws.name('closed')}"].problems == (Problem.NOT_ALLOWED,)
    assert f"{name}/{aws.name('good')}" not in found


def test_a_webhook_is_shown_without_its_key(aws: Aws) -> None:
    topic = aws.sns.create_topic(Name=aws.name("events"))["TopicArn"]
    aws.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://127.0.0.1:9/hooks/SECRET?key=SECRET")
    snapshot = aws.collect()
    assert "SECRET" not in repr(snapshot.tables["sns_subscriptions"].labels) + repr(snapshot.dead_letters)


def test_topics_are_read_at_their_own_slower_pace(aws: Aws) -> None:
    aws.sns.create_topic(Name=aws.name("events"))
    with contextlib.closing(aws.collector(topics_interval="1h")) as collector:
        collect(collector)
        requests = rows(collect(collector).tables["aws_api"], "aws_api_requests_total")
    assert (requests["sns", "ListTopics"], requests["sqs", "ListQueues"]) == (1.0, 2.0)


def test_what_a_topic_publishes_delivers_and_filters_out_is_counted(aws: Aws) -> None:
    topic = aws.sns.create_topic(Name=aws.name("events"))["TopicArn"]
    aws.make_queue("orders")
    subscribe(aws, topic, "sqs", aws.arn("orders"), FilterPolicy=json.dumps({"eventType": ["OrderCreated"]}))
    # each cycle asks CloudWatch, whose series the stack's feeder publishes every few seconds
    watch = aws.collector(cloudwatch={"interval": "100ms"})
    with contextlib.closing(watch) as collector:
        collect(collector)
        for kind in ("OrderCreated", "OrderCreated", "PaymentProcessed"):
            attributes = {"eventType": {"DataType": "String", "StringValue": kind}}
            aws.sns.publish(TopicArn=topic, Message="{}", MessageAttributes=attributes)  # type: ignore[arg-type]
        deadline, name = time.monotonic() + 30, aws.name("events")
        told: dict[str, object] = {}
        while time.monotonic() < deadline and told.get("filtered") != 1.0:
            snapshot = collect(collector)
            published = rows(snapshot.tables["topics"], "sns_topic_published_total", "sns_topic_delivered_total")
            filtered = rows(snapshot.tables["topics_filtered_out"], "sns_topic_filtered_out_total")
            told = {"counted": published[name,], "filtered": filtered[name, "message_attributes"]}
            assert snapshot.errors == ()
            time.sleep(0.05)
    assert told == {"counted": (3.0, 2.0), "filtered": 1.0}
    assert rows(snapshot.tables["topics"], "sns_topic_failed_total") == {(name,): 0.0}
