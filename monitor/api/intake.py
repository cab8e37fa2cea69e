"""What a request may bring at all, decided before any endpoint looks at it: one rule for all of them.

A body has an end, and is JSON as RFC 8259 and I-JSON (RFC 7493) have it: in UTF-8, with numbers that are numbers, with
text that can be written down again, and no deeper than anything in here goes. NUL is in no text, since PostgreSQL keeps
none.
"""

import json
from typing import Any, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.api.problems import answer_error
from monitor.errors import BadRequest, NotFound, RequestError, TooLarge

LARGEST_BODY_BYTES = 2_000_000
LONGEST_PATH_BYTES = 8_000  # an id of two names of 255 bytes, each encoded twice, and room
DEEPEST_LEVELS = 64
"""Lists and objects within each other."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # whose bodies nobody reads


class Intake:
    """ASGI middleware that lets through what endpoints can work with, and answers what is wrong with the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, its body read to the end, or answer with the refusal."""
        if scope["type"] == "http":
            try:
                _check_address(scope)
                if scope["method"] not in _SAFE_METHODS:
                    body = await _read_body(scope, receive)
                    if body is None:
                        return
                    await run_in_threadpool(check_body, body)  # a large one takes longer than a scrape may wait
                    receive = _replay(body, receive)
            except RequestError as error:
                await answer_error(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check_body(body: bytes) -> None:
    """Raise BadRequest for what is no JSON, or holds what cannot be kept; nothing at all is a body as well."""
    if not body:
        return
    try:
        _check_value(json.loads(body.decode("utf-8"), parse_constant=_refuse_constant))
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is no UTF-8: at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON: at character {error.pos + 1}: {error.msg}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # of what is JSON, only a number with thousands of digits
        raise BadRequest("the body has a number that is too long") from error


def _check_value(value: Any, levels: int = 0) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):  # as 1e999 is read
        raise BadRequest("the body has a number that is too large")
    elif isinstance(value, dict | list):
        if levels == DEEPEST_LEVELS:
            raise _too_deep()
        for it in (*value, *(value.values() if isinstance(value, dict) else ())):
            _check_value(it, levels + 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadRequest("the body has text with NUL (\\u0000) in it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest("the body has text that is no Unicode: half of a surrogate pair") from error


def _check_address(scope: Scope) -> None:
    if len(scope.get("raw_path", b"")) > LONGEST_PATH_BYTES:
        raise NotFound(f"there is nothing at a path of more than {LONGEST_PATH_BYTES:,} bytes")
    if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
        raise BadRequest("the address has NUL (%00) in it")


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body when it is whole, None where its sender has gone away before.

    Raises TooLarge as soon as it is known to be, however it is sent.
    """
    if int(dict(scope["headers"]).get(b"content-length", b"0")) > LARGEST_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _refuse_constant(text: str) -> NoReturn:
    raise BadRequest(f"the body has {text}, which is no JSON")


def _too_deep() -> BadRequest:
    return BadRequest(f"the body is nested too deeply; more than {DEEPEST_LEVELS} levels are not read")


def _too_large() -> TooLarge:
    return TooLarge(f"the body is larger than {LARGEST_BODY_BYTES:,} bytes")
