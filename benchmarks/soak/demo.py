"""The demo as a process of its own, for proofs that are run against it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
_STARTED_SECONDS = 240.0


@contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """Run `make demo` in a folder, where it keeps its stack; yield the address of its monitor."""
    log, told = folder / "demo.log", folder / "stack" / "demo.json"
    with log.open("wb") as output:
        environment = {**os.environ, "EVENTFLOW_STACK_DIR": str(folder / "stack")}
        running = subprocess.Popen([sys.executable, "-m", "stack.demo"], env=environment, stdout=output, cwd=ROOT)
    try:
        wait_for(lambda: told.exists() or running.poll() is not None, "the demo", _STARTED_SECONDS)
        if running.poll() is not None:
            raise AssertionError(log.read_text(encoding="utf-8"))
        yield str(json.loads(told.read_text(encoding="utf-8"))["monitor"])
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)
