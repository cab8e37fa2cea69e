"""The page of redrives: plan, start, progress, report and all jobs, over a fake API."""

import time
from datetime import UTC, datetime
from datetime import time as dt_time
from typing import Any

import pytest

from dashboards.components.plan import Choices, choices_of_address, choices_of_plan, fits_an_address
from dashboards.components.progress import ENDED, OUTCOMES, STATES
from monitor.api.redrive_items import JobCounts
from monitor.redrive.model import FINAL_STATES, JobState
from tests.dashboards.fake_monitor import (
    FakeMonitor,
    FakeQueue,
    Json,
    Refused,
    make_counts,
    make_job,
    make_letter,
    make_plan,
    make_queue,
    make_report,
    make_subscription,
)
from tests.dashboards.pages import click, draw, html_of, labels, query, texts

QUEUE = "orders/order-events.dlq"
SENT = make_counts(32, sent=32)


@pytest.fixture
def monitor(fake: FakeMonitor) -> FakeMonitor:
    """The fake, with a dead-letter queue of 32."""
    fake.add(FakeQueue(make_queue(), make_letter))
    return fake


def add_job(monitor: FakeMonitor, state: str = "running", counts: Json | None = None, **changes: Any) -> Json:
    """Add a job with a canary of ten."""
    plan = make_plan(make_queue(), number=99, asked={"canary": 10})
    job = make_job(plan, state=state, counts=counts or make_counts(32), **changes)
    monitor.jobs[job["id"]] = job
    return job


def test_every_state_and_every_outcome_of_a_job_has_its_words() -> None:
    assert set(STATES) == set(JobState)
    assert set(ENDED) == set(FINAL_STATES)
    assert {*OUTCOMES, "planned"} == set(JobCounts.__annotations__)


@pytest.mark.parametrize(
    ("choices", "fits"),
    [
        (Choices(QUEUE), True),
        (Choices(QUEUE, action="archive", canary=0, reason="test data", positions=("1", "2"), first=10), True),
        (Choices(QUEUE, rate=0.5, older_than_seconds=3600.0, deadline=1_800_000_000.0, canary_wait_seconds=9.0), True),
        (Choices(QUEUE, patch=({"op": "remove", "path": "/a"},)), False),
        (Choices(QUEUE, set_headers={"tenant": "acme"}), False),
        (Choices(QUEUE, window={"begin": "08:00", "end": "18:00", "timezone": "UTC"}), False),
        (Choices(QUEUE, strip_failure_headers=True), False),
    ],
)
def test_choices_are_known_that_no_address_can_say(choices: Choices, fits: bool) -> None:
    assert fits_an_address(choices) is fits


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_the_first_click_shows_what_would_be_done_and_touches_nothing(monitor: FakeMonitor) -> None:
    cause = {"group": "g1", "kind": "downstream", "exception": None, "messages": 20,
             "advice": {"action": "redrive", "reason": "it is over"}}  # fmt: skip
    monitor.plan_changes = {
        "causes": [cause],
        "also_receives": ["inventory-group"],
        "warnings": ["They were edited by *hand*."],
    }
    page = draw("redrive", dead_letters=QUEUE)
    told = texts(page)
    assert "Send 32 messages of order-events.dlq to order-events" in told
    assert "Exactly once, for consumers that read committed data. Nothing is lost and nothing is doubled" in told
    assert "Everybody who reads the target gets them again:** inventory-group" in told
    assert "They were edited by *hand*." in told
    facts = html_of(page)
    for fact in ("downstream failed (20 looked at; redrive them)", "everything; of what waited",
                 "headers say so, 20 of 20 looked at", "under 1 s, at full speed",
                 "the first 10 go ahead", "after newer messages", "added x-redrive-id"):  # fmt: skip
        assert fact in facts, fact
    assert list(page.dataframe[0].value["Position"]) == ["0:0"]
    assert not monitor.calls("POST /redrives\n")
    assert monitor.jobs == {}


def test_what_is_advised_against_is_said_before_the_click(monitor: FakeMonitor) -> None:
    cause = {"group": "g1", "kind": "schema_violation", "exception": "shop.MissingField", "messages": 12,
             "advice": {"action": "do_not", "reason": "12 of these came back after a redrive"}}  # fmt: skip
    monitor.plan_changes = {"causes": [cause]}
    told = texts(draw("redrive", dead_letters=QUEUE))
    assert "Advised against for 12 of MissingField: 12 of these came back after a redrive" in told


