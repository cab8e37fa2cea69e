"""Signing in and out, sessions that end, and whose word a proxy's header is."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import dashboards.gate
from dashboards.gate import COOKIE, PERSON_HEADER, Gate, GateMiddleware, Settings, make_routes
from dashboards.sessions import Sessions

HTML = {"Accept": "text/html"}


class Browser:
    """Asks an app behind the gate, keeping cookies; `address` is where it comes from."""

    def __init__(self, gate: Gate, address: str = "10.1.1.1") -> None:
        async def tell(request: Request) -> PlainTextResponse:
            return PlainTextResponse(request.headers.get(PERSON_HEADER) or "nobody")

        self.app = Starlette(
            routes=[*make_routes(gate), Route("/{path:path}", tell)], middleware=[Middleware(GateMiddleware, gate=gate)]
        )
        self.address, self.cookies = address, httpx.Cookies()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, client=(self.address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://d", cookies=self.cookies) as client:
            answer = await client.request(method, path, **more)
        self.cookies.update(answer.cookies)
        return answer

    def sign_in(self, token: str, **more: Any) -> httpx.Response:
        return self.ask("POST", "/sign-in", data={"token": token, "next": "/subscriptions?q=a"}, **more)


@pytest.fixture(autouse=True)
def _monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that knows one token; the real one is asked in the tests with a browser."""
    monkeypatch.setattr(dashboards.gate, "_is_refused", lambda url, token: token != "good")
    monkeypatch.setattr(
        dashboards.gate, "_why_not", lambda url, token: None if token == "good" else "This token is not known."
    )
    monkeypatch.setattr(dashboards.gate, "_REFUSED_SECONDS", 0.0)


def test_a_page_leads_to_the_sign_in_and_back_to_where_one_was() -> None:
    browser = Browser(Gate(Settings()))
    asked = browser.ask("GET", "/subscriptions?q=a&sort=name", headers=HTML)
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/sign-in?next=%2Fsubscriptions%3Fq%3Da%26sort%3Dname",
    )
    entered = browser.sign_in("good")
    assert (entered.status_code, entered.headers["location"]) == (303, "/subscriptions?q=a")
    cookie = entered.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "good" not in cookie
    assert browser.ask("GET", "/subscriptions", headers=HTML).text == "nobody"


def test_a_wrong_token_is_told_and_opens_nothing() -> None:
    browser = Browser(Gate(Settings()))
    refused = browser.sign_in("wrong")
    assert (refused.status_code, "This token is not known." in refused.text) == (401, True)
    assert COOKIE not in browser.cookies
    assert browser.ask("GET", "/", headers=HTML).status_code == 303


def test_signing_out_ends_the_session_at_once() -> None:
    gate = Gate(Settings())
    browser = Browser(gate)
    browser.sign_in("good")
    secret = browser.cookies[COOKIE]
    assert browser.ask("POST", "/sign-out").headers["location"] == "/sign-in"
    assert gate.sessions.find(secret) is None


def test_sessions_end_by_themselves_and_when_they_are_not_used() -> None:
    clock = [0.0]
    sessions = Sessions(100.0, 30.0, lambda: clock[0])
    secret = sessions.begin("token")
    for clock[0] in (20.0, 40.0, 60.0, 80.0):
        assert sessions.find(secret) == "token"
    clock[0] = 101.0
    assert sessions.find(secret) is None
    unused = sessions.begin("token")
    clock[0] = 140.0
    assert sessions.find(unused) is None
    assert sessions.find("guess") is None
    assert sessions.find(None) is None


def test_there_is_room_for_a_thousand_and_the_longest_unused_gives_way() -> None:
    sessions = Sessions(100.0, 100.0, lambda: 0.0)
    first, second = sessions.begin("1"), sessions.begin("2")
    for _ in range(998):
        sessions.begin("more")
    assert sessions.find(first) == "1"
    sessions.begin("one too many")
    assert (sessions.find(first), sessions.find(second)) == ("1", None)


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "\x00/x", ""]
)
def test_after_signing_in_nobody_is_led_elsewhere(wanted: str) -> None:
    browser = Browser(Gate(Settings()))
    answer = browser.ask("POST", "/sign-in", data={"token": "good", "next": wanted})
    assert answer.headers["location"] == "/"


def test_what_stands_in_the_address_is_text_on_the_sign_in_page() -> None:
    page = Browser(Gate(Settings())).ask("GET", "/sign-in", params={"next": '/"><script>alert(1)</script>'})
    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_form_from_another_origin_is_refused() -> None:
    browser = Browser(Gate(Settings()))
    assert browser.sign_in("good", headers={"Origin": "http://evil.example"}).status_code == 403
    assert browser.sign_in("good", headers={"Origin": "http://d"}).status_code == 303


def test_a_listed_proxy_says_who_it_is_and_nobody_else_can() -> None:
    gate = Gate(Settings(proxies=("10.0.0.0/24",), token="good"))
    said = {**HTML, "X-Forwarded-User": "alice@example.org"}
    assert Browser(gate, "10.0.0.7").ask("GET", "/", headers=said).text == "alice@example.org"
    assert Browser(gate, "10.0.1.7").ask("GET", "/", headers=said).status_code == 303
    forged = {"X-Forwarded-For": "10.0.0.7", PERSON_HEADER: "root", **said}
    assert Browser(gate, "10.0.1.7").ask("GET", "/data", headers={**forged, "Accept": "*/*"}).text == "nobody"


def test_a_proxy_that_names_nobody_leads_to_the_sign_in() -> None:
    gate = Gate(Settings(proxies=("10.0.0.7",), token="good"))
    assert Browser(gate, "10.0.0.7").ask("GET", "/", headers=HTML).status_code == 303


def test_with_a_token_of_its_own_or_an_open_monitor_nobody_signs_in() -> None:
    assert Browser(Gate(Settings(token="good"))).ask("GET", "/", headers=HTML).text == "nobody"


def test_a_token_is_in_no_representation() -> None:
    assert "secret" not in repr(Settings(token="secret"))
