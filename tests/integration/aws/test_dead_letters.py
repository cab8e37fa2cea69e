"""Dead-letter queues on the stand-in: whose they are, what comes in, and what is wrong with the set-up."""

import contextlib
import json
import time

from monitor.model import FoundBy, Origin, Problem
from tests.integration.aws.conftest import Aws, by_queue, collect, dead_by_queue, redrive_policy


def let_die(aws: Aws, url: str) -> None:
    """Send a message and receive it once too often."""
    aws.sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=1)


def test_a_dead_letter_queue_that_two_queues_share_counts_what_comes_from_both(aws: Aws) -> None:
    dead = aws.make_queue("parked", MessageRetentionPeriod="1209600")
    sources = [aws.make_queue(name, "parked", MessageRetentionPeriod="86400") for name in ("orders", "payments")]
    with contextlib.closing(aws.collector()) as collector:
        before = dead_by_queue(collect(collector))[aws.name("parked")]
        assert (before.messages, before.arrivals_total, before.expires_at) == (0.0, 0.0, None)
        for source in sources:
            let_die(aws, source)
        snapshot = collect(collector)
        after = dead_by_queue(snapshot)[aws.name("parked")]
        assert after.found_by is FoundBy.TOPOLOGY
        assert after.origins == tuple(Origin(aws.name(name), FoundBy.TOPOLOGY) for name in ("orders", "payments"))
        assert (after.messages, after.arrivals_total, after.problems) == (2.0, 2.0, ())
        assert after.retention_seconds == 1_209_600.0
        # the first enqueueing counts, and may lie a day back: the retention of the sources
        assert after.expires_at is not None
        assert -60 < after.expires_at - (time.time() + 1_209_600 - 86_400) < 60
        assert aws.name("parked") not in by_queue(snapshot)

        # an operator who looks into it makes no arrivals
        aws.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=60)
        peeked = dead_by_queue(collect(collector))[aws.name("parked")]
        assert (peeked.messages, peeked.arrivals_total) == (2.0, 2.0)


def test_mistakes_of_the_set_up_are_each_told_for_what_they_are(aws: Aws) -> None:
    aws.make_queue("bare")
    aws.make_queue("short")
    aws.make_queue("a", "short")
    shut = aws.make_queue("shut", MessageRetentionPeriod="1209600")
    aws.make_queue("b", "shut")
    aws.set_attribute(shut, "RedriveAllowPolicy", json.dumps({"redrivePermission": "denyAll"}))
    named = aws.make_queue("named", MessageRetentionPeriod="1209600")
    aws.make_queue("c", "named")
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [aws.arn("c")]}
    aws.set_attribute(named, "RedriveAllowPolicy", json.dumps(allowed))
    gone = aws.make_queue("gone")
    aws.make_queue("d", "gone")
    aws.sqs.delete_queue(QueueUrl=gone)
    aws.make_queue("lonely-dlq")
    found = {name.removeprefix(aws.prefix): it for name, it in dead_by_queue(aws.collect()).items()}
    assert {name: it.problems for name, it in found.items()} == {
        "bare": (Problem.NONE_CONFIGURED,),
        "short": (Problem.RETENTION_TOO_SHORT,),
        "shut": (Problem.NOT_ALLOWED,),
        "named": (),
        "d": (Problem.TARGET_MISSING,),
        "lonely-dlq": (),
    }
    assert found["bare"].messages is None
    assert found["lonely-dlq"].found_by is FoundBy.NAME


def test_a_dead_letter_queue_that_is_not_watched_is_not_taken_for_missing(aws: Aws) -> None:
    aws.make_queue("parked", MessageRetentionPeriod="1209600")
    aws.make_queue("watched", "parked")
    snapshot = aws.collect(queues={"include": [aws.name("watched")]})
    assert [it.destination for it in snapshot.subscriptions] == [aws.name("watched")]
    assert snapshot.dead_letters == ()
    assert snapshot.errors == ()


def test_queues_whose_redrive_policies_lead_in_a_circle_hold_nothing_dead(aws: Aws) -> None:
    orders = aws.make_queue("orders")
    aws.make_queue("orders-retry-1", "orders")
    aws.set_attribute(orders, "RedrivePolicy", redrive_policy(aws.arn("orders-retry-1")))
    snapshot = aws.collect()
    assert snapshot.dead_letters == ()
    assert {name.removeprefix(aws.prefix): it.role for name, it in by_queue(snapshot).items()} == {
        "orders": "work",
        "orders-retry-1": "retry",
    }
