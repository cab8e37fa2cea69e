"""`python -m examples.event_flow.scenarios NAME|list [--url URL] [--endpoints FILE] [--size N] [--json]`."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.event_flow.names import EndpointsUnreadable
from examples.event_flow.scenarios.catalogue import SCENARIOS
from examples.event_flow.scenarios.ground import Setting
from examples.event_flow.scenarios.running import Result, Row, run_scenario
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.errors import EventflowError

SIZE = 20


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eventflow demo scenario", description="Breaks the reference flow on purpose."
    )
    parser.add_argument("name", choices=["list", *SCENARIOS], metavar="NAME", help="a scenario, or `list`")
    parser.add_argument("--url", help="the monitor (default: that of the demo that runs here)")
    parser.add_argument("--endpoints", type=Path, help="addresses of the buses (default: those of the demo)")
    parser.add_argument("--size", type=int, default=SIZE, metavar="N", help=f"orders placed at a time (default {SIZE})")
    parser.add_argument("--json", action="store_true", help="print the verdict for machines")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a scenario; return 0 where all was as it must be, 1 where it was not, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    if options.name == "list":
        print_list(as_json=options.json)
        return 0
    folder = Path(os.environ.get("EVENTFLOW_STACK_DIR", ".stack"))
    console = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="eventflow-scenario-") as work,
        ApiClient(options.url or monitor_of(folder), os.environ.get("EVENTFLOW_TOKEN")) as client,
    ):
        setting = Setting(options.endpoints or folder / "endpoints.json", Path(work), client, options.size)
        try:
            result = run_scenario(SCENARIOS[options.name], setting, lambda row: console.print(_line(row), markup=False))
        except (EndpointsUnreadable, EventflowError) as error:
            print(error, file=sys.stderr)
            return 1
    print_verdict(result, as_json=options.json)
    return 0 if result.ok else 1


def monitor_of(folder: Path) -> str:
    """Return the address of the demo's monitor, the usual one where no demo tells another."""
    try:
        return str(json.loads((folder / "demo.json").read_text(encoding="utf-8"))["monitor"])
    except OSError:
        return DEFAULT_URL


def print_list(*, as_json: bool) -> None:
    """Print what there is."""
    if as_json:
        print(json.dumps([{"name": it.name, "summary": it.summary} for it in SCENARIOS.values()]))
        return
    table = Table("scenario", "what happens", box=None)
    for scenario in SCENARIOS.values():
        table.add_row(scenario.name, scenario.summary)
    Console().print(table)


def print_verdict(result: Result, *, as_json: bool) -> None:
    """Print what was done and seen, step by step, and whether it was as it must be."""
    if as_json:
        print(json.dumps(result.to_json()))
        return
    table = Table("phase", "step", "seen", "after", "", box=None)
    for row in result.rows:
        table.add_row(row.phase, row.step, row.seen, f"{row.seconds:.1f} s", "ok" if row.ok else "NO")
    console = Console()
    console.print(table)
    verdict = "as it must be" if result.ok else "NOT as it must be"
    console.print(f"{result.name}: {verdict}, {result.seconds:.0f} s", highlight=False)


def _line(row: Row) -> str:
    return f"{row.seconds:6.1f} s  {'ok' if row.ok else 'NO'}  {row.phase}: {row.step}: {row.seen}"


if __name__ == "__main__":
    sys.exit(main())
