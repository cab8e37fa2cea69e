"""The reading pages in each of their states, over the real API of a made-up world."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.components.text import visible
from monitor.config import Server
from tests.dashboards.conftest import serving
from tests.dashboards.pages import checked, click, draw, texts
from tests.dashboards.world import HOSTILE, World
from tests.unit.api.builders import guarded

PAGES = ("overview", "subscriptions", "throughput", "event-flow", "alerts", "clusters", "audit")
STOPPED = {"system": "kafka", "cluster": "orders", "destination": "order-events-0", "subscriber": "service-2-2"}


@dataclass
class Shown:
    """A world that pages look at; `leave` ends its monitor."""

    world: World
    url: str
    leave: Any


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Give what serves a world, and points the pages at it."""
    open_ = []

    def serve(world: World, server: Server | None = None) -> Shown:
        served = serving(world.make_app(tmp_path, server), monkeypatch)
        open_.append(served)
        return Shown(world, *served.__enter__())

    yield serve
    for it in open_:
        it.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("overview", ["15 of 60 subscriptions need a look; 3,729 dead letters wait", "See who consumed it"]),
        ("subscriptions", ["1 to 50 of 60 subscriptions"]),
        ("throughput", ["invoices-0", "All, now"]),
        ("event-flow", ["The worst 40 of 60 subscriptions", "dashed: where dead letters go"]),
        ("alerts", ["firing", "EventflowSubscriptionStopped", "neither Prometheus nor Alertmanager is configured"]),
        ("clusters", ["Eventflow Monitor 0.1.0", "240 of 240 partitions or queues read", "made up"]),
        ("audit", []),
    ],
)
def test_each_page_shows_what_there_is_with_the_age_of_the_data(show: Any, path: str, told: list[str]) -> None:
    show(World(60))
    page = draw(path)
    shown = texts(page)
    shown += "".join(str(it.proto.label) for it in page.get("page_link"))
    assert [text for text in (*told, "Data:") if text not in shown] == []
    assert re.search(r"orders \d+ s ago", shown)
    assert not page.error


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("overview", ["All 0 subscriptions keep up", "No objective is set", "No dead-letter queue"]),
        ("subscriptions", ["No subscription has been seen yet", "The page Monitor says what is read"]),
        ("throughput", ["Nothing is produced or consumed here"]),
        ("event-flow", ["Nothing to draw"]),
        ("alerts", ["Nothing fires and nothing is pending"]),
    ],
)
def test_each_page_says_that_there_is_nothing_and_why(show: Any, path: str, told: list[str]) -> None:
    show(World(0))
    shown = texts(draw(path))
    assert [text for text in told if text not in shown] == []


@pytest.mark.parametrize("path", PAGES)
def test_each_page_waits_for_a_monitor_that_is_away_and_heals_by_itself(
    show: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = show(World(6))
    monkeypatch.setenv("EVENTFLOW_URL", "http://127.0.0.1:9")
    page = draw(path)
    assert "✖ monitor away" in texts(page)
    assert "Waiting for the monitor: the monitor at http://127.0.0.1:9 cannot be reached" in texts(page)
    assert "heals by itself" in texts(page)
    monkeypatch.setenv("EVENTFLOW_URL", shown.url)
    healed = checked(page.run())
    assert "away" not in texts(healed)
    assert not healed.error


@pytest.mark.parametrize("path", ["overview", "subscriptions", "event-flow", "alerts"])
def test_what_was_seen_stays_while_the_monitor_is_away_and_says_that_it_is_old(show: Any, path: str) -> None:
    shown = show(World(6))
    page = draw(path)
    before = (len(page.dataframe), len(page.markdown))
    shown.leave()
    page = checked(page.run())
    assert "◷ old" in texts(page)
    assert "✖ monitor away" in texts(page)
    assert not page.error
    assert len(page.dataframe) == before[0]


@pytest.mark.parametrize("path", ["overview", "subscriptions"])
def test_each_page_says_to_whom_it_does_not_know_to_sign_in(show: Any, path: str) -> None:
    show(World(6), guarded())
    assert "You are not signed in" in texts(draw(path))


@pytest.mark.parametrize("path", ["overview", "alerts"])
def test_each_page_says_that_the_monitor_fails(show: Any, path: str) -> None:
    world = show(World(6)).world
    world.views = None
    shown = texts(draw(path))
    assert "The monitor could not answer: something failed inside the monitor" in shown
    assert "✖ refused" in shown


@pytest.mark.parametrize("path", PAGES)
def test_names_that_try_to_act_stay_text_everywhere(show: Any, path: str) -> None:
    show(World(36, hostile=True))
    page = draw(path)
    drawn = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error, *page.subheader]
    raw = [str(it.value) for it in drawn] + [str(it.proto.label) for it in page.get("page_link")]
    assert [(name, text) for name in HOSTILE for text in raw if name in text] == []
    assert not any(character in text for text in raw for character in "\x1b\x00\u202e")
    cells = [str(value) for table in page.dataframe for value in table.value.to_numpy().ravel()]
    assert [text for text in cells for character in "\x1b\x00\u202e" if character in text] == []


