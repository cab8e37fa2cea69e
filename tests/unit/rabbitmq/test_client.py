"""HTTP to a broker: every failure is told for what it is, none takes longer than allowed, and none tells a secret.

The broker is a mock one: a real one cannot be made to answer wrongly.
"""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from monitor.brokers.rabbitmq.addresses import Address, parse_address
from monitor.brokers.rabbitmq.client import HttpClient, NotThere
from monitor.clock import Clock
from monitor.errors import (
    AuthenticationFailed,
    BadAnswer,
    BrokerError,
    Forbidden,
    Throttled,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from tests.unit.rabbitmq.conftest import MockBroker, MutePort

SECRET = "s3cr3t-of-the-user"


def client_of(port: int, *, scheme: str = "http", host: str = "127.0.0.1") -> HttpClient:
    return HttpClient(Address(scheme, host, port, "", "me", SECRET), Clock(), target="mock")


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def test_a_page_is_returned_with_its_query(mock_broker: MockBroker) -> None:
    mock_broker.answers["/page"] = (200, b"body")
    assert mock_broker.client().get("/page", soon(), {"family": ("a", "b"), "page": 2}) == b"body"
    assert mock_broker.asked == [("/page", {"family": ["a", "b"], "page": ["2"]})]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":"not_authorized","reason":"Login failed"}', AuthenticationFailed),
        (401, b"", AuthenticationFailed),
        (401, b'{"error":"not_authorised","reason":"Not monitor user"}', Forbidden),
        (403, b"no", Forbidden),
        (404, b"", NotThere),
        (400, b'{"error":"page_out_of_range","reason":"x"}', NotThere),
        (400, b"[]", BadAnswer),
        (429, b"", Throttled),
        (500, b"oops", BadAnswer),
        (302, b"", BadAnswer),
    ],
)
def test_a_refusal_is_told_for_what_it_is(
    mock_broker: MockBroker, status: int, body: bytes, kind: type[BrokerError]
) -> None:
    mock_broker.answers["/page"] = (status, body)
    with pytest.raises(kind) as caught:
        client_of(mock_broker.port).get("/page", soon())
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"mock at 127.0.0.1:{mock_broker.port}: ")


def test_the_reason_of_a_missing_permission_is_passed_on(mock_broker: MockBroker) -> None:
    mock_broker.answers["/page"] = (401, b'{"error":"not_authorised","reason":"Not monitor user"}')
    with pytest.raises(Forbidden, match="/page is refused: Not monitor user"):
        mock_broker.client().get("/page", soon())


def test_what_is_no_json_is_a_bad_answer(mock_broker: MockBroker) -> None:
    mock_broker.answers["/page"] = (200, b"<html>")
    with pytest.raises(BadAnswer, match="/page is no JSON"):
        mock_broker.client().get_json("/page", soon())


def test_a_port_where_nothing_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="nothing listens"):
        client_of(port).get("/", soon())


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="does not resolve"):
        client_of(1, host="no-such-host.invalid").get("/", soon())


def test_a_port_without_tls_is_told_so(mock_broker: MockBroker) -> None:
    with pytest.raises(TlsFailed, match="check that this port speaks TLS"):
        client_of(mock_broker.port, scheme="https").get("/", soon())


def test_a_port_that_speaks_something_else_is_a_bad_answer(mute_port: MutePort) -> None:
    mute_port.say = b"AMQP\x00\x00\x09\x01\r\n\r\n"
    with pytest.raises(BadAnswer, match="check the port"):
        client_of(mute_port.port).get("/", soon())


def test_silence_is_told_before_the_deadline(mute_port: MutePort) -> None:
    deadline = soon(1.0)
    with pytest.raises(TimedOut):
        client_of(mute_port.port).get("/", deadline)
    assert time.monotonic() < deadline


def test_an_answer_that_trickles_is_cut_before_the_deadline(mute_port: MutePort) -> None:
    mute_port.say = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    mute_port.again = 0.02
    deadline = soon(1.0)
    with pytest.raises(TimedOut):
        client_of(mute_port.port).get("/", deadline)
    assert time.monotonic() < deadline


def test_without_time_left_nothing_is_asked(mock_broker: MockBroker) -> None:
    with pytest.raises(TimedOut):
        mock_broker.client().get("/", time.monotonic() - 1)
    assert mock_broker.asked == []


def test_closing_ends_a_request_that_waits(mute_port: MutePort) -> None:
    client = client_of(mute_port.port)
    caught: list[BaseException] = []
    thread = threading.Thread(target=_keep_error, args=(lambda: client.get("/", soon(30)), caught))
    thread.start()
    assert mute_port.connected.wait(5)
    client.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], Unreachable)


def test_a_closed_client_refuses(mock_broker: MockBroker) -> None:
    client = mock_broker.client()
    client.close()
    client.close()
    with pytest.raises(Unreachable, match="closed by the monitor"):
        client.get("/", soon())


def test_after_a_cut_the_next_request_connects_anew(mock_broker: MockBroker, mute_port: MutePort) -> None:
    client = client_of(mute_port.port)
    for _ in range(2):
        with pytest.raises(TimedOut):
            client.get("/", soon(0.2))


def test_no_error_tells_the_password(mock_broker: MockBroker) -> None:
    mock_broker.answers["/page"] = (500, b"")
    client = client_of(mock_broker.port)
    with pytest.raises(BrokerError) as caught:
        client.get("/page", soon())
    told = [str(caught.value), repr(caught.value), repr(client.address), str(caught.value.__cause__)]
    assert not any(SECRET in text for text in told)


def test_an_address_is_split_and_decoded() -> None:
    address = parse_address(SecretStr("amqps://us%40er:p%2Fss@[::1]:5671/%2Fweird"))
    assert (address.username, address.password, address.shown, address.vhost) == (
        "us@er",
        "p/ss",
        "[::1]:5671",
        "/weird",
    )
    assert address.secure


@pytest.mark.parametrize(
    ("url", "vhost"), [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqp://h/sales", "sales")]
)
def test_an_address_names_a_virtual_host(url: str, vhost: str) -> None:
    assert parse_address(SecretStr(url)).vhost == vhost


def test_ports_have_their_defaults() -> None:
    assert parse_address(SecretStr("http://h")).port == 15672
    assert parse_address(SecretStr("http://h"), 15692).port == 15692
    assert parse_address(SecretStr("https://h/base/")).base_url == "https://h:15671/base"


def _keep_error(call: Callable[[], object], caught: list[BaseException]) -> None:
    try:
        call()
    except BrokerError as error:
        caught.append(error)
