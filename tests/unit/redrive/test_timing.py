"""When jobs may run, and what is in their way."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.errors import BadRequest
from monitor.letters import Action, PlanRequest
from monitor.model import ClusterView
from monitor.redrive.gates import Gate, Obstacle
from monitor.redrive.model import JobState
from monitor.redrive.surroundings import Surroundings
from monitor.redrive.timing import check_timing, read_window
from tests.storage.test_redrive import job_of
from tests.unit.redrive.builders import PLAN, view_of

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = {"begin": "22:00", "end": "05:00", "timezone": "Europe/Berlin"}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-24T21:59", "2026-11-24T22:00"),
        ("2026-11-24T22:00", None),
        ("2026-11-25T04:59", None),
        ("2026-11-25T05:00", "2026-11-25T22:00"),
        ("2026-10-25T04:30", None),  # the clocks were put back in this night
        ("2026-03-29T05:30", "2026-03-29T22:00"),
    ],
)
def test_a_window_over_midnight_is_open_in_the_night_of_its_zone(moment: str, opens: str | None) -> None:
    window = read_window(NIGHT)
    assert window is not None
    assert window.is_open(at(moment)) is (opens is None)
    assert window.opens_at(at(moment)) == at(opens or moment)


def test_the_days_of_a_window_are_those_on_which_it_begins() -> None:
    window = read_window({**NIGHT, "days": ["Fri"]})
    assert window is not None
    assert window.is_open(at("2026-11-28T04:00"))  # a Saturday
    assert not window.is_open(at("2026-11-27T04:00"))
    assert window.opens_at(at("2026-11-28T05:00")) == at("2026-12-04T22:00")
    assert window.tell() == {**NIGHT, "days": ["fri"]}
    assert read_window(window.tell()) == window


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"begin": "25:00"}, "begin must be a time"),
        ({"begin": "22:00+05:00"}, "begin must be a time"),
        ({"end": None}, "end must be a time"),
        ({"begin": "05:00"}, "the same"),
        ({"days": ["monday"]}, "no day"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"timezone": "../../etc/passwd"}, "no time zone"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        read_window({**NIGHT, **wrong})


def test_a_deadline_before_anything_could_begin_is_refused() -> None:
    noon, evening = at("2026-11-24T12:00"), at("2026-11-24T21:00")
    check_timing(PlanRequest("k/q", deadline=evening), noon)
    for late in (
        {"deadline": noon},
        {"deadline": evening, "start_at": evening},
        {"deadline": evening, "window": NIGHT},
    ):
        with pytest.raises(BadRequest, match="deadline"):
            check_timing(PlanRequest("k/q", **late), noon)


def look(view: ClusterView, now: float = 1000.0, wanted: str = "run", **asked: Any) -> Obstacle | None:
    request = PlanRequest("k/q", **asked)
    stored = replace(job_of("j"), wanted=wanted)
    return Gate(PLAN, request, Surroundings(lambda: [view])).look(stored, now, now)


def test_a_job_waits_while_its_target_is_behind_its_objective_or_fuller_than_the_plan_allows() -> None:
    assert look(view_of(30.0, 5.0)) is None
    behind = look(view_of(31.0, 5.0))
    assert behind is not None
    assert behind.state == JobState.PAUSED
    assert behind.reason == "target_backpressure: k/g/orders is 31 s behind, and its objective is 30 s"
    fuller = look(view_of(1.0, 101.0), max_target_backlog=100)
    assert fuller is not None
    assert (fuller.reason or "").startswith("target_backpressure: 101 messages wait")


def test_what_is_not_known_of_a_target_holds_nobody_up_and_people_may_overrule() -> None:
    assert look(view_of(None, None), max_target_backlog=1) is None
    assert look(view_of(99.0, 5.0, objective=None)) is None
    assert look(view_of(99.0, 5.0), wanted="overrule") is None
    assert look(view_of(99.0, 5.0), action=Action.ARCHIVE) is None


def test_a_job_is_scheduled_before_its_hours_and_ends_at_its_deadline() -> None:
    calm = view_of(1.0, 1.0)
    waits = look(calm, start_at=1060.0)
    assert waits == Obstacle(JobState.SCHEDULED, "scheduled: begins at 1970-01-01 00:17:40Z")
    assert look(calm, 1060.0, start_at=1060.0) is None
    ended = look(calm, 2000.0, deadline=2000.0)
    assert ended is not None
    assert ended.state == JobState.CANCELLED
    assert (ended.reason or "").startswith("deadline")


def test_a_job_that_has_begun_pauses_while_its_window_is_closed() -> None:
    request = PlanRequest("k/q", window=NIGHT)
    begun = replace(job_of("j"), started_at=1.0)
    gate = Gate(PLAN, request, Surroundings(list))
    closed = gate.look(begun, at("2026-11-24T12:00"), 0.0)
    assert closed == Obstacle(JobState.PAUSED, "window_closed: opens at 2026-11-24 21:00:00Z")
    assert gate.look(replace(begun, wanted="overrule"), at("2026-11-24T12:00"), 0.0) == closed
    assert gate.look(begun, at("2026-11-24T23:00"), 0.0) is None


def test_somebodys_pause_is_the_reason_unless_the_job_had_stopped_itself() -> None:
    gate = Gate(PLAN, PlanRequest("k/q"), Surroundings(list))
    job = replace(job_of("j"), wanted="pause", state=JobState.PAUSED)
    for kept, told in (
        ("circuit_open: bad", "circuit_open: bad"),
        ("window_closed: x", "operator"),
        (None, "operator"),
    ):
        assert gate.look(replace(job, reason=kept), 0.0, 0.0) == Obstacle(JobState.PAUSED, told)
