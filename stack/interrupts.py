"""Signals that end a command: the first interrupts, and the tidying up that follows is not broken off by a second."""

import signal
from types import FrameType


def interrupt_once(*numbers: signal.Signals) -> None:
    """Let the first of these signals raise KeyboardInterrupt in the main thread, and ignore all later ones."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)
