"""The overview once in a real browser, over the API of a monitor."""

import time

import pytest

from monitor.model import Age, AgeMethod, Status
from tests.dashboards.browser import ROOT, browser_page, dashboard, free_port
from tests.dashboards.conftest import Served
from tests.unit.api.builders import dead_letters, subscription, verdict, view

PICTURES = ROOT / "artifacts" / "pictures"


@pytest.mark.parametrize(("name", "width", "dark"), [("wide", 1400, False), ("narrow", 480, True)])
def test_the_overview_is_drawn_refreshes_by_itself_and_says_when_the_monitor_is_gone(
    served: Served, name: str, width: int, dark: bool
) -> None:
    late = subscription("late", backlog_messages=12400, oldest_age=Age(185.0, AgeMethod.INTERPOLATED), consumers=2)
    stopped = verdict(Status.STOPPED, reason="nothing was committed for 10 min", since=time.time())
    served.api.views = [view([(late, stopped)], [dead_letters("late.dlq", messages=7)], last_success=time.time())]
    PICTURES.mkdir(parents=True, exist_ok=True)
    with dashboard(served.url, free_port()) as url, browser_page(width, 900, dark=dark) as page:
        page.goto(url)
        page.get_by_text("1 of 1 subscriptions need a look; 7 dead letters wait").wait_for(timeout=60_000)
        page.screenshot(path=PICTURES / f"overview-{name}.png", full_page=True)
        served.api.views = [view([subscription("late", backlog_messages=0)], last_success=time.time())]
        page.get_by_text("All 1 subscriptions keep up, and no dead letters wait").wait_for(timeout=30_000)
        served.stop()
        page.get_by_text("cannot be reached").wait_for(timeout=30_000)
