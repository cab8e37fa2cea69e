"""The readers that people use take the page as it is meant: promtool, Prometheus itself, curl."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest

from monitor.exposition.families import FAMILIES
from monitor.exposition.page import MetricsPage, Page
from monitor.exposition.text import CONTENT_TYPE
from monitor.model import ClusterView, Health, Snapshot, Table

Found = TypeVar("Found")

HOSTILE = (
    'quote"',
    "back\\slash",
    "line\nfeed",
    "\\n",
    "carriage\rreturn",
    "nul\0",
    "tab\t",
    "é… 😀",
    '{a="b"} 1',
    "",
    "# HELP x",
)
LISTENING = re.compile(r'msg="Listening on".* address=(\S+)')
ROWS = 20_000
"""More than ten pieces, so that a reader that stops early is seen."""


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: apt-get install prometheus curl"
    return found


def page_of(tables: dict[str, Table]) -> Page:
    metrics = MetricsPage()
    health = Health("orders", "kafka", 15.0, True, 1_700_000_000.0, 0.2)
    metrics.update(ClusterView(health, Snapshot("orders", "kafka", 0.0, 0.2, tables=tables)), cycle_ended=True)
    return metrics.page()


def every_family() -> Page:
    """One sample of each family that a table can carry."""
    tables = {}
    for family in FAMILIES:
        names = [label for label in family.labels if label != "cluster"]
        if family.kind == "histogram" or family.name == "build_info":
            continue
        values = {family.name: np.array([1.0])}
        tables[family.name] = Table(Table.of_rows(names, [names], {}).labels, values)
    return page_of(tables)


def large_and_hostile() -> Page:
    large = Table.of_rows(
        ("group", "topic", "partition"),
        [("group", "topic", str(i)) for i in range(ROWS)],
        {"kafka_consumer_group_lag_messages": range(ROWS)},
    )
    hostile = Table.of_rows(
        ("queue",), [(name,) for name in HOSTILE], {"sqs_queue_messages_visible": range(len(HOSTILE))}
    )
    return page_of({"large": large, "hostile": hostile})


@contextmanager
def served(page: Page) -> Iterator[str]:
    """Serve the compressed body at an address of this machine, whatever the client asks for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(page.gzip)))
            self.end_headers()
            self.wfile.write(page.gzip)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[httpx.Client]:
    """Run a Prometheus that scrapes the target."""
    job = {
        "job_name": "monitor",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [target]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        listening = until(lambda: LISTENING.search((folder / "log").read_text()), folder / "log")
        with httpx.Client(base_url=f"http://{listening[1]}", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(60)


def until(find: Callable[[], Found | None], log: Path) -> Found:
    """Return what is found as soon as there is something."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not in 30 s; Prometheus said: {log.read_text()[-2000:]}")


def scraped(client: httpx.Client, query: str, log: Path) -> list[dict[str, Any]]:
    """Return the result of a query as soon as there is one."""

    def ask() -> list[dict[str, Any]]:
        answer = client.get("/api/v1/query", params={"query": query})
        result: list[dict[str, Any]] = answer.json()["data"]["result"] if answer.is_success else []
        return result

    return until(ask, log)


@pytest.mark.parametrize("page", [every_family, large_and_hostile])
def test_promtool_is_silent(page: Callable[[], Page]) -> None:
    checked = subprocess.run([tool("promtool"), "check", "metrics"], input=page().plain, capture_output=True)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_prometheus_reads_the_compressed_page_to_its_end_and_every_name_as_it_is(tmp_path: Path) -> None:
    with served(large_and_hostile()) as target, prometheus(target, tmp_path) as client:
        visible = scraped(client, "eventflow_sqs_queue_messages_visible", tmp_path / "log")
        count = scraped(client, "count(eventflow_kafka_consumer_group_lag_messages)", tmp_path / "log")
        total = scraped(client, "sum(eventflow_kafka_consumer_group_lag_messages)", tmp_path / "log")

    found = {each["metric"].get("queue", ""): float(each["value"][1]) for each in visible}
    assert found == {name: float(i) for i, name in enumerate(HOSTILE)}
    assert count[0]["value"][1] == str(ROWS)
    assert float(total[0]["value"][1]) == sum(range(ROWS))


def test_curl_reads_the_compressed_page_to_its_end() -> None:
    page = large_and_hostile()

    with served(page) as target:
        fetched = subprocess.run([tool("curl"), "-sS", "--compressed", f"http://{target}/metrics"], capture_output=True)

    assert fetched.stderr == b""
    assert fetched.stdout == page.plain


@pytest.mark.parametrize("size", [1, 1000])
def test_httpx_reads_the_compressed_page_to_its_end(size: int) -> None:
    page = large_and_hostile()
    pieces = (page.gzip[i : i + size * 100] for i in range(0, len(page.gzip), size * 100))

    response = httpx.Response(200, headers={"content-encoding": "gzip"}, content=pieces)

    assert response.read() == page.plain
