"""Answers that come as they are made."""

import logging
from collections.abc import Generator, Mapping

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from monitor.errors import EventflowError

_LOG = logging.getLogger(__name__)


class Stream(StreamingResponse):
    """Lines as they are made, let go of at once when their reader goes away.

    Where they fail in the middle the answer breaks off without its end, which every client tells from a whole one.
    """

    def __init__(self, lines: Generator[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        self._lines = lines
        super().__init__(lines, media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await run_in_threadpool(self._lines.close)
        except EventflowError as error:
            _LOG.warning("an answer broke off: %s", error, extra={"path": scope["path"]})
