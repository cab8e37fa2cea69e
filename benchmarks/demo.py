"""Times `make demo` from a bare clone until it prints its addresses, and a second start of the same clone."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Clone what is committed, start the demo twice, and print how long each start took."""
    table = Table("start", "seconds until everything serves")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for label in ("bare clone", "again"):
            table.add_row(label, f"{_start(clone):.1f}")
    Console().print(table)
    Console().print("Brokers that are in the cache, and packages that are installed, are not fetched again.")


def _start(clone: Path) -> float:
    begun = time.monotonic()
    # A group of its own, as a terminal gives one, so that the interrupt reaches make and the demo alike.
    with subprocess.Popen(
        ["make", "demo"], cwd=clone, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "Ctrl-C stops all of it" in line:
                taken = time.monotonic() - begun
                os.killpg(process.pid, signal.SIGINT)
                process.stdout.read()
                return taken
    raise SystemExit("the demo did not come up")


if __name__ == "__main__":
    main()
