"""Memory of a whole monitor while it redrives a topic of 200,000 dead letters, and one of 1,000,000.

python -m benchmarks.soak redrive-memory
"""

import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.kafka.redrive import fill, made
from benchmarks.soak.grounds import ENVIRONMENT
from benchmarks.soak.kafka_redrive import brokers
from tests.integration.redrive.server import Server, running

SIZES = (200_000, 1_000_000)
_BYTES = 512
_PATIENCE_SECONDS = 600.0
_MOST_MORE_MEGABYTES = 30.0


def main() -> int:
    """Print the table; return 1 when five times the messages take noticeably more memory."""
    with brokers() as bootstrap, tempfile.TemporaryDirectory() as made_folder:
        peaks = [measure(bootstrap, Path(made_folder), messages) for messages in SIZES]
    table = Table("messages", "at rest", "peak while redriving", "seconds", title="Memory of a monitor (MB)")
    for messages, (rest, peak, seconds) in zip(SIZES, peaks, strict=True):
        table.add_row(f"{messages:,}", f"{rest:.0f}", f"{peak:.0f}", f"{seconds:.0f}")
    Console().print(table)
    return int(peaks[1][1] - peaks[0][1] > _MOST_MORE_MEGABYTES)


def measure(bootstrap: str, folder: Path, messages: int) -> tuple[float, float, float]:
    """Return megabytes before a redrive and at its peak, and how many seconds it took."""
    with made(bootstrap) as yard:
        fill(yard, messages, _BYTES)
        place = folder / str(messages)
        place.mkdir()
        names = f'{{include: ["{yard.target}*"]}}'
        about = f'name: k, kind: kafka, bootstrap_servers: "{bootstrap}", topics: {names}, groups: {names}'
        with running(Server(place, f"  - {{{about}, redrive: {{}}}}\n", ENVIRONMENT)) as server:
            server.wait_for_queue(f"k/{yard.dead}", messages)
            rest = megabytes(server.pid, "VmRSS")
            job = server.start_job(f"k/{yard.dead}")
            ended = server.wait_for_job(job["id"], seconds=_PATIENCE_SECONDS)
            assert (ended["state"], ended["counts"]["sent"]) == ("completed", messages), ended
            seconds = float(ended["ended_at"] or 0) - float(ended["started_at"] or 0)
            return rest, megabytes(server.pid, "VmHWM"), seconds


def megabytes(pid: int, what: str) -> float:
    """Return what the system says of a process's memory."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
