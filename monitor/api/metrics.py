"""`/metrics`: the page as it lies, served by the event loop itself, without a hop to another thread."""

import asyncio
from collections.abc import Callable, Iterator

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from monitor.exposition.page import Page
from monitor.exposition.text import CONTENT_TYPE

_METHODS = ("GET", "HEAD")


class MetricsEndpoint:
    """An ASGI app that answers with the present page."""

    def __init__(self, page: Callable[[], Page]) -> None:
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, by gzip if the client takes that."""
        if scope["method"] not in _METHODS:
            raise HTTPException(405, headers={"Allow": ", ".join(_METHODS)})
        page = self._page()
        gzip = accepts_gzip(Headers(scope=scope).getlist("accept-encoding"))
        size = len(page.gzip) if gzip else page.size
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", b"%d" % size),
            (b"vary", b"Accept-Encoding"),
            *([(b"content-encoding", b"gzip")] if gzip else []),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "GET":
            await _send_pieces(iter((page.gzip,)) if gzip else page.read_plain(), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_pieces(pieces: Iterator[bytes], send: Send) -> None:
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # Between the pieces of a large page others get their turn, also when the client takes them at once.
        await asyncio.sleep(0)


def accepts_gzip(accept_encodings: list[str]) -> bool:
    """Say whether a client wants gzip, by the weights of its Accept-Encoding headers (RFC 9110, section 12.5.3)."""
    weights: dict[str, float] = {}
    for entry in ",".join(accept_encodings).split(","):
        coding, _, parameters = entry.strip().lower().partition(";")
        weights[coding.strip()] = _weight(parameters)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
