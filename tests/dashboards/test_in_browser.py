"""The reading pages in a real browser, over the real API of a made-up world: what a person sees, clicks and waits for.

The world is made up, since a consumer must be gone for a minute before it counts as stopped, on any broker.
"""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, TimeoutError

from monitor.model import ClusterView, Status
from tests.dashboards.browser import ROOT, browser_page, dashboard, free_port
from tests.dashboards.conftest import serving
from tests.dashboards.world import World, add_letters
from tests.unit.api.builders import guarded

pytestmark = pytest.mark.timeout(600)
PICTURES = ROOT / "artifacts" / "pictures"
LATE = "orders/service-0-0/order-events-0"
FULL = "orders%2Fpayments.dlq"
PATIENCE = 90_000  # milliseconds; it is seconds on a machine that is not busy

Theme = Literal["light", "dark"]

# What Streamlit draws itself and cannot be told otherwise, by rule.
KNOWN_OF_STREAMLIT: dict[str, str] = {}


@dataclass
class Looking:
    """Somebody who looks at a world by a dashboard."""

    world: World
    url: str
    page: Page

    def see(self, text: str | re.Pattern[str], within: int = PATIENCE) -> None:
        self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=within)

    def keep(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    """Serve one world, whose data renews itself, its dashboard and a browser for all tests of this file."""
    world, patch = World(60, calm=True), pytest.MonkeyPatch()
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(1.0):
            world.refresh()

    app = world.make_app(tmp_path_factory.mktemp("world"))
    add_letters(app, world)
    with (
        serving(app, patch) as (url, _),
        dashboard(url, free_port()) as address,
        browser_page(1300, 1000) as page,
    ):
        thread = threading.Thread(target=renew)
        thread.start()
        yield Looking(world, address, page)
        ended.set()
        thread.join()
    patch.undo()


def test_a_consumer_that_stops_is_found_and_its_return_is_seen(looking: Looking) -> None:
    looking.page.goto(looking.url)
    looking.see(re.compile("^✉ .* dead letters wait"))
    looking.world.forced = {LATE: Status.STOPPED}
    looking.see(re.compile("1 of 60 subscriptions need a look"))
    looking.see("there has been no consumer for 12 min")
    looking.keep("stopped-1-overview")
    looking.page.get_by_role("link", name="See who consumed it").click()
    looking.see("consumers: 3 → 0")
    looking.see("service-0-0 ← order-events-0")
    assert looking.page.url.endswith(
        "/subscriptions?system=kafka&cluster=orders&destination=order-events-0&subscriber=service-0-0"
    )
    looking.keep("stopped-2-subscription")
    looking.world.forced = {LATE: Status.LAGGING}
    looking.see("▲ lagging")
    looking.see("4 min")
    looking.world.drains_in = 60.0
    looking.see(re.compile("^1 min$"))
    looking.world.forced = {}
    looking.see("keeps up")


def test_a_cluster_that_freezes_leaves_the_pages_usable_and_says_what_is_not_known(looking: Looking) -> None:
    looking.page.goto(f"{looking.url}/subscriptions?bus=kafka")
    looking.see("20 subscriptions")
    looking.world.frozen = True
    looking.see("✖ down")
    looking.see("20 subscriptions")  # what was known last stays for three intervals
    looking.page.get_by_role("link", name="Overview").click()
    looking.see(re.compile("orders cannot be read"))
    looking.see("timeout: no answer within 5 s to describing groups")
    looking.keep("frozen-overview")
    looking.page.get_by_role("link", name="See what fails").click()
    looking.see("every 15 s")
    looking.world.frozen = False
    looking.see("✔ up")


def test_a_page_turned_and_a_row_opened_have_addresses_that_survive_a_reload(looking: Looking) -> None:
    page = looking.page
    page.goto(f"{looking.url}/subscriptions?sort=name")
    looking.see("1 to 50 of 60 subscriptions")
    page.get_by_role("button", name="Page 2").click()
    looking.see("51 to 60 of 60 subscriptions")
    page.reload()
    looking.see("51 to 60 of 60 subscriptions")
    open_first_row(page)
    assert "destination=" in page.url
    page.go_back()
    looking.see("51 to 60 of 60 subscriptions")


def test_the_way_back_from_a_redrive_leads_to_the_queue(looking: Looking) -> None:
    looking.page.goto(f"{looking.url}/dead-letters?id={FULL}")
    looking.see("Redrive all")
    looking.page.get_by_role("button", name="Redrive all").click()
    looking.see("Start the redrive")
    looking.page.go_back()
    looking.see("Why they died")


def test_a_subscription_is_muted_with_a_reason_and_unmuted(looking: Looking) -> None:
    page = looking.page
    page.goto(f"{looking.url}/subscriptions?system=kafka&cluster=orders&destination=order-events-0"
              "&subscriber=service-0-0")  # fmt: skip
    page.get_by_role("button", name="Mute").click(timeout=PATIENCE)
    reason = page.get_by_role("radio", name="deployment").or_(page.get_by_role("button", name="deployment"))
    reason.click(timeout=PATIENCE)
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click(timeout=PATIENCE)
    looking.see(re.compile("until .*: deployment"))
    unmute = page.get_by_role("button", name="Unmute")
    unmute.click(timeout=PATIENCE)
    unmute.wait_for(state="detached", timeout=PATIENCE)


def open_first_row(page: Page) -> None:
    """Click the name in the first row; the table is a picture that takes clicks only once it is drawn."""
    table = page.locator(".stDataFrame .dvn-scroller").first
    for _ in range(10):
        table.click(position={"x": 60, "y": 55})
        try:
            page.get_by_text("All subscriptions").wait_for(timeout=3_000)
        except TimeoutError:
            continue
        return
    raise AssertionError("no subscription opens")


def test_pages_of_every_make_pass_an_accessibility_scan(looking: Looking) -> None:
    detail = "/subscriptions?system=kafka&cluster=orders&destination=order-events-0&subscriber=service-0-0"
    places: dict[str, tuple[Theme, str]] = {
        "/": ("dark", "Objectives and what is left"),
        detail: ("light", "The furthest behind"),
        "/alerts?runbook=EventflowWatchdog": ("light", "How to mend it"),
        "/clusters": ("dark", "All of it"),
        "/subscriptions?status=ok&bus=kafka": ("dark", "20 subscriptions"),
        f"/redrive?dead_letters={FULL}": ("dark", "Start the redrive"),
    }
    found = {}
    for path, (theme, text) in places.items():
        looking.page.emulate_media(color_scheme=theme)
        looking.page.goto(looking.url + path)
        looking.see(text)
        found[path] = scan(looking.page)
    looking.page.emulate_media(color_scheme="light")
    assert {path: rules for path, rules in found.items() if rules} == {}


def scan(page: Page) -> list[tuple[str, str]]:
    """Return the serious findings, each with the first element it is about.

    What is being redrawn is paler for a moment, so that a finding has to be there three times.
    """
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
    for _ in range(3):
        violations = Axe().run(page, options=options).response["violations"]
        serious = [it for it in violations if it["impact"] in ("serious", "critical")]
        found = [(it["id"], it["nodes"][0]["html"][:200]) for it in serious if it["id"] not in KNOWN_OF_STREAMLIT]
        if not found:
            break
    return found


def test_names_that_try_to_act_do_nothing_and_nobody_gets_in_without_a_token(
    looking: Looking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = looking.page.context.browser
    assert browser is not None
    with (
        serving(World(36, hostile=True).make_app(tmp_path, guarded()), monkeypatch) as (url, _),
        dashboard(url, free_port()) as address,
        browser.new_page(viewport={"width": 420, "height": 900}, color_scheme="dark") as page,
    ):
        acted: list[str] = []
        page.on("dialog", lambda dialog: acted.append(dialog.message))
        page.goto(f"{address}/event-flow?within=orders")
        assert "/sign-in" in page.url
        page.get_by_label("Token").fill("viewer")
        page.get_by_role("button", name="Sign in").click()
        page.locator("svg .node").first.wait_for(timeout=PATIENCE)
        assert page.url == f"{address}/event-flow?within=orders"
        page.goto(address)
        page.get_by_text("**bold** `code` $x^2$").first.wait_for(timeout=PATIENCE)
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / "hostile-narrow.png")
        main = page.locator(".stMain")
        assert main.locator("img").count() == 0
        hrefs = [str(it.get_attribute("href")) for it in main.locator("a").all()]
        ours = ("#", "subscriptions", "dead-letters", "redrive", "clusters")
        assert hrefs
        assert [href for href in hrefs if not href.startswith(ours)] == []
        assert acted == []


def test_a_view_that_is_gone_is_not_shown_as_if_it_were_there(looking: Looking) -> None:
    whole = looking.world.refresh

    def refresh() -> None:
        whole()
        looking.world.views = [
            ClusterView(it.health) if it.health.kind == "kafka" else it for it in looking.world.views
        ]

    looking.world.refresh = refresh  # type: ignore[method-assign]
    looking.page.goto(f"{looking.url}/subscriptions?system=kafka&cluster=orders&destination=order-events-0"
                      "&subscriber=service-0-0")  # fmt: skip
    looking.see("there is no subscription")
    looking.world.refresh = whole  # type: ignore[method-assign]


def test_a_page_that_is_opened_while_the_monitor_is_away_is_drawn_when_it_is_back(
    looking: Looking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, port = looking.page.context.browser, free_port()
    assert browser is not None
    world = World(6)
    app = world.make_app(tmp_path)
    add_letters(app, world)
    with dashboard(f"http://127.0.0.1:{port}", free_port()) as address, browser.new_page() as page:
        page.goto(f"{address}/dead-letters?id={FULL}")
        page.get_by_text("Waiting for the monitor").first.wait_for(timeout=PATIENCE)
        with serving(app, monkeypatch, port):
            page.get_by_text("Why they died").first.wait_for(timeout=PATIENCE)
            page.wait_for_function("!document.body.innerText.includes('Waiting for the monitor')", timeout=PATIENCE)
