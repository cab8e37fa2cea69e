"""What a request may bring: bodies with an end, JSON that can be kept, addresses that a database can look up."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Body

from monitor.api.intake import DEEPEST_LEVELS, LARGEST_BODY_BYTES
from tests.unit.api.builders import Api


@pytest.fixture
def api() -> Api:
    """An API with one endpoint that takes any JSON, and gives it back."""
    made = Api()

    @made.app.post("/api/v1/taken")
    def take(body: Annotated[Any, Body()]) -> Any:
        return body

    return made


def send(api: Api, body: Any) -> Any:
    return api.ask("POST", "/api/v1/taken", content=body, headers={"content-type": "application/json"})


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is no JSON: at character 2"),
        (b'{"a":"\xff\xfe"}', "the body is no UTF-8: at byte 7"),
        (b'{"a":NaN}', "the body has NaN"),
        (b'{"a":-Infinity}', "the body has -Infinity"),
        (b'{"a":[1e999]}', "too large"),
        (b'{"a":' + b"9" * 5000 + b"}", "too long"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b'{"a":["x\\u0000y"]}', "NUL"),
        (nested(DEEPEST_LEVELS + 1), "nested too deeply"),
        (nested(900), "nested too deeply"),
        (nested(200_000), "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_or_cannot_be_kept_is_refused_with_the_reason(api: Api, body: bytes, told: str) -> None:
    problem = send(api, body)
    assert (problem.status_code, problem.headers["content-type"]) == (400, "application/problem+json")
    assert problem.json()["type"] == "urn:eventflow:problem:bad-request"
    assert told in problem.json()["detail"]


@pytest.mark.parametrize("body", [b'{"a":"\\ud83d\\ude00 \xc3\xa9"}', b"[1.5,null,true]", nested(DEEPEST_LEVELS)])
def test_every_other_json_arrives_as_it_was_sent(api: Api, body: bytes) -> None:
    assert send(api, body).status_code == 200


def test_a_body_that_is_announced_as_too_large_is_refused_unread(api: Api) -> None:
    def unreadable() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    headers = {"content-type": "application/json", "content-length": str(LARGEST_BODY_BYTES + 1)}
    problem = api.ask("POST", "/api/v1/taken", content=_later(unreadable()), headers=headers)
    assert (problem.status_code, problem.json()["type"]) == (413, "urn:eventflow:problem:too-large")


def test_a_body_without_an_end_is_read_no_further_than_it_may_go(api: Api) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(b" " * 100_000)
            yield sent[-1]

    problem = send(api, _later(endless()))
    assert problem.status_code == 413
    assert len(sent) <= LARGEST_BODY_BYTES // 100_000 + 1


def test_the_largest_body_is_taken(api: Api) -> None:
    assert send(api, b'"' + b"x" * (LARGEST_BODY_BYTES - 2) + b'"').status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/v1/redrives/%00", 400, "the address has NUL (%00) in it"),
        ("/api/v1/subscriptions?owner=a%00b", 400, "the address has NUL (%00) in it"),
        ("/api/v1/redrives/" + "x" * 8_000, 404, "there is nothing at a path of more than 8,000 bytes"),
    ],
)
def test_an_address_that_no_database_could_look_up_is_refused(path: str, status: int, told: str) -> None:
    problem = Api().ask("GET", path)
    assert (problem.status_code, problem.json()["detail"]) == (status, told)


async def _later(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
