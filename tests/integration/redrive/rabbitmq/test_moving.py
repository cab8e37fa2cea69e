"""A job's hand moves messages without losing one, whatever becomes of the target or the connection."""

from typing import Any

import pika
import pytest

from monitor.errors import BrokerError, Unreachable
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB
from tests.integration.redrive.rabbitmq.yard import DLQ, WORK, Yard, move, open_job, outgoing, plan, soon, until

BODIES = [b"%d" % number for number in range(30)]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_all_messages_come_to_their_origin_in_order_and_leave_the_queue(yard: Yard, kind: str) -> None:
    yard.dead_letters(BODIES, kind)
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    results = move(held, 7)
    held.close()
    assert all(result.confirmed and result.at_target == yard.label(WORK) for result in results)
    assert yard.ready(DLQ) == 0
    arrived = yard.drain(WORK)
    assert [body for _, body in arrived] == BODIES
    assert all({HEADER_ID, HEADER_JOB, HEADER_COUNT} == set(properties.headers or {}) for properties, _ in arrived)


def test_new_arrivals_are_untouched(yard: Yard) -> None:
    yard.dead_letters(BODIES[:4])
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    yard.publish(DLQ, [b"new 1", b"new 2"])
    move(held, 3)
    held.close()
    assert yard.bodies(WORK) == BODIES[:4]
    left = [yard.channel.basic_get(DLQ) for _ in range(2)]
    assert [(method and method.redelivered, body) for method, _, body in left] == [(False, b"new 1"), (False, b"new 2")]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_messages_chosen_out_of_the_middle_leave_the_others_in_order(yard: Yard, kind: str) -> None:
    yard.dead_letters(BODIES, kind)
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    while messages := held.take(10, soon()):
        chosen = [message for message in messages if message.value in (b"7", b"11", b"12", b"25")]
        held.release([message for message in messages if message not in chosen])
        assert all(result.confirmed for result in held.send(outgoing(chosen), soon()))
        assert all(held.remove(chosen, soon()))
    held.close()
    until(lambda: yard.ready(DLQ) == 26)
    assert yard.bodies(WORK) == [b"7", b"11", b"12", b"25"]
    assert yard.bodies(DLQ) == [body for body in BODIES if body not in (b"7", b"11", b"12", b"25")]


def test_equal_messages_are_moved_each(yard: Yard) -> None:
    yard.dead_letters([b"ping"] * 5)
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    move(held, 2)
    held.close()
    assert yard.bodies(WORK) == [b"ping"] * 5
    assert yard.ready(DLQ) == 0


def test_equal_messages_that_no_queue_takes_all_stay(yard: Yard) -> None:
    yard.dead_letters([b"ping"] * 5)
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    yard.channel.queue_delete(WORK)
    assert not any(result.confirmed for result in move(held))
    held.close()
    until(lambda: yard.ready(DLQ) == 5)


def test_a_target_that_is_gone_is_told_for_each_message_and_all_stay(yard: Yard) -> None:
    yard.dead_letters(BODIES[:5])
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    yard.channel.queue_delete(WORK)
    results = move(held)
    held.close()
    assert all(not result.confirmed and result.known and "no queue takes it" in result.reason for result in results)
    until(lambda: yard.ready(DLQ) == 5)
    assert yard.bodies(DLQ) == BODIES[:5]


def test_an_exchange_that_is_gone_is_told_for_each_message_and_all_stay(yard: Yard) -> None:
    yard.dead_letters(BODIES[:5])
    yard.channel.exchange_declare("back", "fanout")
    yard.channel.queue_bind(WORK, "back")
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus, target="exchange:back"))
    yard.channel.exchange_delete("back")
    results = move(held)
    held.close()
    assert len(results) == 5
    assert all(not result.confirmed and result.known and "NOT_FOUND" in result.reason for result in results)
    until(lambda: yard.ready(DLQ) == 5)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_full_target_refuses_and_what_it_refused_stays(yard: Yard, kind: str) -> None:
    yard.dead_letters(BODIES)
    yard.queue("small", kind, max_length=10, overflow="reject-publish")
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus, target="small"))
    results = move(held, 5)
    held.close()
    confirmed = sum(result.confirmed for result in results)
    assert 10 <= confirmed < len(BODIES)  # a quorum queue lets a few more in
    assert all("is full" in result.reason for result in results if not result.confirmed)
    until(lambda: yard.ready(DLQ) + yard.ready("small") == len(BODIES))
    assert sorted(yard.bodies(DLQ) + yard.bodies("small")) == sorted(BODIES)


def test_a_lost_connection_gives_everything_back(yard: Yard) -> None:
    yard.dead_letters(BODIES)
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    messages = held.take(10, soon())
    until(lambda: len([c for c in yard.get("connections") if c.get("vhost") == yard.vhost]) >= 3)
    yard.drop_connections("eventflow redrive")
    with pytest.raises(BrokerError):
        held.send(outgoing(messages), soon(5))
    with pytest.raises(Unreachable):
        held.remove(messages, soon(5))
    held.close()
    until(lambda: yard.ready(DLQ) == len(BODIES))
    assert yard.bodies(DLQ) == BODIES


def test_sending_again_while_a_confirm_is_known_or_under_way_does_not_double(yard: Yard) -> None:
    yard.dead_letters(BODIES[:3])
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    messages = held.take(3, soon())
    assert all(result.confirmed for result in held.send(outgoing(messages), soon()))
    assert held.remove(messages, soon()) == [True] * 3
    assert held.remove(messages, soon()) == [False] * 3
    assert not held.send(outgoing(messages), soon())[0].confirmed
    held.close()
    assert yard.bodies(WORK) == BODIES[:3]


def test_copies_and_a_strangers_user_are_left_out(yard: Yard) -> None:
    yard.dead_letters([b"a"])
    yard.drain(DLQ)
    yard.queue("copy")
    headers: dict[str, Any] = {"CC": ["copy"], "kept": "yes", "x-original-queue": WORK}
    yard.channel.basic_publish("", DLQ, b"a", pika.BasicProperties(headers=headers, delivery_mode=1, priority=3))
    yard.drain("copy")
    bus = yard.bus()
    held = open_job(yard, bus, plan(yard, bus))
    move(held)
    held.close()
    ((properties, _),) = yard.drain(WORK)
    assert yard.ready("copy") == 0
    assert properties.headers is not None
    assert "CC" not in properties.headers
    assert properties.headers["kept"] == "yes"
    assert (properties.delivery_mode, properties.priority) == (1, 3)


def test_a_quorum_queues_limit_takes_nothing_from_the_hand(yard: Yard) -> None:
    yard.dead_letters(BODIES[:6], "quorum", delivery_limit=2)
    bus = yard.bus()
    survey = plan(yard, bus)
    for _ in range(6):
        held = open_job(yard, bus, survey)
        held.release(held.take(4, soon()))
        held.close()
        until(lambda: yard.ready(DLQ) == 6)
    assert sorted(yard.bodies(DLQ)) == BODIES[:6]