def test_what_may_be_doubled_is_said_with_its_number(monitor: FakeMonitor) -> None:
    monitor.add(FakeQueue(make_queue("NotificationDLQ", 16, system="sqs", cluster="aws"), make_letter))
    told = texts(draw("redrive", dead_letters="aws/NotificationDLQ"))
    assert "At least once. Nothing is lost; when the monitor crashes or a connection breaks in the middle" in told
    assert "at most 80 messages are sent twice" in told


def test_the_address_becomes_that_of_the_plan_and_a_reload_makes_no_second_one(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    assert query(page) == {"plan": "plan-1"}
    assert "Send 32 messages" in texts(draw("redrive", plan="plan-1"))
    assert len(monitor.plans) == 1


def test_what_stands_against_a_plan_is_said_and_it_cannot_be_started(monitor: FakeMonitor) -> None:
    monitor.plan_changes = {"blockers": ["It is not known where the messages belong."], "target": None}
    page = draw("redrive", dead_letters=QUEUE)
    assert "It cannot be started: It is not known where the messages belong." in texts(page)
    assert next(it for it in page.button if it.label == "Start the redrive").disabled


def test_an_expired_plan_is_made_anew_with_the_same_choices(monitor: FakeMonitor) -> None:
    monitor.plan_changes = {"expires_at": time.time() - 1}
    page = draw("redrive", dead_letters=QUEUE, first="10", canary="1")
    assert "The plan has expired" in texts(page)
    click(page, "Plan anew")
    asked = monitor.plans["plan-2"]["request"]
    assert (asked["first"], asked["canary"]) == (10, 1)


def test_a_choice_makes_a_new_plan(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    chosen = {"How many": "first 10", "Age": "older than an hour", "Canary": "none", "Rate": "100/s"}
    for label in chosen:
        control = next(it for it in page.segmented_control if it.label == label)
        page = control.set_value(chosen[label]).run()
    asked = monitor.plans["plan-5"]["request"]
    assert (asked["first"], asked.get("canary"), asked["rate"]) == (10, None, 100.0)
    assert asked["enqueued_before"] == pytest.approx(time.time() - 3600, abs=120)
    assert "older than 1 h, the first 10; of what waited" in html_of(page)
    assert "Send 10 messages" in texts(page)
    assert query(page) == {"plan": "plan-5"}


def test_a_selection_comes_with_the_address_and_can_be_let_go(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE, position=["0:1", "0:2"])
    assert "Send 2 messages" in texts(page)
    page = click(page, "Take everything")
    assert "Send 32 messages" in texts(page)


def test_edits_are_shown_before_and_after(monitor: FakeMonitor) -> None:
    after = {"headers": [], "value": '{"total_cents": 1}', "value_encoding": "utf-8", "value_cut": False}
    changed = {**make_letter(), "after": after, "skipped": None}
    monitor.queues[QUEUE].make = lambda number: changed
    page = draw("redrive", dead_letters=QUEUE)
    area = next(it for it in page.text_area if it.label.startswith("Change bodies"))
    area.set_value('[{"op": "replace", "path": "/total_cents", "value": 1}]')
    page = click(page, "Take over")
    (operation,) = monitor.plans["plan-2"]["request"]["patch"]
    assert operation["path"] == "/total_cents"


def test_options_are_written_and_taken_over_at_once(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    begin = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    moments = {it.label: it for it in page.datetime_input}
    moments["Not before"].set_value(begin.replace(tzinfo=None))
    moments["Not after"].set_value(datetime(2030, 1, 3))
    hours = {it.label: it for it in page.time_input}
    hours["Only from"].set_value(dt_time(22))
    hours["until"].set_value(dt_time(5))
    next(it for it in page.number_input if it.label.startswith("Wait while more")).set_value(500)
    next(it for it in page.number_input if it.label.startswith("Seconds to see")).set_value(30.0)
    next(it for it in page.text_area if it.label.startswith("Headers to set")).set_value("tenant: acme\nx: y: z")
    page = click(page, "Take over")
    asked = monitor.plans["plan-2"]["request"]
    assert (asked["start_at"], asked["deadline"] - asked["start_at"]) == (begin.timestamp(), 75_360.0)
    assert asked["window"] == {"begin": "22:00", "end": "05:00", "timezone": "UTC"}
    assert (asked["max_target_backlog"], asked["canary_wait_seconds"]) == (500, 30.0)
    assert asked["set_headers"] == {"tenant": "acme", "x": "y: z"}
    facts = html_of(page)
    for fact in ("2030-01-02 03:04:00 UTC", "from 22:00 to 05:00 (UTC)", "while more than 500 wait at the target",
                 "unless more than a fifth come back within 30 s"):  # fmt: skip
        assert fact in facts, fact


@pytest.mark.parametrize(
    ("label", "text", "told"),
    [
        ("Headers to set, one a line", "no colon", "A header is a name, a colon and a value"),
        ("Change bodies on the way, as a JSON Patch (RFC 6902)", "{", "The patch is no JSON"),
    ],
)
def test_what_cannot_be_meant_makes_no_plan(monitor: FakeMonitor, label: str, text: str, told: str) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    next(it for it in page.text_area if it.label == label).set_value(text)
    assert told in texts(click(page, "Take over"))
    assert list(monitor.plans) == ["plan-1"]


def test_a_note_goes_with_the_start(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    next(it for it in page.text_input if it.label == "Note for the audit log").input("OPS-17")
    click(page, "Start the redrive")
    assert monitor.notes == ["OPS-17"]


def test_setting_aside_asks_for_a_reason_first(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE, action="archive")
    assert monitor.plans == {}
    page.text_input[0].set_value("test data").run()
    page = click(page, "Make the plan")
    assert "Set 32 messages of order-events.dlq aside" in texts(page)
    asked = monitor.plans["plan-1"]["request"]
    assert (asked["action"], asked["reason"], asked.get("canary")) == ("archive", "test data", None)


def test_a_viewer_makes_no_plan(monitor: FakeMonitor) -> None:
    monitor.role = "viewer"
    assert "Redriving needs the role operator" in texts(draw("redrive", dead_letters=QUEUE))
    assert not monitor.calls("POST")


def test_a_cluster_that_is_only_watched_says_so(monitor: FakeMonitor) -> None:
    refusal = Refused(403, "read-only", "orders is read-only: its configuration has no `redrive` section")
    monitor.refusals["POST /redrives/plan"] = refusal
    assert "its configuration has no `redrive` section" in texts(draw("redrive", dead_letters=QUEUE))


# -- the start ---------------------------------------------------------------------------------------------------------


def test_the_second_click_starts_it_and_the_address_becomes_that_of_the_job(monitor: FakeMonitor) -> None:
    page = click(draw("redrive", dead_letters=QUEUE), "Start the redrive")
    assert query(page) == {"job": "job-1"}
    assert "0 of 32 sent, 32 left" in texts(page)


def test_a_plan_is_started_once_however_often_it_is_clicked(monitor: FakeMonitor) -> None:
    one, other = draw("redrive", dead_letters=QUEUE), draw("redrive", plan="plan-1")
    assert query(click(one, "Start the redrive")) == {"job": "job-1"}
    assert query(click(other, "Start the redrive")) == {"job": "job-1"}, "the address of the plan finds its job"
    assert (list(monitor.jobs), monitor.keys) == (["job-1"], ["dashboard-plan-1"])


def test_a_refused_start_says_why(monitor: FakeMonitor) -> None:
    page = draw("redrive", dead_letters=QUEUE)
    monitor.refusals["POST /redrives"] = Refused(409, "conflict", "12 of the dead letters are gone; make a new plan")
    page = click(page, "Start the redrive")
    assert "Not started: 12 of the dead letters are gone; make a new plan" in texts(page)
    assert "Plan anew" in labels(page)


# -- the job -----------------------------------------------------------------------------------------------------------


def test_progress_is_told_in_numbers_and_what_can_be_asked_is_offered(monitor: FakeMonitor) -> None:
    add_job(monitor, counts=make_counts(32, sent=20, failed=2), seconds_left=75.0)
    page = draw("redrive", job="job-1")
    told = texts(page)
    for line in ("20 of 32 sent, 10 left", "Sent 20", "Failed 2", "A second 20.0/s", "Time left about 1 min"):
        assert line in told, line
    assert {"Pause", "Yes, cancel the job"} <= set(labels(page))


def test_pause_resume_rate_and_cancel_are_asked_of_the_job(monitor: FakeMonitor) -> None:
    job = add_job(monitor)
    page = click(draw("redrive", job="job-1"), "Pause")
    assert "somebody paused it" in texts(page)
    page = click(page, "Resume")
    control = next(it for it in page.segmented_control if it.label == "Rate")
    control.set_value("10/s").run()
    assert job["rate"] == 10.0
    page = click(draw("redrive", job="job-1"), "Yes, cancel the job")
    assert "Cancelled after 0 of 32; 32 stay in the dead-letter queue." in texts(page)


def test_a_refusal_to_steer_is_told(monitor: FakeMonitor) -> None:
    add_job(monitor)
    page = draw("redrive", job="job-1")
    monitor.refusals["POST /redrives/job-1/pause"] = Refused(409, "conflict", "job job-1 has ended")
    assert "job job-1 has ended" in texts(click(page, "Pause"))


def test_a_viewer_watches_and_steers_nothing(monitor: FakeMonitor) -> None:
    monitor.role = "viewer"
    add_job(monitor)
    page = draw("redrive", job="job-1")
    assert "0 of 32 sent" in texts(page)
    assert labels(page) == ["All jobs"]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"state": "canary"}, "Canary: the first 10 go ahead of the others."),
        ({"state": "canary", "counts": make_counts(32, sent=10)}, "5 s to see whether any comes back (0 so far)"),
        ({"canary": {"messages": 10, "wait_seconds": 5.0, "verdict": "passed"}}, "Canary passed: of the first 10 none"),
        (
            {
                "state": "paused",
                "reason": "circuit_open: 4 of 10 came back",
                "counts": make_counts(32, sent=6, bounced=4),
                "canary": {"messages": 10, "wait_seconds": 5.0, "verdict": "failed"},
            },
            "Canary failed: 4 of 10 came back",
        ),
    ],
)
def test_the_canary_has_its_verdict(monitor: FakeMonitor, changes: Json, verdict: str) -> None:
    add_job(monitor, **changes)
    assert verdict in texts(draw("redrive", job="job-1"))


