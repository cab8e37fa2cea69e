"""The one way in which tests wait: for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.02


def wait_for(condition: Callable[[], T | None], what: str = "the condition", seconds: float = 60.0) -> T:
    """Return the first true value of `condition`; fail when none has come in `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds:g} s"
        time.sleep(_LOOK_SECONDS)
    return found
