"""Every query of every Grafana panel, asked of a real Prometheus that scrapes the running demo.

python -m benchmarks.soak grafana

Grafana itself is not there: what it would put in the place of its variables is put there here.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.soak.demo import running_demo
from dashboards.grafana.boards import BOARDS
from tests.alerts.live import free_port
from tests.alerts.promql import RULES
from tests.waiting import wait_for

_SCRAPED_SECONDS = 90.0
_VARIABLES = {"$job": ".+", "$instance": ".+", "$cluster": ".+", "$__rate_interval": "1m", "$__range": "5m"}

EMPTY_THERE = {
    "kafka_partition_last_stable_offset": "no transaction is open",
    "kafka_partition_open_transaction_seconds": "no transaction is open",
    "kafka_consumer_group_rebalances_total": "no group rebalances",
    "kafka_consumer_group_idle_members": "every member owns a partition",
    "kafka_consumer_group_rewinds_total": "no group goes back",
    "sqs_queue_messages_delayed": "no queue delays messages",
    "subscription_objective_seconds_total": "no objective has time that cannot be judged",
    "collector_errors_total": "every collector reads everything",
    "aws_api_throttled_total": "nobody is throttled",
    "cloudwatch_monthly_budget_dollars": "no budget is configured",
}
"""Why a query of what the demo does not do may be empty, by the metric that it asks for."""


def main() -> int:
    """Print which panels are empty; return 1 when one is without a known reason."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as monitor,
        _prometheus(folder, urlsplit(monitor).netloc) as url,
    ):
        _wait_for_data(url)
        rows = [(board.name, *row) for board in BOARDS for row in _ask_board(url, board.render())]
    empty = [row for row in rows if not row[3]]
    table = Table("dashboard", "panel", "query", "reason")
    for name, panel, query, _ in empty:
        table.add_row(name, panel, query, _reason(query) or "UNKNOWN")
    Console().print(table)
    Console().print(f"{len(rows)} queries, {len(rows) - len(empty)} with data, {len(empty)} empty")
    return int(any(not _reason(query) for _, _, query, _ in empty))


def _reason(query: str) -> str:
    return next((reason for metric, reason in EMPTY_THERE.items() if metric in query), "")


def _ask_board(url: str, board: Any) -> Iterator[tuple[str, str, int]]:
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in _VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression, len(_query(url, expression))


def _query(url: str, expression: str) -> list[Any]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=10, trust_env=False).json()
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])


def _wait_for_data(url: str) -> None:
    wait_for(lambda: _is_ready(url), "Prometheus", 60.0)
    wait_for(lambda: _query(url, "eventflow_subscription_info"), "the first scrape", 60.0)
    span = f"count_over_time(eventflow_build_info[{2 * _SCRAPED_SECONDS:.0f}s])"
    wait_for(lambda: float(_query(url, span)[0]["value"][1]) >= _SCRAPED_SECONDS, "ranges to fill", 300.0)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _prometheus(folder: str, target: str) -> Iterator[str]:
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [{"job_name": "eventflow", "static_configs": [{"targets": [target]}]}],
    }
    (Path(folder) / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"]
    running = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(20)


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)
