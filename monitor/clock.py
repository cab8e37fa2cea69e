"""The time, as an argument, so that tests need not wait for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall-clock time (Unix seconds) and a clock that never jumps (seconds, for deadlines and rates)."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
