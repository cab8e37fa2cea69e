"""Hostile messages arrive byte for byte, but for the three headers that a redrive adds."""

import secrets
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from monitor.brokers.rabbitmq.addresses import parse_address
from monitor.brokers.rabbitmq.properties import Properties, decode_properties, encode_properties, string_field
from monitor.brokers.rabbitmq.sending import Letter, Sender
from monitor.brokers.rabbitmq.session import Session
from monitor.brokers.rabbitmq.taking import Delivery, Taker
from monitor.clock import Clock
from monitor.letters import HEADER_ID
from tests.integration.redrive.rabbitmq.yard import Yard, move, open_job, plan, soon, until
from tests.unit.rabbitmq_redrive.wire import properties

Message = tuple[Properties, bytes]


class Wire:
    """Publishes and takes messages with their properties as bytes, which the client library cannot."""

    def __init__(self, yard: Yard) -> None:
        self._session = Session(Clock())
        address = parse_address(SecretStr(yard.endpoints.amqp))
        self._line = self._session.connect(address, yard.vhost, "test", soon())

    def publish(self, queue: str, messages: Sequence[Message]) -> None:
        sender = Sender(self._line, 100)
        self._session.ask(sender.open, soon(), queue)
        letters = [Letter(secrets.token_hex(8), "", queue, encode_properties(p), body, queue) for p, body in messages]
        results = self._session.ask(lambda done: sender.send(letters, 10.0, done), soon(), queue)
        assert all(result.confirmed for result in results)

    def take(self, queue: str, number: int) -> list[Delivery]:
        taker = Taker(self._line, queue)
        self._session.ask(taker.open, soon(), queue)
        taken: list[Delivery] = self._session.ask(lambda done: taker.take(number, 10.0, done), soon(), queue)
        self._session.ask(lambda done: taker.ack([it.tag for it in taken], done), soon(), queue)
        return taken

    def close(self) -> None:
        self._session.close()


def seen(message: Message) -> str:
    """Return all of a message but what a redrive and the broker add."""
    about, body = message
    kept = [it for it in about.headers or () if not it.name.startswith((b"x-redrive", b"x-delivery-count"))]
    return repr((body, sorted(about.values.items()), sorted(map(repr, kept))))


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_hostile_messages_arrive_as_they_were(yard: Yard, kind: str) -> None:
    wire, bus = Wire(yard), yard.bus()
    yard.queue("hostile-dlq", kind)
    yard.queue("hostile", kind)

    @settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(properties(), st.binary(max_size=200)), min_size=20, max_size=40))
    def check(messages: list[Message]) -> None:
        wire.publish("hostile-dlq", messages)
        until(
            lambda: yard.ready("hostile-dlq") == len(messages), 60.0
        )  # a quorum queue counts what it has confirmed late
        held = open_job(yard, bus, plan(yard, bus, "hostile-dlq", target="hostile"), "hostile-dlq")
        move(held)
        held.close()
        arrived = [(decode_properties(it.raw), it.body) for it in wire.take("hostile", len(messages))]
        # Not in their order: from 4.0 on a quorum queue prefers messages whose priority is above four.
        assert sorted(map(seen, arrived)) == sorted(map(seen, messages))

    try:
        check()
    finally:
        wire.close()


def test_a_message_of_megabytes_and_one_of_nothing_arrive(yard: Yard) -> None:
    wire, bus = Wire(yard), yard.bus()
    yard.queue("large-dlq")
    yard.queue("large")
    bodies = [b"", b"x" * 5_000_000, b"y", b"z" * 1_500_000]
    wire.publish(
        "large-dlq", [(Properties({}, (string_field("n", b"%d" % i),)), body) for i, body in enumerate(bodies)]
    )
    held = open_job(yard, bus, plan(yard, bus, "large-dlq", target="large"), "large-dlq")
    assert all(result.confirmed for result in move(held))
    held.close()
    arrived = wire.take("large", 4)
    wire.close()
    assert [it.body for it in arrived] == bodies
    assert all(decode_properties(it.raw).header(HEADER_ID) for it in arrived)
