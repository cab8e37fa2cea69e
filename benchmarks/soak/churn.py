"""Memory of a whole monitor over many cycles while groups and topics come and go.

python -m benchmarks.soak churn
"""

import re
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stack.control import Stack
from stack.state import Options
from tests.integration.app.running import Process, serving
from tests.integration.kafka.playground import Playground

CYCLES = 500
_ROWS = 10
_PATIENCE_SECONDS = 1800.0
_GROWTH_ALLOWED = 1.15
CONFIG = """
database_url: sqlite:///{folder}/eventflow.db
clusters:
  - {{name: churn, kind: kafka, bootstrap_servers: "{bootstrap}", interval: 200ms}}
"""


def main() -> int:
    """Print memory by cycles; return 1 when the second half grew by more than is allowed."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", Options(parts=("kafka",)))
        stack.start()
        try:
            config = CONFIG.format(folder=folder, bootstrap=stack.endpoints.kafka)
            with serving(Path(folder), config) as monitor:
                monitor.wait_until_ready()
                rows = _churn(monitor, Playground(stack.endpoints.kafka))
        finally:
            stack.stop()
    table = Table("cycles", "group-topics seen", "resident MB")
    for cycles, seen, megabytes in rows:
        table.add_row(str(cycles), str(seen), f"{megabytes:.1f}")
    growth = rows[-1][2] / rows[len(rows) // 2][2]
    Console().print(table)
    Console().print(f"second half: {growth:.3f} times the memory (allowed {_GROWTH_ALLOWED})")
    return int(growth > _GROWTH_ALLOWED)


def _churn(monitor: Process, kafka: Playground) -> list[tuple[int, int, float]]:
    rows: list[tuple[int, int, float]] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    number = 0
    while len(rows) < _ROWS and time.monotonic() < deadline:
        number += 1
        topic, group = kafka.topic(f"topic-{number}", 3), kafka.name(f"group-{number}")
        kafka.produce(topic, 10)
        kafka.commit(group, topic, 5)
        cycles, seen = count_cycles(monitor)
        if cycles >= (len(rows) + 1) * CYCLES // _ROWS:
            rows.append((cycles, seen, resident_megabytes(monitor.popen.pid)))
        kafka.delete_group(group)
        kafka.delete_topic(topic)
    return rows


def count_cycles(monitor: Process) -> tuple[int, int]:
    """Return how many cycles have ended, and how many subscriptions the last one saw."""
    text = monitor.get("/metrics").text
    count = re.search(r"^eventflow_collector_duration_seconds_count\S* (\S+)$", text, re.MULTILINE)
    seen = len(re.findall(r"^eventflow_subscription_info\{", text, re.MULTILINE))
    return int(float(count[1])) if count else 0, seen


def resident_megabytes(pid: int) -> float:
    """Return the memory of a process that is resident."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024
