from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.rabbitmq.messages import Reader, fingerprint, write_properties
from monitor.brokers.rabbitmq.properties import (
    Field,
    Properties,
    decode_properties,
    encode_properties,
    number_field,
    string_field,
)
from monitor.brokers.rabbitmq.taking import Delivery
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header, Outgoing
from tests.unit.rabbitmq_redrive.wire import properties

READER = Reader(("/", "work.dlq"))


def read(original: Properties, body: bytes = b"x") -> DeadMessage:
    return READER.read(Delivery((1, 1), "", "work.dlq", False, encode_properties(original), body))


def write(original: Properties, message: DeadMessage | None = None, **how: bool) -> Properties:
    outgoing = Outgoing(message or read(original), "id", 1)
    strip = how.get("strip", False)
    return decode_properties(write_properties(original, outgoing, "job", user="me", strip_failure_headers=strip))


@given(properties(), st.binary(max_size=50))
def test_a_message_goes_out_as_it_came_but_for_our_three_headers(original: Properties, body: bytes) -> None:
    written = write(original, read(original, body))
    assert dict(written.values) == dict(original.values)
    assert written.headers is not None
    assert written.headers[:-3] == (original.headers or ())
    assert [it.name.decode() for it in written.headers[-3:]] == [HEADER_ID, HEADER_JOB, HEADER_COUNT]


def test_the_brokers_notes_copies_and_a_strangers_user_are_left_out() -> None:
    fields = [string_field(name, b"1") for name in ("x-first-death-queue", "CC", "BCC", "kept", HEADER_ID)]
    fields.append(number_field("x-delivery-count", 3))
    written = write(Properties({"user_id": b"\5other", "priority": b"\3"}, tuple(fields)))
    assert [it.name for it in written.headers or ()][:1] == [b"kept"]
    assert len(written.headers or ()) == 4
    assert dict(written.values) == {"priority": b"\3"}


def test_headers_that_were_set_or_removed_go_out_so() -> None:
    original = Properties({}, (string_field("a", b"1"), number_field("b", 2)))
    message = read(original)
    written = write(original, replace(message, headers=(message.headers[1], Header("c", b"3"))))
    assert written.headers is not None
    assert written.headers[:2] == (number_field("b", 2), string_field("c", b"3"))


def test_failure_headers_go_only_when_asked() -> None:
    original = Properties({}, (string_field("x-original-queue", b"w"), string_field("x-exception-message", b"m")))
    assert len(write(original).headers or ()) == 5
    assert len(write(original, strip=True).headers or ()) == 3


def test_a_fingerprint_stays_when_the_broker_counts_and_sorts() -> None:
    first = Properties({}, (string_field("b", b"1"), string_field("a", b"2")))
    again = Properties({}, (string_field("a", b"2"), string_field("b", b"1"), number_field("x-delivery-count", 1)))
    assert fingerprint(first, b"x") == fingerprint(again, b"x")
    assert fingerprint(first, b"x") != fingerprint(first, b"y")
    assert fingerprint(Properties({"type": b"\1a"}), b"") != fingerprint(Properties({"app_id": b"\1a"}), b"")


def test_a_nested_death_that_cannot_be_read_is_no_origin() -> None:
    broken = Properties({}, (Field(b"x-death", b"A", b"\0\0\0\x03Sxy"),))
    assert read(broken).origin is None
