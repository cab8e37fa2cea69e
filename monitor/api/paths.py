"""Ids in paths, as they stand there: the framework's own parameter has lost which slashes were encoded."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Request

from monitor.api.sources import PREFIX


def id_between(before: str, after: str = "") -> Callable[..., str]:
    """Return a dependency that gives what stands between two parts of a path under the API, undecoded."""

    def read(
        request: Request,
        id: Annotated[str, Path(description="as the list names it; its slashes may stand as they are")],
    ) -> str:
        raw = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        _, found, rest = raw.partition(PREFIX + before)
        return rest.removesuffix(after) if found else id

    return read
