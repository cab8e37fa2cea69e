"""Ten people on the dashboard at once, over 20,000 made-up subscriptions and a dead-letter queue of 1,000,000.

python -m benchmarks.soak dashboard

Nine of them speak Streamlit's own protocol, with every redraw that a browser would ask for; the tenth is a real
Chromium, which draws as well. `SOAK_SECONDS` says how long, 300 by default.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page
from rich.console import Console
from rich.table import Table
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from stack.ports import can_listen
from tests.dashboards.browser import ROOT, browser_page, dashboard_process, free_port
from tests.waiting import wait_for

SUBSCRIPTIONS, DEAD, PEOPLE = 20_000, 1_000_000, 10
_MOST_SECONDS = 2.0
_MOST_GROWTH = 1.1
_STAYS_SECONDS, _GLANCES_SECONDS = 7.0, 1.0
_PATIENCE_SECONDS = 120.0
_SPOKEN = [Subprotocol("streamlit")]
_ONE = "system=kafka&cluster=orders&destination=order-events-0&subscriber=service-2-2"

PLACES: Mapping[str, tuple[str, str, str]] = {
    "overview": ("", "", "text=Objectives and what is left"),
    "subscriptions": ("subscriptions", "", ".stDataFrame canvas"),
    "stopped ones": ("subscriptions", "status=stopped&sort=furthest+behind", ".stDataFrame canvas"),
    "one subscription": ("subscriptions", _ONE, "text=The furthest behind"),
    "throughput": ("throughput", "", "text=All, now"),
    "dead letters": ("dead-letters", "", "text=waiting"),
    "a queue of 1,000,000": ("dead-letters", "id=orders%2Fpayments.dlq", "text=Tick a message"),
    "redrive": ("redrive", "", "text=No job has been started"),
    "event flow": ("event-flow", "", "svg .node"),
    "alerts": ("alerts", "", "text=Runbook"),
    "monitor": ("clusters", "", "text=All of it"),
    "audit": ("audit", "", ".stDataFrame canvas"),
}
"""Every page: its path, its query, and what is drawn last on it."""

Seconds = dict[str, list[float]]


def main() -> int:
    """Print seconds a page, memory and processor time; return 1 when something is over its bound."""
    seconds = float(os.environ.get("SOAK_SECONDS", "300"))
    port, url_port = free_port(), free_port()
    with _world(url_port) as world, dashboard_process(f"http://127.0.0.1:{url_port}", port) as shown:
        _drive(port, 0.0, stays=_GLANCES_SECONDS)  # each page once: caches and pools fill
        begin, processor = megabytes(shown.pid), (_processor_seconds(shown.pid), _processor_seconds(world.pid))
        began = time.monotonic()
        protocol, chromium = _drive(port, seconds)
        lasted, end = time.monotonic() - began, megabytes(shown.pid)
        used = [_processor_seconds(it.pid) - before for it, before in zip((shown, world), processor, strict=True)]
    Console().print(_table(protocol, chromium))
    print(f"load of the machine {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors")
    print(
        f"{lasted:.0f} s, {PEOPLE} people; memory of the dashboard {begin:.0f} MB at the begin, {end:.0f} MB at the end"
        f"; processor: dashboard {used[0] / lasted:.0%}, API {used[1] / lasted:.0%} of one core"
    )
    slow = [name for name in PLACES if _p95(protocol[name]) > _MOST_SECONDS]
    if slow:
        print(f"slower than {_MOST_SECONDS:g} s: {', '.join(slow)}")
    return int(bool(slow) or end > begin * _MOST_GROWTH)


def _table(protocol: Seconds, chromium: Seconds) -> Table:
    table = Table("page", "drawn", "median", "p95", "most", "in Chromium, median", "most", title="Seconds a page")
    for name in PLACES:
        server, browser = protocol[name], chromium[name] or [float("nan")]
        figures = (statistics.median(server), _p95(server), max(server), statistics.median(browser), max(browser))
        table.add_row(name, str(len(server)), *(f"{it:.2f}" for it in figures))
    return table


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


# -- ten people --------------------------------------------------------------------------------------------------------


def _drive(port: int, seconds: float, stays: float = _STAYS_SECONDS) -> tuple[Seconds, Seconds]:
    """Have all of them look at page after page for some seconds, each page once at least; return what each took."""
    chromium: Seconds = defaultdict(list)
    failed: list[BaseException] = []

    def browse() -> None:
        try:
            _browse(f"http://127.0.0.1:{port}", chromium, seconds)
        except BaseException as error:  # noqa: BLE001 (told to the one who waits, and raised there)
            failed.append(error)

    person = threading.Thread(target=browse, daemon=True)
    person.start()
    protocol = asyncio.run(_look_together(port, seconds, stays))
    person.join(seconds + len(PLACES) * _PATIENCE_SECONDS)
    assert not person.is_alive(), "the browser does not end"
    if failed:
        raise failed[0]
    return protocol, chromium


async def _look_together(port: int, seconds: float, stays: float) -> Seconds:
    found: Seconds = defaultdict(list)
    async with asyncio.TaskGroup() as people:
        for number in range(PEOPLE - 1):
            people.create_task(_look(port, number, time.monotonic() + seconds, stays, found))
    return found


async def _look(port: int, number: int, until: float, stays: float, found: Seconds) -> None:
    """Be one person: open the pages one after another, stay on each, and let it renew itself."""
    await asyncio.sleep(number * stays / PEOPLE)
    url = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(url, subprotocols=_SPOKEN, max_size=None, open_timeout=_PATIENCE_SECONDS) as socket:
        session = _Session(socket)
        names = list(PLACES)
        for place in range(number, number + 10_000):
            name = names[place % len(names)]
            found[name].append(await session.open(*PLACES[name][:2]))
            await session.stay(stays)
            if time.monotonic() > until and place - number >= len(names):
                return


class _Session:
    """What a browser does on a WebSocket of Streamlit: asks for pages, and for the redraws that these ask for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._due: dict[str, tuple[float, float]] = {}  # fragment -> when it is due, and how often

    async def open(self, path: str, query: str) -> float:
        """Open a page; return how many seconds it took until it stood there whole."""
        began = time.monotonic()
        self._due.clear()
        asked = BackMsg()
        asked.rerun_script.page_name = path
        asked.rerun_script.query_string = query
        await self._socket.send(asked.SerializeToString())
        while not await self._read(_PATIENCE_SECONDS, ForwardMsg.FINISHED_SUCCESSFULLY):
            pass
        return time.monotonic() - began

    async def stay(self, seconds: float) -> None:
        """Stay on the page, and have its parts drawn anew as often as they ask for."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for fragment in [it for it, (due, _) in self._due.items() if due <= now]:
                asked = BackMsg()
                asked.rerun_script.fragment_id = fragment
                asked.rerun_script.is_auto_rerun = True
                await self._socket.send(asked.SerializeToString())
                self._due[fragment] = (now + self._due[fragment][1], self._due[fragment][1])
            await self._read(min([until, *(due for due, _ in self._due.values())]) - now)

    async def _read(self, seconds: float, awaited: int | None = None) -> bool:
        """Read one message, if one comes in time; say whether it tells the awaited end of a drawing."""
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                data = await self._socket.recv()
        except TimeoutError:
            assert awaited is None, "a page does not end"
            return False
        told = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
        if told.HasField("auto_rerun"):
            every = told.auto_rerun.interval
            self._due[told.auto_rerun.fragment_id] = (time.monotonic() + every, every)
        if told.HasField("delta"):
            failed = told.delta.new_element.exception
            assert not failed.type, f"{failed.type}: {failed.message}"
        return told.WhichOneof("type") == "script_finished" and bool(told.script_finished == awaited)


def _browse(url: str, found: Seconds, seconds: float) -> None:
    """Be the person with a real browser, who clicks in the navigation and waits until a page stands there."""
    with browser_page(1300, 1000) as page:
        page.set_default_timeout(_PATIENCE_SECONDS * 1000)
        until = time.monotonic() + seconds
        page.goto(url)
        page.locator(PLACES["overview"][2]).first.wait_for()
        while True:
            for name, (path, query, last) in PLACES.items():
                if not query:
                    found[name].append(_click(page, path, last))
                    page.wait_for_timeout(2_000)
            if time.monotonic() > until:
                return


def _click(page: Page, path: str, last: str) -> float:
    """Click a page in the navigation; return how many seconds it took until what is drawn last was to be seen."""
    link = page.locator(f'[data-testid="stSidebarNavLink"][href$="/{path}"]').first
    title = link.inner_text().splitlines()[-1].strip()
    began = time.monotonic()
    link.click()
    page.get_by_role("heading", name=title, level=1).wait_for()
    page.locator(last).first.wait_for()
    return time.monotonic() - began


# -- the processes -----------------------------------------------------------------------------------------------------


@contextmanager
def _world(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.dashboards.world", "--port", str(port), "--every", "15"]
    sizes = ["--subscriptions", str(SUBSCRIPTIONS), "--dead", str(DEAD)]
    process = subprocess.Popen([*command, *sizes], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: not can_listen(port), "the made-up world", 60.0)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def megabytes(pid: int) -> float:
    """Return how much memory a process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