def test_a_cluster_that_does_not_answer_is_told_with_what_is_still_known(show: Any) -> None:
    show(World(12, frozen=True))
    overview = texts(draw("overview"))
    assert "orders cannot be read" in overview
    assert "✖ down" in overview
    assert "timeout: no answer within 5 s to describing groups" in overview
    monitor = draw("clusters", cluster="orders")
    (errors,) = [it.value for it in monitor.dataframe if "What to do" in it.value]
    assert errors["What to do"][0] == "It did not answer in time: see whether it is overloaded or frozen."
    assert "There is no cluster elsewhere" in texts(draw("clusters", cluster="elsewhere"))


def test_the_table_is_filtered_sorted_and_paged_by_the_address(show: Any) -> None:
    show(World(300))
    page = draw("subscriptions", status=["stopped"], bus=["kafka"], within=["orders"], sort="name", q="service")
    (table,) = [it.value for it in page.dataframe]
    assert set(table["Status"]) == {"■ stopped"}
    assert list(table["Subscription"]) == sorted(table["Subscription"])
    assert table["Waiting"][0] > 12_000
    paged = draw("subscriptions", page="3")
    assert "101 to 150 of 300 subscriptions" in texts(paged)
    assert "251 to 300 of 300 subscriptions" in texts(draw("subscriptions", page="99"))
    assert "Nothing fits these filters" in texts(draw("subscriptions", q="no such name"))


def test_the_map_shows_which_topics_feed_which_queues_and_where_dead_letters_go(show: Any) -> None:
    show(World(36))
    (drawn,) = [it.proto.spec for it in draw("event-flow", within=["aws"]).get("graphviz_chart")]
    assert '"aws/invoice-events" -> "aws/invoices-0"' in drawn
    drawn = "".join(it.proto.spec for it in draw("event-flow", within=["mail"]).get("graphviz_chart"))
    assert '"mail/mailings-0" -> "mail/payments.dlq/dead"' in drawn
    assert "SNS" not in drawn


def subscription(**parameters: str) -> AppTest:
    return draw("subscriptions", **{**STOPPED, **parameters})


def test_one_subscription_shows_since_when_and_what_changed_when_it_broke(show: Any) -> None:
    show(World(12))
    page = subscription()
    shown = texts(page)
    assert "■ stopped" in shown
    assert "service-2-2 ← order-events-0" in shown
    assert "Behind 12 min" in shown
    assert "Drains in not at this rate" in shown
    assert "consumers: 3 → 0" in shown
    assert "going out: " in shown
    assert "deploy service-2 v42, " in shown
    hot = next(it.value for it in page.dataframe if "Partition" in it.value)
    assert (hot["Partition"][0], hot["Waiting"][0]) == (7, 9000)


