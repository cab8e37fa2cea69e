"""`/metrics` over HTTP."""

import asyncio
import gzip
import threading
from typing import Any

import httpx
import pytest

from monitor.api.metrics import MetricsEndpoint, accepts_gzip
from monitor.exposition.page import MetricsPage
from tests.unit.api.builders import Api, subscription, view


def raw_body(api: Api, **headers: str) -> tuple[httpx.Response, bytes]:
    """The body as it was sent, before the client undoes its encoding."""

    async def ask() -> tuple[httpx.Response, bytes]:
        transport = httpx.ASGITransport(app=api.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
            client.stream("GET", "/metrics", headers={"Accept-Encoding": "identity", **headers}) as answer,
        ):
            return answer, b"".join([piece async for piece in answer.aiter_raw()])

    return asyncio.run(ask())


def an_api() -> Api:
    api = Api()
    api.page.update(view([subscription("a", backlog_messages=600.0)], cycle_seconds=0.1), cycle_ended=True)
    return api


def test_the_page_is_served_as_it_lies() -> None:
    api = an_api()
    answer, body = raw_body(api, **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert body == api.page.page().gzip
    assert int(answer.headers["content-length"]) == len(body)
    assert b'eventflow_subscription_backlog_messages{cluster="orders"' in gzip.decompress(body)


def test_who_takes_no_gzip_gets_it_plain() -> None:
    api = an_api()
    answer, body = raw_body(api)
    assert "content-encoding" not in answer.headers
    assert body == api.page.page().plain
    assert int(answer.headers["content-length"]) == len(body)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_head_tells_the_headers_alone(encoding: str) -> None:
    api = an_api()
    told = {method: api.ask(method, "/metrics", headers={"Accept-Encoding": encoding}) for method in ("GET", "HEAD")}
    assert told["HEAD"].headers == told["GET"].headers
    assert told["HEAD"].content == b""


def test_other_methods_are_refused() -> None:
    problem = an_api().ask("POST", "/metrics")
    assert (problem.status_code, problem.headers["allow"]) == (405, "GET, HEAD")
    assert problem.json()["type"] == "urn:eventflow:problem:method-not-allowed"


@pytest.mark.parametrize(
    ("accepted", "gzipped"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZIP"], True),
        (["x-gzip"], True),
        (["deflate, gzip;q=1.0, *;q=0.5"], True),
        (["br", "gzip"], True),
        (["*"], True),
        (["gzip;q=0"], False),
        (["gzip;q=0.000, *"], False),
        (["*;q=0"], False),
        (["br"], False),
        (["identity"], False),
        (["gzip;q=0.5, identity"], False),
        (["gzip;q=0.5, identity;q=0.4"], True),
        (["gzip; q=0.5"], True),
        (["gzip;q=much"], False),
    ],
)
def test_gzip_is_chosen_by_the_weights_that_the_client_gives(accepted: list[str], gzipped: bool) -> None:
    assert accepts_gzip(accepted) is gzipped


def test_a_scrape_is_answered_by_the_event_loop_itself() -> None:
    asked_by: list[threading.Thread] = []
    page = MetricsPage()

    def ask_page() -> Any:
        asked_by.append(threading.current_thread())
        return page.page()

    async def discard(message: Any) -> None:
        pass

    async def nothing() -> Any:
        raise AssertionError("a GET has no body to wait for")

    asyncio.run(MetricsEndpoint(ask_page)({"type": "http", "method": "GET", "headers": []}, nothing, discard))
    assert asked_by == [threading.main_thread()]
