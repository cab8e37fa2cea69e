"""The page of the event catalog in each of its states, and what the page of the flow says of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from dashboards.components.message import read_body
from monitor.api.redrive_items import LetterItem
from monitor.catalog.loading import load_catalog, make_catalog
from monitor.catalog.model import Catalog
from monitor.catalog.reading import Document
from tests.dashboards.conftest import serving
from tests.dashboards.fake_monitor import FakeMonitor, FakeQueue, make_group, make_letter, make_queue
from tests.dashboards.pages import click, draw, texts
from tests.dashboards.world import HOSTILE, World

SHIPPED = Path(__file__).parents[2] / "config" / "catalog.yml"


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Give what serves a world with a catalog, and returns what ends its monitor."""
    open_ = []

    def serve(catalog: Catalog | None) -> Any:
        served = serving(World(6, catalog=catalog).make_app(tmp_path), monkeypatch)
        open_.append(served)
        return served.__enter__()[1]

    yield serve
    for it in open_:
        it.__exit__(None, None, None)


def test_events_are_listed_with_versions_and_who_sends_and_receives_them(show: Any) -> None:
    show(load_catalog(SHIPPED))
    page = draw("catalog")
    (table,) = page.dataframe
    rows = table.value.to_dict("records")
    assert [(it["Event"], it["Version"], it["Sent by"], it["Received by"]) for it in rows] == [
        ("OrderCreated", "1", "orders", "notification, inventory"),
        ("OrderCreated", "2", "nobody", "nobody"),
        ("PaymentProcessed", "1", "payment", "notification"),
    ]
    assert rows[1]["Against the version before"].startswith("new readers ✖, old readers ✖: data.customer")
    said = texts(page)
    assert "order-events-0 is seen, read by service-0-0" in said
    assert "notification-queue is written down as notificationQueueOnRabbit, and is not seen in mail" in said
    assert len(page.get("graphviz_chart")) == 1


def test_a_version_is_shown_by_its_address_with_schema_and_example(show: Any) -> None:
    show(load_catalog(SHIPPED))
    said = texts(draw("catalog", event="OrderCreated 2"))
    assert "As 1, with customer and total as objects of their own" in said
    assert '"x-renamed-from": "/data/customer_email"' in said
    assert '"email": "ada@example.org"' in said
    assert "✖ data.customer_email: is needed, and was not written" in said


def test_a_search_that_finds_nothing_says_so(show: Any) -> None:
    show(load_catalog(SHIPPED))
    assert "No event fits" in texts(draw("catalog", q="parcel"))


def test_without_a_catalog_the_page_says_how_to_begin(show: Any) -> None:
    show(None)
    said = texts(draw("catalog"))
    assert "No event catalog is configured" in said
    assert "eventflow catalog draft" in said


def test_while_the_monitor_is_away_the_page_waits(show: Any) -> None:
    show(load_catalog(SHIPPED))()
    assert "Waiting for the monitor" in texts(draw("catalog"))


def test_the_page_of_the_flow_tells_how_many_differences_there_are(show: Any) -> None:
    show(load_catalog(SHIPPED))
    links = "".join(str(it.proto.label) for it in draw("event-flow").get("page_link")).replace("\\", "")
    assert "differences between the catalog and what is seen" in links


def test_the_page_of_the_flow_says_nothing_of_a_catalog_that_is_not_there(show: Any) -> None:
    show(None)
    page = draw("event-flow")
    assert not page.error
    assert "catalog" not in "".join(str(it.proto.label) for it in page.get("page_link"))


def test_names_in_a_catalog_are_texts_whatever_they_hold(show: Any) -> None:
    service, *_ = HOSTILE
    text = (
        "asyncapi: 3.0.0\ninfo: {title: x, version: '1'}\nchannels: {c: {messages: {m: {name: '**bold**'}}}}\n"
        f"operations: {{o: {{action: send, x-service: '{service}', channel: {{$ref: '#/channels/c'}}}}}}\n"
    )
    show(make_catalog(Document(text, "catalog.yml")))
    page = draw("catalog", event="**bold**")
    assert "<img" not in "".join(str(it.proto.body) for it in page.get("html"))
    assert any("\\*\\*bold\\*\\*" in str(it.value) for it in page.subheader)


HELD = {
    "event": "OrderCreated", "wrote": "2", "told_by": "its headers", "read_as": "1", "known": ["1"], "fits": "2",
    "violations": [{"field": "data.customer_email", "expected": "a value", "found": "nothing"}],
    "patch": [{"op": "move", "from": "/data/customer/email", "path": "/data/customer_email"}],
    "looked_at": 20, "notes": [],
}  # fmt: skip
IMPACT = {
    "services": [{"name": "inventory", "owner": "warehouse"}], "events": [{"name": "OrderCreated", "messages": 32}],
    "state": "waiting", "messages": 32, "lost_at": None,
}  # fmt: skip


def test_a_cause_is_shown_with_what_the_catalog_knows_and_its_patch_is_one_click_away(fake: FakeMonitor) -> None:
    advice = {"action": "transform_and_redrive", "reason": "the catalog knows how"}
    group = make_group(schema=HELD, impact=IMPACT, advice=advice)
    item = make_queue()
    fake.add(FakeQueue(item, make_letter, groups=[group]))
    page = draw("dead-letters", id=item["id"])
    said = texts(page)
    assert "data.customer_email: expected a value, found nothing; the newest version that fits is 2" in said
    assert "32 OrderCreated wait for inventory (warehouse)" in said
    assert "⇄ Redrive with the patch: the catalog knows how" in said
    click(page, "Redrive with the patch")
    (plan,) = fake.plans.values()
    assert plan["request"]["patch"] == HELD["patch"]


def test_a_decoded_body_is_shown_as_what_it_holds(fake: FakeMonitor) -> None:
    letter = make_letter(0)
    decoded = {**letter, "value": "AAAAAAfIAQ==", "value_encoding": "base64", "value_decoded": '{"weight_grams": 100}',
               "value_schema": "schema 7 of the registry"}  # fmt: skip
    shown = read_body(cast(LetterItem, decoded))
    assert (shown.text, shown.language) == ('{\n  "weight_grams": 100\n}', "json")
    assert "Decoded by schema 7 of the registry" in shown.note
    left = {**decoded, "value_decoded": None, "value_note": "the registry has no schema 7"}
    assert "Not decoded: the registry has no schema 7." in read_body(cast(LetterItem, left)).note
