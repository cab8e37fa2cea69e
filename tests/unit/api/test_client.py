"""The API as Python calls, against the real app."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.apiclient import ApiClient
from monitor.cli.letters import Format, _write
from monitor.errors import MonitorRefused, MonitorUnreachable
from tests.unit.api.builders import Api, AppTransport, blind_view, dead_letters, guarded, subscription, view


def client(api: Api, token: str | None = None) -> ApiClient:
    return ApiClient("http://127.0.0.1:9610/", token, transport=AppTransport(api))


def answering(handler: Any) -> ApiClient:
    return ApiClient(transport=httpx.MockTransport(handler))


def test_all_pages_are_followed() -> None:
    api = Api([view([subscription(f"t{i:04}") for i in range(2100)], dead=[dead_letters("x.dlq")])])
    transport = AppTransport(api)
    with ApiClient(transport=transport) as monitor:
        found = monitor.all_subscriptions(sort="id")
    assert [it["destination"] for it in found] == [f"t{i:04}" for i in range(2100)]
    assert len(transport.asked) == 3


def test_each_call_gives_what_the_path_answers() -> None:
    with client(Api([view([subscription("a/b")], dead=[dead_letters("x/y.dlq")])])) as monitor:
        assert monitor.subscriptions(limit=1)["items"] == monitor.all_subscriptions()
        assert monitor.dead_letters()["items"] == monitor.all_dead_letters()
        (it,), (queue,) = monitor.all_subscriptions(), monitor.all_dead_letters()
        assert monitor.subscription(it["id"])["destination"] == "a/b"
        assert monitor.dead_letter(queue["id"])["queue"] == "x/y.dlq"
        assert monitor.collectors()[0]["cluster"] == "orders"


def test_filters_and_lists_of_them_are_handed_on() -> None:
    with client(Api([view([subscription("a")]), view([subscription("b", "mail")], cluster="mail")])) as monitor:
        assert [it["cluster"] for it in monitor.all_subscriptions(cluster=["mail", "other"], q=None)] == ["mail"]


def test_an_export_that_breaks_off_leaves_no_file_that_looks_whole(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes]:
        yield b'{"position": "0:1"}\n'
        raise httpx.RemoteProtocolError("incomplete chunked read")

    output = tmp_path / "dead.jsonl"
    with (
        answering(lambda _: httpx.Response(200, content=lines(), headers={"X-Export-Id": "e"})) as monitor,
        pytest.raises(MonitorUnreachable, match="broke off"),
        monitor.export_letters("k/q") as exported,
    ):
        _write(exported.chunks, output, Format.JSONL)
    assert not output.exists()


def test_the_token_is_sent() -> None:
    with client(Api(server=guarded()), "viewer") as monitor:
        assert monitor.all_subscriptions() == []


def test_a_refusal_is_told_with_its_type() -> None:
    with client(Api(server=guarded()), "nobody") as monitor, pytest.raises(MonitorRefused) as caught:
        monitor.collectors()
    assert (caught.value.status, caught.value.slug) == (401, "unauthenticated")
    assert str(caught.value) == "this token is not known; `eventflow token new` makes one"


def test_an_unknown_id_is_a_refusal() -> None:
    with client(Api([blind_view()])) as monitor, pytest.raises(MonitorRefused, match="there is no subscription 'a/b'"):
        monitor.subscription("a/b")


def fail_to_connect(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("[Errno 111] Connection refused")


def be_late(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("")


def be_another_server(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text="<html>hello</html>")


def be_a_broken_proxy(request: httpx.Request) -> httpx.Response:
    return httpx.Response(502, text="Bad Gateway")


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (
            fail_to_connect,
            "the monitor at http://127.0.0.1:9610 cannot be reached (Connection refused); "
            "start it, or name another by EVENTFLOW_URL",
        ),
        (be_late, "the monitor at http://127.0.0.1:9610 does not answer in time"),
        (be_another_server, "what answers at http://127.0.0.1:9610 is no Eventflow Monitor (status 200)"),
        (be_a_broken_proxy, "what answers at http://127.0.0.1:9610 is no Eventflow Monitor (status 502)"),
    ],
)
def test_without_an_answer_that_can_be_read_it_says_why(handler: Any, told: str) -> None:
    with answering(handler) as monitor, pytest.raises(MonitorUnreachable) as caught:
        monitor.collectors()
    assert str(caught.value) == told


@pytest.mark.parametrize("url", ["ftp://h", "nothing", "http://", "http://h:port", "http://\x00"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(MonitorUnreachable), ApiClient(url) as monitor:
        monitor.collectors()


@pytest.mark.parametrize("token", ["hunter2\nx", "hunter2ü"])
def test_a_token_that_no_header_can_carry_is_told_without_being_quoted(token: str) -> None:
    with pytest.raises(MonitorUnreachable) as caught:
        ApiClient("http://127.0.0.1:9", token)
    assert str(caught.value) == "the token has characters that no token has; copy it anew"


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with client(Api(server=guarded()), "admin") as monitor:
        assert monitor.collectors() == []
