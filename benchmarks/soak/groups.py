"""Ten thousand groups that live for moments, under a whole monitor: what of them is left afterwards.

python -m benchmarks.soak groups
"""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.soak.churn import count_cycles, resident_megabytes
from stack.control import Stack
from stack.state import Options
from tests.integration.app.running import Process, serving
from tests.integration.kafka.playground import Playground
from tests.waiting import wait_for

GROUPS, AT_ONCE = 10_000, 250
_GROWTH_ALLOWED = 1.15
_PATIENCE_SECONDS = 120.0
CONFIG = """
database_url: sqlite:///{folder}/eventflow.db
clusters:
  - {{name: moments, kind: kafka, bootstrap_servers: "{bootstrap}", interval: 500ms}}
"""


def main() -> int:
    """Print what was seen by groups that came and went; return 1 when something of them is left, or memory grew."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", Options(parts=("kafka",)))
        stack.start()
        try:
            config = CONFIG.format(folder=folder, bootstrap=stack.endpoints.kafka)
            with serving(Path(folder), config) as monitor:
                monitor.wait_until_ready()
                rows, left = _live_and_die(monitor, Playground(stack.endpoints.kafka))
        finally:
            stack.stop()
    table = Table("groups so far", "seen at once", "cycles", "resident MB")
    for row in rows:
        table.add_row(*(f"{value:,.0f}" for value in row))
    growth = rows[-1][3] / rows[len(rows) // 2][3]
    Console().print(table)
    Console().print(
        f"second half: {growth:.3f} times the memory (allowed {_GROWTH_ALLOWED}); series left of them: {left}"
    )
    return int(growth > _GROWTH_ALLOWED or left > 0)


def _live_and_die(monitor: Process, kafka: Playground) -> tuple[list[tuple[float, float, float, float]], int]:
    rows: list[tuple[float, float, float, float]] = []
    topic = kafka.topic("orders")
    kafka.produce(topic, 10)
    for begun in range(0, GROUPS, AT_ONCE):
        names = [kafka.name(f"job-{number}") for number in range(begun, begun + AT_ONCE)]
        for name in names:
            kafka.commit(name, topic, 4)
        _wait_for_groups(monitor, AT_ONCE)
        if (begun // AT_ONCE) % 4 == 3:
            cycles, seen = count_cycles(monitor)
            rows.append((begun + AT_ONCE, seen, cycles, resident_megabytes(monitor.popen.pid)))
        for future in kafka.admin.delete_consumer_groups(names, request_timeout=60).values():
            future.result(60)
        _wait_for_groups(monitor, 0)
    return rows, monitor.get("/metrics").text.count(f'group="{kafka.prefix}')


def _wait_for_groups(monitor: Process, number: int) -> None:
    wait_for(lambda: count_cycles(monitor)[1] == number, f"{number} groups", _PATIENCE_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
