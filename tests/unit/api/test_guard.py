"""Who is let in: hosts, origins, tokens, roles."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import Depends

from monitor.api.guard import Guard, needs
from monitor.config import Person, Server, Token, hash_token
from tests.unit.api.builders import Api, bearer, guarded, subscription, view

FOREIGN = "urn:eventflow:problem:foreign-request"


def with_host(host: str, server: Server | None = None) -> httpx.Response:
    return Api(server=server or Server()).get("subscriptions", headers={"Host": host})


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9610", "127.0.0.1", "127.0.0.9:1", "localhost:9610", "LOCALHOST", "localhost.:80", "[::1]:9610"]
)
def test_loopback_names_are_ours(host: str) -> None:
    assert with_host(host).status_code == 200


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:9610",
    "192.0.2.1:9610",
    "127.0.0.1.evil.example",
    "evil.example@127.0.0.1",
    "0.0.0.0:9610",
    "[::1",
    "",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/api/v1/subscriptions", "/metrics", "/healthz", "/readyz", "/docs", "/nothing"])
def test_a_foreign_host_is_refused_everywhere(host: str, path: str) -> None:
    problem = Api().ask("GET", path, headers={"Host": host})
    assert (problem.status_code, problem.json()["type"]) == (403, FOREIGN)


def test_a_host_of_the_configuration_is_ours() -> None:
    server = guarded(listen="192.0.2.7:9610", allowed_hosts=["Monitor.example", "other.example:443"])
    for host in ("192.0.2.7:9610", "monitor.example", "MONITOR.EXAMPLE:8080", "other.example"):
        assert Api(server=server).ask("GET", "/healthz", headers={"Host": host}).status_code == 200
    assert Api(server=server).ask("GET", "/healthz", headers={"Host": "third.example"}).status_code == 403


def ask_raw(guard: Guard, **scope: Any) -> int:
    """Ask with a scope that no client would send."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    whole = {"type": "http", "method": "GET", "path": "/healthz", "headers": [], **scope}
    asyncio.run(guard(whole, receive, send))
    return int(sent[0]["status"])


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("listen", "server", "host", "status"),
    [
        ("0.0.0.0:9610", ("192.0.2.7", 9610), b"192.0.2.7:9610", 204),
        ("0.0.0.0:9610", ("192.0.2.7", 9610), b"192.0.2.8:9610", 403),
        ("0.0.0.0:9610", ("192.0.2.7", 9610), b"evil.example", 403),
        ("[::]:9610", ("::ffff:192.0.2.7", 9610), b"192.0.2.7:9610", 204),
        ("[::]:9610", ("2001:db8::7", 9610), b"[2001:db8::7]:9610", 204),
        ("127.0.0.1:9610", ("192.0.2.7", 9610), b"192.0.2.7:9610", 403),
    ],
)
def test_listening_on_all_addresses_the_address_that_was_reached_is_ours(
    listen: str, server: tuple[str, int], host: bytes, status: int
) -> None:
    guard = Guard(fine, lambda: guarded(listen=listen))
    assert ask_raw(guard, server=server, headers=[(b"host", host)]) == status


def test_a_request_without_host_is_let_in_since_no_browser_sends_it() -> None:
    assert ask_raw(Guard(fine, Server)) == 204


def test_of_two_hosts_both_must_be_ours() -> None:
    assert ask_raw(Guard(fine, Server), headers=[(b"host", b"localhost"), (b"host", b"evil.example")]) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:9610", "file://", "", "http://["],
)
def test_a_page_of_another_origin_cannot_write(method: str, origin: str) -> None:
    problem = Api().ask(method, "/api/v1/subscriptions", headers={"Origin": origin})
    assert (problem.status_code, problem.json()["type"]) == (403, FOREIGN)


