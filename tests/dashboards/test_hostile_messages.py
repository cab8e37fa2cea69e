"""Messages that try to act, in real Chromium, over a fake API: nothing of them becomes part of the page."""

import os
from typing import Any

from playwright.sync_api import Dialog

from tests.dashboards.browser import ROOT, browser_page, dashboard, free_port
from tests.dashboards.fake_monitor import FakeMonitor, FakeQueue, make_group, make_letter, make_queue

PICTURES = ROOT / "artifacts" / "pictures"
ACTS = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><a href='https://evil.example'>a</a> **bold** "
    "[click](https://evil.example) https://evil.example me@evil.example :material/home: :red[x] $x$ \x1b[31m \u202etxet"
)


def hostile(number: int) -> dict[str, Any]:
    header = {"name": ACTS, "value": ACTS, "encoding": "utf-8", "kind": ACTS}
    trace = {"name": "x-stacktrace", "value": ACTS, "encoding": "utf-8", "kind": None}
    return make_letter(number, key=ACTS, value=ACTS, exception=f"a.{ACTS}", exception_message=ACTS, origin=ACTS,
                       headers=[header, trace])  # fmt: skip


def test_nothing_of_a_hostile_message_acts_on_any_page(fake: FakeMonitor) -> None:
    change = {"at": 0.0, "before_seconds": 1.0, "what": "mark", "subject": ACTS, "text": ACTS}
    advice = {"action": "look_first", "reason": ACTS}
    group = make_group(exception=ACTS, message=ACTS, origins=[ACTS], changes=[change], consumers=[ACTS], advice=advice)
    fake.add(FakeQueue(make_queue("hostile", 3, origin=ACTS), hostile, groups=[group]))
    fake.plan_changes = {"warnings": [ACTS], "also_receives": [ACTS], "target": ACTS, "ordering": ACTS}
    dialogs: list[Dialog] = []
    with dashboard(os.environ["EVENTFLOW_URL"], free_port()) as url, browser_page(420, 2400) as page:
        page.on("dialog", lambda dialog: dialogs.append(dialog))
        for address, seen in (
            ("dead-letters?id=orders/hostile&message=0:1", "Message 0:1"),
            ("redrive?dead_letters=orders/hostile", "In detail"),
        ):
            page.goto(f"{url}/{address}")
            page.get_by_text(seen).first.wait_for(timeout=60_000)
            for tab in page.get_by_role("tab").all():
                tab.click()
            for selector in (
                "a[href*='evil']",
                "img[src='x']",
                "[data-testid=stMain] script",
                "strong:text-is('bold')",
                ".katex",
            ):
                found = [it.evaluate("it => it.outerHTML") for it in page.locator(selector).all()]
                assert found == [], f"on {address}"
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{address} is wider than the window"
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / f"hostile-{address.partition('?')[0]}.png")
        page.get_by_role("button", name="Start the redrive").click()
        page.get_by_text("of 3 sent").first.wait_for(timeout=60_000)
        assert page.locator("a[href*='evil'], img[src='x']").count() == 0
    assert dialogs == []
