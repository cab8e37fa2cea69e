"""The page of dead letters in each of its states, over a fake API."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from dashboards.components.groups import ADVICE, CERTAINTIES, KINDS
from dashboards.components.queues import keep_order
from dashboards.components.status import say_problem
from monitor.analysis.advice import Advised
from monitor.analysis.faults import Certainty, Kind
from monitor.api.items import CollectorItem, DeadLetterItem, SubscriptionItem
from monitor.api.redrive_items import ArchiveItem, JobItem, LetterGroup, LetterItem, PlanItem, ReportItem
from tests.dashboards.fake_monitor import (
    FakeMonitor,
    FakeQueue,
    Refused,
    make_archive,
    make_collector,
    make_group,
    make_job,
    make_letter,
    make_plan,
    make_queue,
    make_report,
    make_subscription,
)
from tests.dashboards.pages import click, draw, labels, query, texts

QUEUE = "orders/order-events.dlq"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> **bold** [click](http://evil.example) :material/home: $x$ "
    "\x1b[31mred\x07 \u202etxet"
)
HARM = "Looking raises the receive count of every message."


def add_queue(fake: FakeMonitor, messages: int = 32, **more: Any) -> FakeQueue:
    return fake.add(FakeQueue(make_queue(messages=messages), make_letter, **more))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (DeadLetterItem, make_queue()),
        (LetterItem, make_letter()),
        (LetterGroup, make_group()),
        (PlanItem, make_plan(make_queue())),
        (JobItem, make_job(make_plan(make_queue()))),
        (ReportItem, make_report(make_job(make_plan(make_queue())))),
        (ArchiveItem, make_archive()),
    ],
)
def test_the_fake_tells_what_the_api_tells(shape: Any, told: dict[str, Any]) -> None:
    assert set(TypeAdapter(shape).validate_python(told)) == set(told)


@pytest.mark.parametrize(
    ("shape", "told"), [(SubscriptionItem, make_subscription()), (CollectorItem, make_collector())]
)
def test_the_fake_tells_nothing_that_the_api_does_not(shape: Any, told: dict[str, Any]) -> None:
    assert set(told) <= set(shape.__annotations__)


def test_what_waits_comes_with_age_loss_origin_and_set_up_mistakes(fake: FakeMonitor) -> None:
    add_queue(fake)
    fake.add(FakeQueue(make_queue("empty.dlq", 0, problems=["retention_too_short"]), make_letter))
    page = draw("dead-letters")
    told = texts(page)
    assert "order-events.dlq" in told
    assert re.search(r"\*\*32\*\* waiting · oldest \*\*\d min\*\* · first lost \*\*in 1 h 5\d min\*\*", told)
    assert "From order-events (headers say so)" in told
    (empty,) = (table.value for table in page.dataframe)
    assert (empty["Queue"][0], empty["Set-up"][0]) == ("empty.dlq", f"▲ {say_problem('retention_too_short')}")


def test_without_queues_the_page_says_how_they_are_found(fake: FakeMonitor) -> None:
    assert "No dead-letter queue has been found" in texts(draw("dead-letters"))


def test_a_search_that_finds_nothing_says_so_and_stays_in_the_address(fake: FakeMonitor) -> None:
    add_queue(fake)
    page = draw("dead-letters")
    page.text_input[0].set_value("absent").run()
    assert query(page) == {"q": "absent"}
    assert "No dead-letter queue fits these filters" in texts(page)


def test_a_viewer_is_offered_nothing_that_acts(fake: FakeMonitor) -> None:
    fake.role = "viewer"
    add_queue(fake)
    assert "Redrive" not in labels(draw("dead-letters"))
    page = draw("dead-letters", id=QUEUE)
    assert not {"Redrive all", "Redrive these", "Set aside", "Remove all for good"} & set(labels(page))
    assert "Redrive all that fit" not in labels(draw("dead-letters", id=QUEUE, find="x"))


def test_an_alert_leads_to_its_queue_by_its_labels(fake: FakeMonitor) -> None:
    add_queue(fake)
    assert "Why they died" in texts(draw("dead-letters", system="kafka", cluster="orders", queue="order-events.dlq"))


def test_a_queue_that_has_gone_is_said(fake: FakeMonitor) -> None:
    assert "there is no dead-letter queue" in texts(draw("dead-letters", id="orders/gone"))


def test_causes_come_with_numbers_and_since_when(fake: FakeMonitor) -> None:
    add_queue(fake, groups=[make_group(messages=24), make_group("g2", 8, exception=None, message=None, first_at=None)])
    told = texts(draw("dead-letters", id=QUEUE))
    assert "MissingField: notification: customer_email is missing" in told
    assert re.search(r"24 \(75%\) · first \d\d:\d\d:\d\d, last \d\d:\d\d:\d\d \(\d min ago\) · from order-events", told)
    assert "The messages do not tell why they died" in told
    assert "8 (25%) · when is not told by this bus" in told


def test_a_cause_says_what_to_do_who_was_involved_and_what_changed(fake: FakeMonitor) -> None:
    change = {"at": 0.0, "before_seconds": 120.0, "what": "mark", "subject": "deploy", "text": "checkout 2.3 deployed"}
    producers = [{"name": "checkout", "version": "2.3", "messages": 32}]
    add_queue(fake, groups=[make_group(changes=[change], producers=producers, came_back=3, certainty="likely")])
    told = texts(draw("dead-letters", id=QUEUE))
    assert ":gray-badge[likely breaks the schema]" in told
    assert "⚒ Redrive after a fix: it fails the same way until it is mended" in told
    assert "failed at notification-group · made by checkout 2.3 · 3 had been redriven before" in told
    assert "2 min before the first: checkout 2.3 deployed" in told


def test_every_kind_of_fault_and_every_advice_has_its_words() -> None:
    assert set(KINDS) == set(Kind)
    assert set(CERTAINTIES) == set(Certainty)
    assert set(ADVICE) == set(Advised)


def test_a_million_messages_are_looked_at_in_part_and_that_is_said(fake: FakeMonitor) -> None:
    add_queue(fake, messages=1_000_000)
    page = draw("dead-letters", id=QUEUE)
    assert "Only the first 5,000 of 1,000,000 messages were looked at" in texts(page)
    assert len(page.dataframe[0].value) == 50
    page = click(page, "Next page")
    assert page.dataframe[0].value["Position"][0] == "0:50"
    assert query(page) == {"id": QUEUE, "cursor": "0:50"}
    assert click(page, "Previous page").dataframe[0].value["Position"][0] == "0:0"


def test_a_redraw_does_not_look_again(fake: FakeMonitor) -> None:
    add_queue(fake)
    draw("dead-letters", id=QUEUE).run()
    assert len(fake.calls(f"GET /dead-letters/{QUEUE}/groups")) == 1
    assert len(fake.calls(f"GET /dead-letters/{QUEUE}/messages?limit=50")) == 1


def test_where_looking_harms_nothing_is_looked_at_before_one_agrees(fake: FakeMonitor) -> None:
    add_queue(fake, warning=HARM)
    page = draw("dead-letters", id=QUEUE)
    assert HARM in texts(page)
    assert fake.calls(f"GET /dead-letters/{QUEUE}/") == [f"GET /dead-letters/{QUEUE}/messages?limit=0"]
    page = click(page, "Look at the messages")
    assert HARM in texts(page)
    assert len(page.dataframe[0].value) == 32


def test_where_looking_is_refused_the_reason_stands_there_and_a_redrive_is_still_offered(fake: FakeMonitor) -> None:
    add_queue(fake, refusal=Refused(502, "broker-failed", "the next delivery could remove a message"))
    page = draw("dead-letters", id=QUEUE)
    assert "Looking is refused here: the next delivery could remove a message" in texts(page)
    assert "Redrive all" in labels(page)


def test_a_search_for_text_goes_on_over_pages_and_can_be_redriven(fake: FakeMonitor) -> None:
    add_queue(fake, messages=1200)
    page = draw("dead-letters", id=QUEUE, find="it's `x`")
    (first, *others) = fake.calls(f"GET /dead-letters/{QUEUE}/messages?limit=500")
    assert len(others) == 2
    assert "select=contains" in first
    page = click(page, "Redrive all that fit")
    assert "contains(text" in fake.plans["plan-1"]["request"]["select"]


def test_a_mistake_in_an_expression_is_told_with_its_position(fake: FakeMonitor) -> None:
    add_queue(fake)
    fake.refusals[f"GET /dead-letters/{QUEUE}/messages"] = Refused(400, "bad-request", "select: at position 6: unknown")
    assert "select: at position 6: unknown" in texts(draw("dead-letters", id=QUEUE, select="body.["))


def test_examples_fit_what_lies_there_and_filter_with_a_click(fake: FakeMonitor) -> None:
    add_queue(fake)
    page = click(draw("dead-letters", id=QUEUE), "died of MissingField")
    expression = 'exception == `"shop.events.MissingField"`'
    assert query(page)["select"] == expression
    assert expression in [it.value for it in page.text_input]
    page = click(page, next(it for it in labels(page) if it.startswith("Only: ")))
    assert query(page) == {"id": QUEUE}
    assert expression not in [it.value for it in page.text_input]


def test_one_cause_shows_its_messages_and_is_redriven_by_its_id(fake: FakeMonitor) -> None:
    add_queue(fake)
    page = click(draw("dead-letters", id=QUEUE), "Messages")
    assert query(page) == {"id": QUEUE, "group": "g1"}
    assert "Only: MissingField: notification: customer_email is missing" in " ".join(labels(page)).replace("\\", "")
    click(page, "Redrive these")
    assert fake.plans["plan-1"]["request"]["group"] == "g1"


def test_a_cause_that_is_better_set_aside_can_be(fake: FakeMonitor) -> None:
    add_queue(fake, groups=[make_group(advice={"action": "archive", "reason": "they have expired"})])
    page = draw("dead-letters", id=QUEUE)
    aside = next(it for it in page.button if it.key == "aside g1")
    page = aside.click().run()
    assert query(page) == {"dead_letters": QUEUE, "action": "archive", "group": "g1"}
    page.text_input[0].set_value("expired long ago").run()
    click(page, "Make the plan")
    asked = fake.plans["plan-1"]["request"]
    assert (asked["action"], asked["group"], asked["reason"]) == ("archive", "g1", "expired long ago")


def test_one_message_tells_origin_and_why_earlier_redrives_and_its_decoded_parts(fake: FakeMonitor) -> None:
    headers = [
        {"name": "kafka_dlt-original-offset", "value": "\0\0\0\0\0\0\0\r", "encoding": "utf-8", "kind": None},
        {"name": "x-redrive-count", "value": "2", "encoding": "utf-8", "kind": None},
    ]
    fake.add(FakeQueue(make_queue(messages=3), lambda number: make_letter(number, headers=headers)))
    page = draw("dead-letters", id=QUEUE, message="0:1")
    told = texts(page)
    assert "Redriven 2 times before; it came back." in told
    assert "order-events, partition 2, offset 17, read by notification-group (headers say so, as Spring Kafka" in told
    assert '"total_cents": 1990' in told
    assert list(page.dataframe[1].value["Value"]) == ["13", "2"]


def test_a_message_is_found_by_its_address_however_far_back_it_lies(fake: FakeMonitor) -> None:
    add_queue(fake, messages=1_000_000)
    assert "Message 0:765432" in texts(draw("dead-letters", id=QUEUE, message="0:765432"))


def test_a_viewer_sees_why_bodies_are_hidden(fake: FakeMonitor) -> None:
    fake.role = "viewer"
    add_queue(fake)
    told = texts(draw("dead-letters", id=QUEUE, message="0:1"))
    assert "bodies are for the role operator" in told
    assert "total_cents" not in told


def test_what_messages_and_names_say_stays_inert(fake: FakeMonitor) -> None:
    def hostile(number: int) -> dict[str, Any]:
        header = {"name": HOSTILE, "value": HOSTILE, "encoding": "utf-8", "kind": None}
        return make_letter(number, key=HOSTILE, value=HOSTILE, exception=HOSTILE, exception_message=HOSTILE,
                           origin=HOSTILE, headers=[header])  # fmt: skip

    name = "<b>**x**"
    group = make_group(exception=HOSTILE, message=HOSTILE, origins=[HOSTILE])
    fake.add(FakeQueue(make_queue(name, origin=HOSTILE), hostile, groups=[group]))
    page = draw("dead-letters", id=f"orders/{name}", message="0:1")
    markdown = [str(it.value) for it in (*page.header, *page.markdown, *page.caption, *page.warning, *page.info)]
    markdown += [it.label for it in page.button]
    for text in markdown:
        assert not re.search(r"(?<!\\)<(script|img|b)\b|(?<!\\)\*\*bold|(?<!\\)\[click|https?:(?!\\)", text), text
    html = "\n".join(str(it.proto.body) for it in page.get("html"))
    assert "<script" not in html
    assert "<img" not in html
    raw = [*markdown, html, *(it.value for it in page.code), *page.dataframe[0].value["Key"]]
    assert not any(character in text for text in raw for character in "\x1b\x07\u202e")


def test_a_running_job_of_the_queue_is_led_to(fake: FakeMonitor) -> None:
    queue = add_queue(fake)
    fake.jobs["job-1"] = make_job(make_plan(queue.item))
    assert "A job is on this queue: 0 of 32 sent, 32 left" in texts(draw("dead-letters", id=QUEUE))


def test_what_is_set_aside_is_shown_with_its_reason_and_the_way_back(fake: FakeMonitor) -> None:
    add_queue(fake, messages=0)
    fake.archives = [make_archive()]
    page = draw("dead-letters", id=QUEUE)
    told = texts(page)
    assert "**12** · test data" in told
    assert re.search(r"by alice, \d\d:\d\d:\d\d; kept in the monitor's database, deleted in \d+ d", told)
    click(page, "Restore")
    asked = fake.plans["plan-1"]["request"]
    assert (asked["action"], asked["archive"], asked.get("canary")) == ("restore", "job-9", None)


def test_a_purge_is_for_admins_wants_the_name_typed_and_an_export_first(fake: FakeMonitor) -> None:
    add_queue(fake)
    assert "Remove all for good" not in labels(draw("dead-letters", id=QUEUE))
    fake.role = "admin"
    page = draw("dead-letters", id=QUEUE)
    assert next(it for it in page.button if it.label == "Remove all for good").disabled
    next(it for it in page.text_input if it.label.endswith("Type the name of the queue")).input(
        "order-events.dlq"
    ).run()
    assert "Export them first" in texts(click(page, "Remove all for good"))
    assert not fake.calls("POST")
    page.session_state["exports by queue"] = {QUEUE: "export-1"}
    page = page.run()
    assert "1. ✔ Exported" in texts(page)
    assert "32 were removed." in texts(click(page, "Remove all for good"))


def test_a_purge_takes_an_export_that_the_command_made(fake: FakeMonitor) -> None:
    fake.role = "admin"
    add_queue(fake, messages=1_000_000)
    page = draw("dead-letters", id=QUEUE)
    for label, text in (("Id of an export", "export-7"), ("2. Type the name", "order-events.dlq")):
        page = next(it for it in page.text_input if it.label.startswith(label)).input(text).run()
    assert "1,000,000 were removed." in texts(click(page, "Remove all for good"))


def test_what_is_set_aside_of_all_queues_is_found_looked_into_and_put_back(fake: FakeMonitor) -> None:
    add_queue(fake)
    fake.archives = [make_archive()]
    page = draw("dead-letters")
    assert [it.label for it in page.expander] == ["Set aside: 12 messages"]
    assert "**12** of order-events.dlq on orders" in texts(page)
    page = page.toggle[0].set_value(True).run()
    assert list(page.dataframe[0].value["Position"]) == ["0:0", "0:1"]
    assert query(click(page, "Restore")) == {"plan": "plan-1"}
    assert fake.plans["plan-1"]["request"]["archive"] == "job-9"
    fake.role = "viewer"
    assert "Restore" not in labels(draw("dead-letters"))


def test_the_way_back_from_a_redrive_leads_to_the_queue(fake: FakeMonitor) -> None:
    add_queue(fake)
    draw("redrive", dead_letters=QUEUE)
    for left_for in ({"plan": "plan-1"}, {"dead_letters": QUEUE, "action": "archive"}):
        assert "Why they died" in texts(draw("dead-letters", **left_for))


def test_too_many_for_a_browser_are_exported_by_a_command(fake: FakeMonitor) -> None:
    add_queue(fake, messages=1_000_000)
    assert f"eventflow dlq export {QUEUE} --output dead-letters.jsonl" in texts(draw("dead-letters", id=QUEUE))


def test_a_monitor_that_is_away_is_said_and_the_page_heals(fake: FakeMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    add_queue(fake)
    with monkeypatch.context() as away:
        away.setenv("EVENTFLOW_URL", "http://127.0.0.1:9")
        page = draw("dead-letters", id=QUEUE)
        assert "cannot be reached" in texts(page)
    assert "Why they died" in texts(page.run())


def test_cards_keep_their_places_when_numbers_change() -> None:
    def items(*names: str) -> Any:
        return [make_queue(name) for name in names]

    known = [it["id"] for it in items("a", "b", "c")]
    assert [it["queue"] for it in keep_order(items("c", "a", "b"), known)] == ["a", "b", "c"]
    assert [it["queue"] for it in keep_order(items("c", "new", "a"), known)] == ["a", "c", "new"]
    assert [it["queue"] for it in keep_order(items("x", "y", "a"), known)] == ["x", "y", "a"]
