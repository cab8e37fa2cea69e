"""The pictures of the documents: `python -m tests.dashboards.pictures`, over the made-up world."""

import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.dashboards.browser import ROOT, browser_page, dashboard, free_port
from tests.dashboards.conftest import serving
from tests.dashboards.world import World

FOLDER = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1400, 1000
_SUBSCRIPTION = "subscriptions?system=kafka&cluster=orders&destination=order-events-0&subscriber=service-2-2"
# The address of each view, and what is drawn last on it.
VIEWS = {
    "overview": ("", "text=Objectives and what is left"),
    "subscriptions": ("subscriptions", ".stDataFrame canvas"),
    "subscription": (_SUBSCRIPTION, "text=The furthest behind"),
    "throughput": ("throughput", "text=All, now"),
    "event-flow": ("event-flow?within=orders", "svg .node"),
    "alerts": ("alerts?runbook=EventflowSubscriptionStopped", "text=How to mend it"),
    "monitor": ("clusters", "text=All of it"),
}
_SETTLED_MILLISECONDS = 3_000


def main() -> None:
    """Draw all of them anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    patch = pytest.MonkeyPatch()
    world = World(24)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(world.make_app(Path(folder)), patch) as (url, _),
        dashboard(url, free_port()) as address,
        browser_page(WIDTH, HEIGHT) as page,
    ):
        for name, (path, last) in VIEWS.items():
            world.refresh()
            _draw(page, f"{address}/{path}", last, FOLDER / f"{name}.png")
            print(f"docs/pictures/{name}.png")
    patch.undo()


def _draw(page: Page, url: str, last: str, file: Path) -> None:
    page.goto(url)
    page.locator(last).first.wait_for(timeout=60_000)
    page.wait_for_timeout(_SETTLED_MILLISECONDS)  # curves grow into place
    page.screenshot(path=file)


if __name__ == "__main__":
    main()