def test_a_job_that_waits_for_a_second_person_is_approved_by_a_click(monitor: FakeMonitor) -> None:
    job = add_job(monitor, "awaiting_approval", approval="32 messages; above 10 a second person must approve")
    page = draw("redrive", job="job-1")
    assert "A second person must approve: 32 messages" in texts(page)
    monitor.name = "alice"  # who asked for it
    assert "It waits for somebody else than you." in texts(draw("redrive", job="job-1"))
    click(page, "Approve")
    assert job["state"] == "running"
    job["approved_by"] = "bob"
    assert "by bob; asked for by alice" in html_of(page.run())


def test_a_monitor_that_restarts_leaves_the_job_on_the_page(
    monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(monitor, counts=make_counts(32, sent=20))
    page = draw("redrive", job="job-1")
    with monkeypatch.context() as away:
        away.setenv("EVENTFLOW_URL", "http://127.0.0.1:9")
        told = texts(page.run())
        assert "The monitor is away: this is from" in told
        assert "20 of 32 sent" in told
    assert "The monitor is away" not in texts(page.run())


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_report_adds_up_and_says_what_the_consumers_did(monitor: FakeMonitor) -> None:
    job = add_job(monitor, "completed", SENT)
    monitor.reports["job-1"] = make_report(job, consumers={"processed": 32, "bounced": 0, "unknown": 0})
    monitor.subscriptions = [make_subscription(backlog_messages=6)]  # the marks of the transactions
    page = draw("redrive", job="job-1")
    told = texts(page)
    assert "Done: 32 of 32 were sent back, and none came back." in told
    assert "All 32 were processed by their consumers, and none came back." in told
    assert "Still at work" not in told
    outcomes = page.dataframe[0].value
    assert list(outcomes["Outcome"]) == ["sent", "left", "planned"]
    assert list(outcomes["Messages"]) == [32, 0, 32]


def test_what_is_not_known_of_the_consumers_is_not_called_processed(monitor: FakeMonitor) -> None:
    add_job(monitor, "completed", SENT)
    monitor.subscriptions = [make_subscription(backlog_messages=5)]
    told = texts(draw("redrive", job="job-1"))
    assert "Nobody knows yet whether they were processed; of 32 it is not known." in told
    assert "Still at work: notification-group (5 waiting)." in told
    monitor.subscriptions = [make_subscription()]
    told = texts(draw("redrive", job="job-1"))
    assert "Nothing waits at the target any more: notification-group took in everything." in told
    monitor.subscriptions = [make_subscription(as_of=time.time() - 60)]
    assert "Looking at the consumers of the target…" in texts(draw("redrive", job="job-1"))


def test_failures_are_told_with_their_reasons_and_the_rest_can_be_planned(monitor: FakeMonitor) -> None:
    job = add_job(monitor, "completed_with_failures", make_counts(32, sent=20, bounced=5, failed=7))
    reasons = [{"outcome": "failed", "messages": 7, "reason": "the target refuses messages above 1 MB"}]
    monitor.reports["job-1"] = make_report(job, reasons=reasons, interruptions=2, at_most_duplicates=160)
    page = draw("redrive", job="job-1")
    told = texts(page)
    assert "Ended with failures: 20 of 32 were sent; 5 bounced, 7 failed; 7 stay in the dead-letter queue." in told
    assert "5 came back as dead letters." in told
    assert "2 times; at most 160 were sent twice" in told
    assert page.dataframe[1].value["Reason"][0] == "the target refuses messages above 1 MB"
    assert query(click(page, "Plan the rest")) == {"plan": "plan-1"}


def test_edited_messages_are_shown_as_they_were_only_when_asked_for(monitor: FakeMonitor) -> None:
    job = add_job(monitor, "completed", SENT)
    monitor.reports["job-1"] = make_report(job, edits={"messages": 1, "digest": "d" * 64})
    monitor.originals = [{"position": "0:3", "before_sha256": "a" * 64, "after_sha256": "b" * 64,
                          "letter": make_letter(3)}]  # fmt: skip
    page = draw("redrive", job="job-1")
    assert "Edited messages as they were (1)" in [it.label for it in page.expander]
    assert not monitor.calls("GET /redrives/job-1/originals")
    page.session_state["originals job-1"] = True
    page = page.run()
    table = next(it.value for it in page.dataframe if "Before (SHA-256)" in it.value)
    assert list(table.iloc[0])[:3] == ["0:3", "a" * 16, "b" * 16]
    assert "In the audit log they stand under dddddddddddddddd" in texts(page)


# -- all of them -------------------------------------------------------------------------------------------------------


def test_all_jobs_stand_there_those_under_way_first_and_alerts_narrow_them(monitor: FakeMonitor) -> None:
    add_job(monitor, counts=make_counts(32, sent=8))
    done = add_job(monitor, "completed", SENT)
    monitor.jobs = {"job-1": add_job(monitor, counts=make_counts(32, sent=8)), "job-2": {**done, "id": "job-2"}}
    page = draw("redrive")
    assert "8 of 32 sent, 24 left" in texts(page)
    assert list(page.dataframe[0].value["State"]) == ["✔ completed"]
    assert "No job has been started yet" in texts(draw("redrive", cluster="orders", source="another.dlq"))


def test_without_jobs_the_page_says_how_to_begin(monitor: FakeMonitor) -> None:
    assert "No job has been started yet" in texts(draw("redrive"))


# -- choices -----------------------------------------------------------------------------------------------------------


def test_an_address_says_what_is_chosen_and_nonsense_in_it_is_left_out() -> None:
    assert choices_of_address({}) is None
    asked = choices_of_address(
        {"dead_letters": ["a"], "first": ["5"], "canary": ["0"], "rate": ["fast"], "position": ["x", "y"]}
    )
    assert asked == Choices("a", first=5, canary=0, positions=("x", "y"))


def test_choices_go_into_a_plan_and_come_back_out_of_it() -> None:
    chosen = Choices("orders/q", first=5, canary=1, rate=2.0, group="g1", positions=("x",), on_ambiguous="hold",
                     strip_failure_headers=True, patch=({"op": "remove", "path": "/a"},), remove_headers=("h",),
                     )  # fmt: skip
    plan: Any = make_plan(make_queue(), asked=chosen.options())
    plan["dead_letters"] = "orders/q"
    assert choices_of_plan(plan) == chosen
