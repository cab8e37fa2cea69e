"""How a command is interrupted: once, so that what it tidies up afterwards is not broken off."""

import signal
from types import FrameType


def interrupt_once(*signals: signal.Signals) -> None:
    """Let the first of these signals raise KeyboardInterrupt in the main thread, and ignore all that follow."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # An impatient second Ctrl-C would otherwise leave processes behind.
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)
