"""Times a whole monitor, as it runs in production, on a Kafka cluster that `benchmarks.kafka.fixture` has filled.

python -m benchmarks.whole --bootstrap HOST:PORT [--interval 5s] [--cycles 5] [--include 'bench.*'] [--commits admin]
                           [--clusters 1] [--families '*']
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 180.0
_SCRAPES = 40
CLUSTER = """
  - {{name: bench-{number}, kind: kafka, bootstrap_servers: "{bootstrap}", interval: {interval}, deadline: 120s,
     topics: {{include: ["{include}"]}}, groups: {{include: ["{include}"]}}, commits: {commits},
     families: {{include: ["{families}"]}}}}
"""


def main() -> None:
    """Run a monitor for some cycles and print what they and the scrapes cost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--interval", default="5s")
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--include", default="bench.*", help="topics and groups to watch (%(default)s)")
    parser.add_argument("--commits", default="admin", help="admin or offsets_topic (%(default)s)")
    parser.add_argument("--clusters", type=int, default=1, help="how many, all on these brokers (%(default)s)")
    parser.add_argument("--families", default="*", help="metric families to show (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.yml"
        config.write_text(_configuration(given) + f"database_url: sqlite:///{folder}/eventflow.db\n")
        command = [sys.executable, "-m", "monitor", "serve", "--config", str(config), "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            try:
                Console().print(_measure(process, _address(process), given.cycles, given.clusters))
            finally:
                process.terminate()


def _configuration(given: argparse.Namespace) -> str:
    asked = {name: getattr(given, name) for name in ("bootstrap", "interval", "include", "commits", "families")}
    return "clusters:" + "".join(CLUSTER.format(number=number, **asked) for number in range(given.clusters))


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"listening on (http://\S+)", line):
            return found[1].rstrip('",')
    raise SystemExit("the monitor did not start")


def _measure(process: "subprocess.Popen[str]", url: str, cycles: int, clusters: int) -> Table:
    table = Table("figure", "value")
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        _await_cycles(client, clusters)
        first = _figures(client)
        scrapes = _scrape_until(client, int(first["count"]) + cycles * clusters)
        last = _figures(client)
        count = last["count"] - first["count"]
        table.add_row("series", f"{last['series']:,.0f}")
        table.add_row("first cycle, wall s", f"{first['sum'] / first['count']:.2f}")
        table.add_row("later cycles, collecting, wall s", f"{(last['sum'] - first['sum']) / count:.2f}")
        table.add_row("processor s a cycle, scrapes included", f"{(last['cpu'] - first['cpu']) / count:.2f}")
        table.add_row("peak memory MB", f"{_peak_megabytes(process.pid):.0f}")
        for encoding, times in scrapes.items():
            ordered = sorted(times)
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            median = statistics.median(ordered)
            table.add_row(f"scrape {encoding}, median / p99 ms", f"{median * 1e3:.0f} / {p99 * 1e3:.0f}")
    return table


def _scrape_until(client: httpx.Client, cycles: int) -> dict[str, list[float]]:
    """Scrape in both encodings until so many cycles have ended, often enough for a percentile to mean something."""
    times: dict[str, list[float]] = {"gzip": [], "identity": []}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    ended = 0.0
    while ended < cycles or len(times["gzip"]) < _SCRAPES:
        if time.monotonic() > deadline:
            raise SystemExit("the cycles do not come")
        for encoding, taken in times.items():
            begun = time.perf_counter()
            with client.stream("GET", "/metrics", headers={"Accept-Encoding": encoding}) as answer:
                body = b"".join(answer.iter_raw())
            taken.append(time.perf_counter() - begun)
        ended = _sum_of("eventflow_collector_duration_seconds_count", body)  # the plain one came last
    return times


def _figures(client: httpx.Client) -> dict[str, float]:
    page = client.get("/metrics").content
    wanted = {
        "sum": "eventflow_collector_duration_seconds_sum",
        "count": "eventflow_collector_duration_seconds_count",
        "series": "eventflow_collector_series",
        "cpu": "process_cpu_seconds_total",
    }
    return {name: _sum_of(family, page) for name, family in wanted.items()}


def _sum_of(family: str, page: bytes) -> float:
    """Return the sum of a family's samples; found as bytes, as a page of a million lines is too long for patterns."""
    total, after = 0.0, 0
    while (start := page.find(b"\n" + family.encode(), after)) >= 0:
        after = page.index(b"\n", start + 1)
        name, _, value = page[start + 1 : after].decode().rpartition(" ")
        if name.partition("{")[0] == family:
            total += float(value)
    return total


def _await_cycles(client: httpx.Client, cycles: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _figures(client)["count"] < cycles:
        if time.monotonic() > deadline:
            raise SystemExit("the first cycle does not end")
        time.sleep(0.2)


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main()
