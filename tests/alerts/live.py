"""A real Prometheus and a real Alertmanager around a running monitor, and the webhook where alerts arrive."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from monitor.rules import Adaptation, adapt, read_groups, render
from tests.alerts.promql import ROOT, RULES
from tests.waiting import wait_for

TIME_SCALE = 0.02
"""Five minutes' wait is six seconds."""

SHORTER_SCALES = {"EventflowDeadLettersNotDrained": 0.002}
"""What looks a day back would need half an hour by the other one."""

GROUP_WAIT_SECONDS = 1.0
"""Long enough that a cause and its consequences are in one flush, as they are with the waits of the file."""


@dataclass
class Webhook:
    """What arrived: each notification with its receiver and time (seconds of `time.monotonic`)."""

    arrived: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        arrived = self.arrived

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                arrived.append((time.monotonic(), self.path.strip("/"), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _alerts(self) -> Iterator[tuple[float, str, dict[str, Any]]]:
        for moment, path, body in list(self.arrived):
            yield from ((moment, path, alert) for alert in body["alerts"])

    def find(self, receiver: str, status: str, alert: str, **labels: str) -> dict[str, Any] | None:
        """Return the first alert that arrived at a receiver with that status and these labels."""
        wanted = {"alertname": alert, **labels}.items()
        return next(
            (
                found
                for _, path, found in self._alerts()
                if path == receiver and found["status"] == status and wanted <= found["labels"].items()
            ),
            None,
        )

    def arrival(self, status: str, alert: str, labels: Mapping[str, str], since: float) -> float | None:
        """Return when, from a moment on, an alert with that status and these labels first arrived at anybody."""
        wanted = {"alertname": alert, **labels}.items()
        return next(
            (
                moment
                for moment, _, found in self._alerts()
                if moment >= since and found["status"] == status and wanted <= found["labels"].items()
            ),
            None,
        )

    def names(self) -> set[str]:
        """Return the names of all alerts that arrived firing."""
        return {found["labels"]["alertname"] for _, _, found in self._alerts() if found["status"] == "firing"}


@dataclass(frozen=True)
class Alerting:
    """The addresses of Prometheus and Alertmanager, and the webhook."""

    prometheus: str
    alertmanager: str
    webhook: Webhook

    def firing(self) -> list[dict[str, str]]:
        """Return the labels of what fires in Prometheus, told or kept quiet."""
        answer = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=5, trust_env=False).json()
        return [it["labels"] for it in answer["data"]["alerts"] if it["state"] == "firing"]

    def fires(self, alert: str, labels: Mapping[str, str]) -> bool:
        """Say whether an alert with these labels fires in Prometheus, told or kept quiet."""
        wanted = {"alertname": alert, **labels}.items()
        return any(wanted <= found.items() for found in self.firing())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def alerting(folder: Path, monitor: str, scrape_seconds: int = 1) -> Iterator[Alerting]:
    """Run Prometheus with our rules and Alertmanager with our routes, both in a hurry."""
    webhook = Webhook()
    prometheus, alertmanager = free_port(), free_port()
    groups = adapt(read_groups(RULES), Adaptation(time_scale=TIME_SCALE, left_out=SHORTER_SCALES))
    for alert, scale in SHORTER_SCALES.items():
        chosen = adapt(read_groups(RULES), Adaptation(time_scale=scale, chosen=[alert]))
        groups += [group | {"name": f"{group['name']}-{alert}"} for group in chosen]
    (folder / "rules.yml").write_text(render(groups, "prometheus", "", {}), encoding="utf-8")
    _write(folder / "alertmanager.yml", _routes(webhook.server.server_address[1]))
    _write(folder / "prometheus.yml", _scraping(monitor, f"127.0.0.1:{alertmanager}", scrape_seconds))
    commands = (
        ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager",
         f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=", "--log.level=error"],
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
         f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=error", "--rules.alert.resend-delay=1s"],
    )  # fmt: skip
    running = [subprocess.Popen(command) for command in commands]
    try:
        live = Alerting(f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}", webhook)
        wait_for(lambda: _is_ready(live.prometheus) and _is_ready(live.alertmanager), "Prometheus and Alertmanager")
        yield live
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)
        webhook.server.shutdown()
        webhook.server.server_close()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _write(path: Path, document: Any) -> None:
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def _routes(port: int) -> Any:
    """Return our own routes, without the waits, and with receivers that call the webhook."""
    document = yaml.safe_load((ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8"))
    for route in (document["route"], *document["route"]["routes"]):
        route |= {"group_wait": f"{GROUP_WAIT_SECONDS:g}s", "group_interval": "1s"}
    document["receivers"] = [
        {"name": it["name"], "webhook_configs": [{"url": f"http://127.0.0.1:{port}/{it['name']}"}]}
        for it in document["receivers"]
    ]
    return document


def _scraping(monitor: str, alertmanager: str, seconds: int) -> Any:
    return {
        "global": {
            "scrape_interval": f"{seconds}s",
            "scrape_timeout": f"{seconds}s",
            "evaluation_interval": "500ms",
        },
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": "eventflow", "static_configs": [{"targets": [monitor.removeprefix("http://")]}]}
        ],
    }
