"""Signing in by a reverse proxy: nginx with the configuration that docs/dashboard.md shows, before a real dashboard.

python -m benchmarks.soak dashboard-proxy

nginx has to be installed, or named by `NGINX_PROGRAM`. In the place of oauth2-proxy stands a program that knows one
person by a cookie. A real Chromium comes through nginx, as that person and as nobody, and claims to be somebody else.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page

from monitor.config import hash_token, load_configuration
from stack.ports import can_listen
from tests.dashboards.browser import ROOT, browser_page, free_port
from tests.dashboards.conftest import serving
from tests.dashboards.world import World
from tests.waiting import wait_for

PERSON, TOKEN = "alice@example.org", "the-token-of-the-dashboard"
_PATIENCE_MILLISECONDS = 120_000
# Needed in every configuration; what the dashboard shows is made up.
_CLUSTERS = 'clusters: [{name: orders, kind: kafka, bootstrap_servers: "127.0.0.1:9092"}]\n'
_NGINX = """daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
{documented}
    }}
}}
"""


def main() -> int:
    """Print what was seen; return 1 when somebody was taken for somebody else."""
    with tempfile.TemporaryDirectory() as made, _signed_in() as sign_in:
        folder = Path(made)
        configuration = folder / "monitor.yml"
        configuration.write_text(_documented("yaml").replace('"..."', f'"{hash_token(TOKEN)}"') + _CLUSTERS)
        server, patch = load_configuration(configuration).server, pytest.MonkeyPatch()
        with (
            serving(World(12).make_app(folder, server), patch) as (url, _),
            _dashboard(configuration, url) as shown,
            _nginx(folder, shown, sign_in) as proxied,
            browser_page(1200, 800) as page,
        ):
            seen = {"as somebody": _as_somebody(page, proxied), "as nobody": _as_nobody(page, proxied)}
        patch.undo()
    for what, told in seen.items():
        print(f"{what}: {told}")
    return int(seen != {"as somebody": f"{PERSON} (operator)", "as nobody": "401"})


def _documented(language: str) -> str:
    """Return the first example in this language that the section on signing in has."""
    section = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8").partition("## Sign in")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, language
    return found[1]


def _as_somebody(page: Page, url: str) -> str:
    page.context.add_cookies([{"name": "who", "value": "alice", "url": url}])
    page.set_extra_http_headers({"X-Forwarded-User": "mallory@example.org"})
    page.goto(url)
    who = page.locator("[data-testid=stSidebar]").get_by_text(re.compile(r"\((viewer|operator|admin)\)")).first
    who.wait_for(timeout=_PATIENCE_MILLISECONDS)
    return who.inner_text().replace("\u2060", "").partition(" ·")[0]


def _as_nobody(page: Page, url: str) -> str:
    page.context.clear_cookies()
    answer = page.goto(url)
    return str(answer.status) if answer else "nothing"


# -- the processes -----------------------------------------------------------------------------------------------------


@contextmanager
def _signed_in() -> Iterator[int]:
    """Serve what nginx asks who somebody is, as oauth2-proxy answers; give its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = "who=alice" in self.headers.get("Cookie", "")
            self.send_response(202 if known else 401)
            if known:
                self.send_header("X-Auth-Request-Email", PERSON)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


@contextmanager
def _dashboard(configuration: Path, url: str) -> Iterator[int]:
    port = free_port()
    asked = ["--port", str(port), "--url", url, "--config", str(configuration)]
    environment = {**os.environ, "EVENTFLOW_TOKEN": TOKEN}
    with _running([sys.executable, "-m", "monitor", "dashboard", *asked], port, environment):
        yield port


@contextmanager
def _nginx(folder: Path, dashboard: int, sign_in: int) -> Iterator[str]:
    program, port = os.environ.get("NGINX_PROGRAM") or shutil.which("nginx"), free_port()
    assert program, "nginx is not installed; name it by NGINX_PROGRAM"
    documented = _documented("nginx").replace(":8501", f":{dashboard}").replace(":4180", f":{sign_in}")
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, port=port, documented=documented))
    with _running([program, "-c", str(file), "-e", f"{folder}/error.log"], port, dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: not can_listen(port), command[0], 120.0)
        yield
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    sys.exit(main())