def test_a_page_of_another_origin_may_read_what_the_browser_then_keeps_from_it() -> None:
    answer = Api().get("subscriptions", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:9610", None),
        ("127.0.0.1:9610", "http://127.0.0.1:9610"),
        ("localhost", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("LOCALHOST:9610", "http://localhost:9610"),
        ("monitor.example", "https://monitor.example"),
        ("127.0.0.1:9610", "https://monitor.example"),
    ],
)
def test_our_own_pages_can_write(host: str, origin: str | None) -> None:
    headers = {"Host": host, **({"Origin": origin} if origin else {})}
    answer = Api(server=Server(allowed_hosts=["monitor.example"])).ask("POST", "/api/v1/subscriptions", headers=headers)
    assert answer.status_code == 405  # let in, and nothing here can be written


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_each_role_may_read(role: str) -> None:
    api = Api([view([subscription("a")])], guarded())
    for path in ("subscriptions", "subscriptions/orders/a-group/a", "dead-letters", "collectors"):
        assert api.get(path, headers=bearer(role)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Basic viewer"},
        {"Authorization": "viewer"},
        {"Authorization": "Bearer viewer viewer"},
        {"Authorization": "Bearer VIEWER"},
        {"Authorization": "Bearer ü".encode()},
    ],
)
def test_without_a_known_token_nothing_is_told(headers: dict[str, str]) -> None:
    api = Api([view([subscription("a")])], guarded())
    for path in ("/api/v1/subscriptions", "/api/v1/nothing", "/nothing", "/"):
        problem = api.ask("GET", path, headers=headers)
        assert problem.status_code == 401
        assert problem.headers["www-authenticate"] == 'Bearer realm="eventflow"'
        assert problem.json()["type"] == "urn:eventflow:problem:unauthenticated"


def test_two_tokens_at_once_are_refused() -> None:
    both = [("Authorization", "Bearer nobody"), ("Authorization", "Bearer admin")]
    assert Api(server=guarded()).get("subscriptions", headers=both).status_code == 401


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert Api(server=guarded()).get("subscriptions", headers={"Authorization": "bearer viewer"}).status_code == 200


def test_a_wrong_token_is_not_repeated() -> None:
    assert "hunter2" not in Api(server=guarded()).get("subscriptions", headers=bearer("hunter2")).text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"])
def test_what_tells_no_data_needs_no_token(path: str) -> None:
    assert Api(server=guarded()).ask("GET", path).status_code == 200


def test_metrics_need_a_token_where_the_configuration_says_so() -> None:
    api = Api(server=guarded(metrics="token"))
    assert api.ask("GET", "/metrics").status_code == 401
    assert api.ask("GET", "/metrics", headers=bearer("viewer")).status_code == 200
    assert api.ask("GET", "/healthz").status_code == 200


def test_without_tokens_everybody_is_let_in() -> None:
    assert Api().get("subscriptions").status_code == 200
    assert Api().get("subscriptions", headers=bearer("whatever")).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 200), ("admin", 200)])
def test_a_role_may_what_the_lesser_ones_may_and_no_more(role: str, status: int) -> None:
    api = Api(server=guarded())

    @api.app.post("/api/v1/act", dependencies=[Depends(needs("operator"))])
    def act() -> None:
        """Stands for a write, of which there is none yet."""

    answer = api.ask("POST", "/api/v1/act", headers=bearer(role))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "urn:eventflow:problem:not-allowed"
        assert answer.json()["detail"] == "this needs the role operator; the token the viewer has the role viewer"


def test_who_speaks_for_people_asks_with_their_roles_and_nobody_else_can() -> None:
    speaker = Token(name="dashboard", role="viewer", sha256=hash_token("speaker"), speaks_for_people=True)
    server = Server(tokens=[speaker, *guarded().tokens], people=[Person(name="alice@example.org", role="operator")])
    api = Api(server=server)

    def who(token: str, person: str) -> tuple[str, str]:
        told = api.get("about", headers={**bearer(token), "Eventflow-Person": person}).json()
        return told["name"], told["role"]

    assert who("speaker", "alice@example.org") == ("alice@example.org", "operator")
    assert who("speaker", "bob@example.org") == ("bob@example.org", "viewer")
    assert who("viewer", "alice@example.org") == ("the viewer", "viewer")
    assert api.get("about", headers={"Eventflow-Person": "alice@example.org"}).status_code == 401
