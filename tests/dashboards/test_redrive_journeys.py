"""What an operator does about dead letters, in real Chromium, on real brokers: from the overview to a verified redrive.

Clicks are counted and nothing is typed. Pictures of the way are kept under `artifacts/pictures`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, sync_playwright

from monitor.apiclient import ApiClient
from stack.state import Endpoints
from tests.dashboards.browser import CHROMIUM, FLAGS, ROOT, dashboard, free_port
from tests.dashboards.shop import BUSES, CAUSE, Shop, open_shop
from tests.integration.app.running import serving, wait_until

pytestmark = pytest.mark.timeout(600)  # it is half a minute on a machine that is not busy
PICTURES = ROOT / "artifacts" / "pictures"
ORDERS = 12
MANY_ORDERS = 60  # at one a second they outlast whatever the browsers take
PATIENCE_MILLISECONDS = 90_000


@dataclass
class Person:
    """Somebody at a browser of their own, whose clicks are counted."""

    page: Page
    clicks: int = 0

    def click(self, role: str, name: str, near: str | None = None) -> None:
        """Click a button or link with this name; with `near` the one that stands in the frame with that text."""
        target = self.page.get_by_role(role, name=name)  # type: ignore[arg-type]
        if near:
            # The innermost frame that has both; frames of Streamlit have no other mark.
            frames = self.page.locator("[data-testid=stVerticalBlock], [data-testid=stHorizontalBlock]")
            target = frames.filter(has_text=near).filter(has=target).last.get_by_role(role, name=name)  # type: ignore[arg-type]
        target.first.click()
        self.clicks += 1

    def see(self, text: str | re.Pattern[str]) -> None:
        """Wait until this stands on the page; keep a picture of what stands there instead."""
        try:
            self.page.get_by_text(text).filter(visible=True).first.wait_for()
        except TimeoutError:
            self.keep("not-seen")
            raise AssertionError(f"{text} is not seen on:\n{self.page.locator('body').inner_text()}") from None

    def keep(self, name: str) -> None:
        """Keep a picture of what is seen now."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@dataclass
class World:
    """The shop, a monitor that watches it, its dashboard, and a browser."""

    shop: Shop
    monitor: ApiClient
    url: str
    browser: Browser

    def somebody(self) -> Person:
        """Open a window of its own, as on another machine: nothing is shared with the others."""
        context: BrowserContext = self.browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        return Person(context.new_page())

    def wait_for_dead_letters(self, bus: str, number: int) -> None:
        """Wait until the monitor has seen so many dead letters on a bus."""
        id_, _ = self.shop.dead_letters(bus)

        def waiting() -> float | None:
            return next((it["messages"] for it in self.monitor.all_dead_letters() if it["id"] == id_), None)

        wait_until(f"{number} dead letters on {bus}, where there are now {waiting()}", lambda: waiting() == number)

    def wait_until_none_is_hidden(self, bus: str, number: int) -> None:
        """Wait until a plan would take so many: SQS hides for a moment what somebody has looked at."""
        id_, _ = self.shop.dead_letters(bus)
        wait_until(f"{number} to be had on {bus}", lambda: self.monitor.plan_redrive(id_)["count"] == number)


@pytest.fixture(scope="module")
def world(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run all of it once for the journeys."""
    folder = tmp_path_factory.mktemp("journeys")
    with (
        open_shop(endpoints, folder) as shop,
        serving(folder, shop.config) as monitor,
        ApiClient(monitor.url) as client,
        dashboard(monitor.url, free_port()) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        monitor.wait_until_ready()
        yield World(shop, client, url, browser)
        browser.close()


def test_from_the_overview_to_a_verified_redrive_in_five_clicks_on_every_bus(world: World) -> None:
    shop = world.shop
    shop.mail_works = False
    shop.order(ORDERS, *BUSES)
    for bus in BUSES:
        world.wait_for_dead_letters(bus, ORDERS)
    people = {bus: world.somebody() for bus in BUSES}
    for bus, person in people.items():
        find_out(world, person, bus)
    shop.mail_works = True  # the fix
    for bus, person in people.items():
        world.wait_until_none_is_hidden(bus, ORDERS)
        redrive(person, bus)
    for bus, person in people.items():
        person.see(f"Done: {ORDERS} of {ORDERS} were sent back, and none came back.")
        person.see(re.compile("Nothing waits at the target any more|were processed by their consumers"))
        person.keep(f"redrive-{bus}-4-report")
        assert person.clicks <= 5, bus
        wait_until(f"all processed on {bus}", lambda bus=bus: shop.processed(bus) == ORDERS)  # type: ignore[misc]
        person.page.context.close()


def find_out(world: World, person: Person, bus: str) -> None:
    """Find the queue, why its messages died, and since when."""
    _, queue = world.shop.dead_letters(bus)
    person.page.goto(world.url)
    person.see(queue)
    person.keep(f"redrive-{bus}-1-overview")
    person.click("link", "See why they died", near=queue)
    if bus != "kafka":
        person.click("button", "Look at the messages")
    if bus == "aws":
        person.see("The messages do not tell why they died")  # SQS has no place for a reason
    else:
        person.see(CAUSE)
    since = "when is not told by this bus" if bus == "rabbitmq" else re.compile(r"(first|at) \d\d:\d\d:\d\d")
    person.see(since)
    person.keep(f"redrive-{bus}-2-causes")


def redrive(person: Person, bus: str) -> None:
    """Read the plan, and start it."""
    person.click("button", "Redrive all")
    person.see("Exactly once" if bus == "kafka" else "At least once")
    person.see("the first 10 go ahead")
    person.keep(f"redrive-{bus}-3-plan")
    person.click("button", "Start the redrive")
    person.see(re.compile(r"^Redrive: "))
    person.page.wait_for_url("**/redrive?job=*")


def test_an_operator_loses_the_connection_in_the_middle_and_goes_on_at_another_machine(world: World) -> None:
    shop, before = world.shop, world.shop.processed("kafka")
    shop.mail_works = False
    shop.order(MANY_ORDERS, "kafka")
    world.wait_for_dead_letters("kafka", MANY_ORDERS)
    shop.mail_works = True
    id_, queue = shop.dead_letters("kafka")
    first = world.somebody()
    first.page.goto(f"{world.url}/redrive?dead_letters={id_}&canary=0&rate=1")
    first.click("button", "Start the redrive")
    first.see(re.compile(rf"[1-9]\d* of {MANY_ORDERS} sent"))
    address = first.page.url
    first.page.reload()
    first.see(re.compile(rf"of {MANY_ORDERS} sent"))
    assert first.page.url == address
    first.page.context.set_offline(True)
    first.page.context.close()

    second = world.somebody()
    second.page.goto(f"{world.url}/redrive")
    second.see("Under way")
    second.click("button", "Open", near=queue)
    second.see("running")
    second.keep("reconnected-1-running")
    second.click("radio", "full speed")
    second.see(f"Done: {MANY_ORDERS} of {MANY_ORDERS} were sent back")
    second.keep("reconnected-2-report")
    assert second.page.url == address
    second.page.context.close()
    wait_until("all processed once", lambda: shop.processed("kafka") == before + MANY_ORDERS)
    (job,) = [it for it in world.monitor.redrives()["items"] if it["id"] in address]
    assert (job["counts"]["sent"], job["rate"]) == (MANY_ORDERS, None)
