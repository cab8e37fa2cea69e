"""What a plan says of an SQS dead-letter queue, found out without touching a message."""

import pytest

from monitor.brokers.aws.client import Missing
from monitor.letters import Guarantee
from tests.integration.aws.conftest import redrive_policy
from tests.integration.redrive.aws.conftest import Playground, eventually


def test_the_source_is_the_target_and_no_message_is_touched(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.send(dead, ["a", "b"])
    survey = ground.survey(dead)
    assert (survey.count, survey.count_is_exact) == (2, False)
    assert survey.target == ground.name(work)
    assert survey.guarantee == Guarantee.AT_LEAST_ONCE
    assert survey.max_duplicates_per_interruption == 160
    assert survey.also_receives == survey.blockers == ()
    assert not survey.samples
    assert [it["found_by"] for it in survey.origin_evidence] == ["topology"]
    assert ground.counts(dead) == (2, 0)


def test_several_sources_get_back_each_its_own(ground: Playground) -> None:
    dead, first = ground.queues()
    second = ground.aws.make_queue("second", dead_letters="dlq", receives=1)
    for url in (second, second):
        ground.send(url, ["lost"])
    ground.aws.set_attribute(first, "RedrivePolicy", redrive_policy(ground.aws.arn("dlq"), 1))
    ground.send(first, ["own"])
    for url in (first, second):
        assert eventually(lambda url=url: not ground.aws.sqs.receive_message(  # type: ignore[misc]
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages"))  # fmt: skip
    assert ground.survey(dead).target == "each message's origin"
    assert all(result.confirmed for result in ground.redrive(dead))
    assert [it["Body"] for it in ground.receive(first, 1)] == ["own"]
    assert [it["Body"] for it in ground.receive(second, 2)] == ["lost", "lost"]


def test_a_queue_that_only_its_name_speaks_for_needs_a_target(ground: Playground) -> None:
    ground.aws.make_queue("orders")
    dead = ground.aws.make_queue("orders-dlq")
    assert any("name a target" in it for it in ground.survey(dead).blockers)
    assert ground.survey(dead, target=ground.aws.name("orders")).blockers == ()


@pytest.mark.parametrize(
    ("target", "reason"), [("gone", "does not exist"), ("dlq", "dead-letter queue itself"), ("x.fifo", "FIFO")]
)
def test_a_target_that_cannot_be_one_blocks(ground: Playground, target: str, reason: str) -> None:
    dead, _ = ground.queues()
    ground.aws.make_queue("x.fifo", FifoQueue="true")
    assert any(reason in it for it in ground.survey(dead, target=ground.aws.name(target)).blockers)


def test_an_unknown_queue_is_missing(ground: Playground) -> None:
    with pytest.raises(Missing):
        ground.survey(f"http://x/{ground.aws.name('nowhere')}")


def test_a_failed_subscription_gets_back_at_its_queue_and_not_through_the_topic(ground: Playground) -> None:
    dead = ground.aws.make_queue("dlq")
    others = ground.aws.make_queue("others")
    topic = ground.aws.sns.create_topic(Name=ground.aws.name("topic"))["TopicArn"]
    for queue in ("others", "failing"):
        ground.aws.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=ground.aws.arn(queue),
            Attributes={"RedrivePolicy": redrive_policy(ground.aws.arn("dlq"))} if queue == "failing" else {},
        )  # fmt: skip
    ground.aws.sns.publish(TopicArn=topic, Message="hello")  # the queue of the failing one is not there yet
    assert eventually(lambda: ground.counts(dead) == (1, 0))
    failing = ground.aws.make_queue("failing")
    (body,) = [it["Body"] for it in ground.receive(others, 1)]
    assert ground.survey(dead).target == ground.aws.name("failing")
    to_topic = ground.survey(dead, target=topic)
    assert len(to_topic.also_receives) == 2
    assert any("SNS topic" in it for it in to_topic.blockers)
    assert all(result.confirmed for result in ground.redrive(dead))
    assert [it["Body"][:30] for it in ground.receive(failing, 1)] == [body[:30]]
    assert ground.counts(others) == (0, 0)
