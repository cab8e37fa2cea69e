"""Every command of every runbook, run against brokers of its own, a monitor and an Alertmanager.

python -m benchmarks.soak runbooks
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from rich.console import Console
from rich.table import Table

from stack.control import Stack
from tests.alerts.live import alerting
from tests.alerts.runbooks import Scene, commands, scene
from tests.integration.rabbitmq.nodes import node_of

_PROBED = "eventflow.probe"


def main() -> int:
    """Print how each command ended; return 1 when one failed."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        stack.start()
        try:
            return _prove(stack, Path(folder))
        finally:
            stack.stop()


def _prove(stack: Stack, folder: Path) -> int:
    _make_probed_topic(stack.endpoints.kafka)
    with scene(stack.endpoints, folder, node_of(stack)) as made, alerting(folder, made.fill(_MONITOR)) as live:
        meanings = {**made.meanings, "http://127.0.0.1:9093": lambda: live.alertmanager}
        failed = _run_all(replace(made, meanings=meanings))
    Console().print(f"{len(commands())} commands, {len(failed)} failed")
    for command, said in failed.items():
        print(f"\n{command}\n{said}", file=sys.stderr)
    return int(bool(failed))


_MONITOR = "http://127.0.0.1:9610"
"""What the pages call the monitor."""


def _make_probed_topic(bootstrap: str) -> None:
    # A probe would make it, and one of the pages describes it.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(_PROBED, num_partitions=1)])[_PROBED].result(30)


def _run_all(made: Scene) -> dict[str, str]:
    """Run everything and print a table; return what the failed ones said."""
    failed = {}
    table = Table("command", "seconds", "exit code")
    for command in commands():
        begun = time.monotonic()
        ended = made.run(command)
        table.add_row(command, f"{time.monotonic() - begun:.1f}", str(ended.code))
        if ended.code:
            failed[command] = ended.said
    Console(width=160).print(table)
    return failed