def test_who_consumes_is_told_with_what_each_owns(show: Any) -> None:
    show(World(12))
    assert "Nobody is there right now" in texts(subscription())
    page = subscription(subscriber="service-0-0")
    members = next(it.value for it in page.dataframe if "Member" in it.value)
    assert (members["Client"][1], members["Owns partitions"][1]) == ("client-1 <b>", "4, 5, 6, 7")
    place = {"system": "sqs", "cluster": "aws", "destination": "invoices-0", "subscriber": "invoices-0"}
    assert "This bus does not tell who consumes" in texts(draw("subscriptions", **place))


def test_what_could_not_be_read_of_a_subscription_is_told_and_not_zero(show: Any) -> None:
    show(World(60))
    shown = texts(subscription(destination="order-events-2", subscriber="service-7-7"))
    assert "3 of 12 partitions could not be read" in shown
    assert "Waiting not known" in shown


def test_a_subscription_that_is_not_there_is_told(show: Any) -> None:
    show(World(12))
    assert "there is no subscription" in texts(subscription(subscriber="nobody"))


def test_it_is_muted_with_a_reason_shown_as_muted_and_unmuted(show: Any) -> None:
    show(World(12))
    page = subscription()
    assert "Say why" in texts(click(page, "Mute"))
    next(it for it in page.text_input if it.label == "Or in your own words").input("deploy <b>now</b>")
    page = click(page, "Mute")
    assert "**muted** until" in texts(page)
    assert "deploy <b>now</b>" in texts(page)
    assert "deploy <b>" not in "".join(it.value for it in page.markdown)
    table = draw("subscriptions", q="service-2-2").dataframe[0].value
    assert (table["Status"][0], table["Alerts"][0]) == ("■ stopped (muted)", "Unmute")
    assert [it.label for it in draw("overview").expander] == ["1 muted"]
    assert "**muted** until" not in texts(click(page, "Unmute"))


def test_a_click_in_the_table_asks_for_the_reason_over_the_page(show: Any) -> None:
    show(World(12))
    page = draw("subscriptions")
    page.session_state["mute asked for"] = ("orders/service-2-2/order-events-0",)  # as the click leaves it
    page = checked(page.run())
    assert "orders/service-2-2/order-events-0** wakes nobody for a while" in texts(page)
    assert "Or in your own words" in [it.label for it in page.text_input]
    assert set(page.dataframe[0].value["Alerts"]) == {"Mute"}
    assert "wakes nobody for a while" not in texts(checked(page.run())), "it is asked once"


def test_a_viewer_is_offered_nothing_that_only_operators_may(show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    show(World(12), guarded())
    monkeypatch.setenv("EVENTFLOW_TOKEN", "viewer")
    assert "Mute" not in [it.label for it in subscription().button]
    monkeypatch.setenv("EVENTFLOW_TOKEN", "operator")
    assert "Mute" in [it.label for it in subscription().button]


def test_a_runbook_stands_beside_the_alerts_by_its_address(show: Any) -> None:
    show(World(12))
    shown = texts(draw("alerts", runbook="EventflowSubscriptionStopped"))
    assert "How to mend it" in shown
    assert "EventflowSubscriptionStopped" in shown
    assert "there is no runbook" in texts(draw("alerts", runbook="Nothing"))


def test_who_did_what_is_told_without_what_could_act(show: Any) -> None:
    show(World(6))
    table = draw("audit").dataframe[0].value
    assert list(table["Outcome"]) == ["✔ allowed", "✖ refused", "✔ allowed"]
    assert table["Who"][0] == visible("alice <b>")
    assert table["More"][0] == "reason: deploy; subject: orders/*"


def test_objectives_come_with_what_is_left_of_their_budgets(show: Any) -> None:
    show(World(60))
    table = next(it.value for it in draw("overview").dataframe if "Budget left" in it.value)
    assert table["Overdrawn"][0] == "✖ overdrawn"
    assert 0 < table["Budget left"].max() < 1
