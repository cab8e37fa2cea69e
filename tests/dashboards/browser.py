"""A real Chromium, Debian's, that sees the dashboard as people do."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from stack.ports import can_listen, reserve_ports
from tests.integration.app.running import wait_until

ROOT = Path(__file__).parents[2]
_RESERVED = tempfile.TemporaryDirectory(prefix="dashboard-port-")  # the reservation lapses with it
CHROMIUM = "/usr/bin/chromium"
# Without these Chromium looks for its vendor's hosts at every start.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-quic", "--no-first-run"]  # fmt: skip


@contextmanager
def dashboard(monitor_url: str, port: int) -> Iterator[str]:
    """Run `eventflow dashboard`; give its address."""
    with dashboard_process(monitor_url, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def dashboard_process(monitor_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `eventflow dashboard`; give its process once it listens."""
    command = [sys.executable, "-m", "monitor", "dashboard", "--port", str(port), "--url", monitor_url]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("the dashboard serves", lambda: not can_listen(port))
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def browser_page(width: int, height: int, *, dark: bool = False) -> Iterator[Page]:
    """Open an empty page in a window of that size."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        browser.close()


def free_port() -> int:
    """Return a port that nobody listens on, and that no other process of a run is given."""
    return reserve_ports(["dashboard"], Path(_RESERVED.name))["dashboard"]
