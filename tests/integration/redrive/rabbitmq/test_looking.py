"""Looking at dead letters loses none and changes no more than the page says."""

from typing import Any

import pika
import pytest

from monitor.errors import BadAnswer, BadRequest, Forbidden
from monitor.model import FoundBy
from tests.integration.redrive.rabbitmq.yard import DLQ, WORK, Yard, soon, until

BODIES = [b"%d" % number for number in range(8)]


def test_ten_looks_leave_a_classic_queue_as_it_was_but_for_the_redelivered_mark(yard: Yard) -> None:
    yard.dead_letters(BODIES)
    bus = yard.bus()
    for _ in range(10):
        page = bus.browse(yard.label(DLQ), 5, None, soon())
        assert [message.value for message in page.messages] == BODIES[:5]
        assert "redelivered" in page.warning
    until(lambda: yard.ready(DLQ) == len(BODIES))
    assert yard.bodies(DLQ) == BODIES


@pytest.mark.parametrize("limit", [None, 1000])
def test_ten_looks_keep_the_order_of_a_quorum_queue(yard: Yard, limit: int | None) -> None:
    yard.dead_letters(BODIES, "quorum", delivery_limit=limit)
    bus = yard.bus()
    for _ in range(10):
        page = bus.browse(yard.label(DLQ), 3, None, soon())
        assert [message.value for message in page.messages] == BODIES[:3]
        assert "delivery count" in page.warning
    until(lambda: yard.ready(DLQ) == len(BODIES))
    assert yard.bodies(DLQ) == BODIES


def test_looking_is_refused_before_a_delivery_limit_removes_a_message(yard: Yard) -> None:
    yard.dead_letters(BODIES, "quorum", delivery_limit=3)
    bus = yard.bus()
    refusals = 0
    for _ in range(10):
        try:
            bus.browse(yard.label(DLQ), 4, None, soon())
        except Forbidden:
            refusals += 1
    assert refusals == 7
    until(lambda: yard.ready(DLQ) == len(BODIES))
    assert yard.bodies(DLQ) == BODIES


def test_messages_that_others_brought_to_their_limit_are_saved_and_looking_refused(yard: Yard) -> None:
    yard.dead_letters(BODIES[:3], "quorum", delivery_limit=2)
    bus = yard.bus()
    for _ in range(2):
        bus.browse(yard.label(DLQ), 3, None, soon())
    for _ in range(3):  # a bus of another process remembers nothing; each look saves the first of them as a new one
        with pytest.raises(Forbidden, match="next delivery could remove"):
            yard.bus().browse(yard.label(DLQ), 3, None, soon())
    assert len(yard.bus().browse(yard.label(DLQ), 3, None, soon()).messages) == 3
    until(lambda: yard.ready(DLQ) == 3)
    assert sorted(yard.bodies(DLQ)) == BODIES[:3]


def test_pages_follow_one_another(yard: Yard) -> None:
    yard.dead_letters(BODIES)
    bus = yard.bus()
    first = bus.browse(yard.label(DLQ), 5, None, soon())
    second = bus.browse(yard.label(DLQ), 5, first.next, soon())
    assert [message.value for message in (*first.messages, *second.messages)] == BODIES
    assert second.next is None


def test_a_page_of_none_tells_what_looking_changes_and_looks_at_nothing(yard: Yard) -> None:
    yard.dead_letters(BODIES[:1], "quorum", delivery_limit=3)
    page = yard.bus().browse(yard.label(DLQ), 0, None, soon())
    assert not page.messages
    assert "Beyond 3" in page.warning
    assert yard.first_count(DLQ) == 0


def test_a_message_tells_its_origin_reason_and_count_by_the_brokers_note(yard: Yard) -> None:
    yard.dead_letters([b"x"], properties=pika.BasicProperties(message_id="m-1", delivery_mode=2))
    (message,) = yard.bus().browse(yard.label(DLQ), 1, None, soon()).messages
    assert message.origin is not None
    assert (message.origin.name, message.origin.found_by) == (yard.label(WORK), FoundBy.HEADERS)
    assert (message.exception, message.attempts) == ("rejected", 1)
    assert message.origin_detail["routing_key"] == WORK
    assert message.coordinates["message_id"] == "m-1"
    assert message.enqueued_at is not None


def test_a_frameworks_own_word_of_the_origin_goes_before_the_brokers(yard: Yard) -> None:
    headers: dict[str, Any] = {
        "x-original-queue": "other",
        "x-exception-fqcn": "a.B",
        "x-exception-message": "no",
        "x-attempts": 3,
    }
    yard.dead_letters([b"x"], properties=pika.BasicProperties(headers=headers))
    (message,) = yard.bus().browse(yard.label(DLQ), 1, None, soon()).messages
    assert message.origin is not None
    assert message.origin.name == yard.label("other")
    assert (message.exception, message.exception_message, message.attempts) == ("a.B", "no", 3)


def test_a_cursor_that_no_page_gave_is_refused(yard: Yard) -> None:
    yard.queue(DLQ)
    with pytest.raises(BadRequest):
        yard.bus().browse(yard.label(DLQ), 1, "-1", soon())


def test_an_unknown_queue_is_said_to_be_none(yard: Yard) -> None:
    with pytest.raises(BadAnswer, match="no such queue"):
        yard.bus().browse(yard.label("nothing"), 1, None, soon())


def test_a_stream_is_shown_from_its_beginning_and_stays(yard: Yard) -> None:
    yard.publish(yard.queue("events-dlq", "stream"), BODIES)
    bus = yard.bus()
    first = bus.browse(yard.label("events-dlq"), 5, None, soon())
    second = bus.browse(yard.label("events-dlq"), 5, first.next, soon())
    assert [message.value for message in (*first.messages, *second.messages)] == BODIES
    assert (second.next, second.warning) == (None, "")
