"""Looking at dead letters of SQS loses nothing, and says what it changes."""

import time

import pytest

from monitor.analysis.causes import cause_of
from monitor.analysis.faults import Kind
from monitor.errors import BadRequest, Forbidden
from tests.integration.redrive.aws.conftest import Playground, deadline


def test_looking_ten_times_loses_nothing_and_leaves_everything_visible(ground: Playground) -> None:
    dead, _ = ground.queues()
    ids = ground.send(dead, [f"m{number}" for number in range(15)])
    for _ in range(10):
        page = ground.bus.browse(ground.name(dead), 15, None, deadline())
        assert sorted(message.position for message in page.messages) == sorted(ids)
        assert ground.counts(dead) == (15, 0)


def test_the_warning_comes_beforehand_without_a_look(ground: Playground) -> None:
    dead, _ = ground.queues()
    ground.send(dead, ["a"])
    page = ground.bus.browse(ground.name(dead), 0, None, deadline())
    assert "receive count" in page.warning
    assert page.messages == ()
    (seen,) = ground.bus.browse(ground.name(dead), 1, None, deadline()).messages
    assert seen.deliveries == 1  # this look was the first


def test_pages_show_each_message_once(ground: Playground) -> None:
    dead, _ = ground.queues()
    ids = ground.send(dead, [f"m{number}" for number in range(25)])
    shown: list[str] = []
    cursor = None
    for _ in range(4):
        page = ground.bus.browse(ground.name(dead), 10, cursor, deadline())
        shown += [message.position for message in page.messages]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(shown) == sorted(ids)
    with pytest.raises(BadRequest, match="ended"):
        ground.bus.browse(ground.name(dead), 10, "made-up", deadline())


def test_looking_is_refused_where_the_next_look_could_move_messages_on(ground: Playground) -> None:
    ground.aws.make_queue("last")
    dead = ground.aws.make_queue("dlq", dead_letters="last", receives=1)
    ground.aws.make_queue("work", dead_letters="dlq")
    ground.send(dead, ["a"])
    for _ in range(3):
        with pytest.raises(Forbidden, match=r"redrive policy of its own.*take the redrive policy off"):
            ground.bus.browse(ground.name(dead), 10, None, deadline())
    assert ground.counts(dead) == (1, 0)
    assert any("redrive policy of its own" in blocker for blocker in ground.survey(dead).blockers)


def test_a_message_shows_its_origin_attempts_and_end(ground: Playground) -> None:
    dead = ground.aws.make_queue("dlq", MessageRetentionPeriod="3600")
    work = ground.aws.make_queue("work", dead_letters="dlq", receives=1)
    ground.send(work, ["a"], MessageAttributes={"kind": {"DataType": "Number.int", "StringValue": "7"}})
    for _ in range(2):
        ground.aws.sqs.receive_message(QueueUrl=work, VisibilityTimeout=0)
    (message,) = ground.bus.browse(ground.name(dead), 1, None, deadline()).messages
    assert message.origin is not None
    assert (message.origin.name, message.origin.found_by) == (ground.name(work), "headers")
    assert [(it.name, it.value, it.kind) for it in message.headers] == [("kind", b"7", "Number.int")]
    assert message.enqueued_at is not None
    assert message.expires_at == message.enqueued_at + 3600


def test_what_was_received_too_often_and_what_was_sent_there_are_told_apart(ground: Playground) -> None:
    dead = ground.aws.make_queue("dlq")
    work = ground.aws.make_queue("work", dead_letters="dlq", receives=1, VisibilityTimeout="0")
    ground.send(work, ["moved"])
    ground.send(dead, ["sent"])
    until = deadline()
    while ground.counts(dead) != (2, 0):
        ground.aws.sqs.receive_message(QueueUrl=work, WaitTimeSeconds=1)
        assert time.monotonic() < until
    kinds = {it.value: cause_of(it).kind for it in ground.bus.browse(ground.name(dead), 9, None, deadline()).messages}
    assert kinds == {b"moved": Kind.ATTEMPTS, b"sent": Kind.UNKNOWN}
