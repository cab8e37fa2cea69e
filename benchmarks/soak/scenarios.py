"""Every scenario of the reference flow against one demo, some side by side: each has a flow of its own.

python -m benchmarks.soak scenarios
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.soak.demo import running_demo
from examples.event_flow.scenarios.__main__ import SIZE
from examples.event_flow.scenarios.catalogue import SCENARIOS
from examples.event_flow.scenarios.ground import Setting
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.running import Result, Row, run_scenario
from monitor.apiclient import ApiClient

DISTURBING_OTHERS = ("broker-loss",)
"""What hits every flow on the brokers, and so runs alone, at the end."""
_AT_ONCE = 4


def main() -> int:
    """Print what each one showed and how long that took; return 1 when one was not as it must be."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with running_demo(work) as url, ApiClient(url, timeout_seconds=30.0) as client:
            setting = Setting(work / "stack" / "endpoints.json", work / "flows", client, SIZE)
            results = _run_all(setting)
    Console(width=160).print(_table(results))
    return int(not all(result.ok for result in results))


def _run_all(setting: Setting) -> list[Result]:
    quiet = [scenario for name, scenario in SCENARIOS.items() if name not in DISTURBING_OTHERS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = [*pool.map(lambda scenario: _run(scenario, setting), quiet)]
    return results + [_run(SCENARIOS[name], setting) for name in DISTURBING_OTHERS]


def _run(scenario: Scenario, setting: Setting) -> Result:
    return run_scenario(scenario, setting, partial(_tell, scenario.name))


def _tell(name: str, row: Row) -> None:
    print(f"{name:20} {row.seconds:6.1f} s  {'ok' if row.ok else 'NO'}  {row.step}: {row.seen}", flush=True)


def _table(results: list[Result]) -> Table:
    table = Table("scenario", "shown by the monitor after", "redriven", "in the end", "altogether", "", box=None)
    for result in results:
        table.add_row(
            result.name,
            f"{sum(row.seconds for row in result.rows if row.phase == 'expect'):.1f} s",
            next((row.seen for row in result.rows if row.phase == "redrive"), "nothing had died"),
            next((row.seen for row in reversed(result.rows) if row.phase == "prove"), "not reached"),
            f"{result.seconds:.0f} s",
            "ok" if result.ok else "NO: " + next((row.step for row in result.rows if not row.ok), ""),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
