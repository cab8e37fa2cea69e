"""Plans: what they say, what their hash covers, and what makes them stale."""

from dataclasses import replace
from typing import Any

import pytest

from monitor.errors import BadRequest
from monitor.letters import Action, DeadMessage, Guarantee, Header, OnAmbiguous, PlanRequest, Survey
from monitor.model import DeadLetterQueue, FoundBy, System
from monitor.redrive.plans import check_request, find_drift, hash_payload, hash_plan, make_plan, read_request
from monitor.redrive.telling import tell_plan, tell_refusal

QUEUE = DeadLetterQueue("k/q", System.KAFKA, "k", "q", FoundBy.NAME)
SURVEY = Survey(
    count=100,
    count_is_exact=True,
    bounds={"since": {"0": 5}, "count": 100},
    target="orders",
    guarantee=Guarantee.EXACTLY_ONCE,
    max_duplicates_per_interruption=0,
    samples=(DeadMessage("0:5", {"partition": 0}, b"\xff", b"body"),),
)


def plan_of(survey: Survey = SURVEY, now: float = 1000.0, id_: str = "p", **request: Any) -> dict[str, Any]:
    return make_plan(id_, now, QUEUE, PlanRequest("k/q", **request), survey, per_second=50.0)


def test_a_plan_says_how_many_how_long_and_what_is_added() -> None:
    plan = plan_of(first=30, set_headers={"why": "again"}, rate_per_second=10.0)
    assert (plan["count"], plan["duration_seconds"], plan["expires_at"]) == (30, 3.0, 1900.0)
    assert plan["headers"]["added"] == ["x-redrive-id", "x-redrive-job", "x-redrive-count", "why"]
    assert plan["on_ambiguous"] == "send"
    assert plan["samples"][0]["key_encoding"] == "base64"


def test_what_is_set_aside_gets_no_stamps() -> None:
    assert plan_of(action=Action.ARCHIVE, reason="later")["headers"]["added"] == []


def test_a_plan_names_the_failure_headers_that_would_go() -> None:
    message = DeadMessage("0:5", {}, None, b"", (Header("kafka_dlt-original-topic", b"t"), Header("kept", b"")))
    survey = replace(SURVEY, samples=(message,))
    stripped = plan_of(survey, strip_failure_headers=True, remove_headers=("x",))
    assert stripped["headers"]["removed"] == ["x", "kafka_dlt-original-topic"]
    assert plan_of(survey)["headers"]["removed"] == []


def test_the_hash_covers_what_matters_and_nothing_that_varies() -> None:
    plan = plan_of()
    assert plan["hash"] == hash_plan(plan) == plan_of(now=2000.0, id_="other")["hash"]
    assert plan["hash"] != plan_of(first=5)["hash"]
    assert plan["hash"] != plan_of(replace(SURVEY, count=99))["hash"]


def test_a_refusal_is_told_without_what_the_expression_or_the_patch_quotes() -> None:
    for wrong in ({"select": "name == 'x' 'secret'"}, {"patch": ({"op": "secret", "path": "/a"},)}):
        with pytest.raises(BadRequest, match="secret") as refused:
            check_request(PlanRequest("k/q", **wrong), 1000.0)
        assert tell_refusal(refused.value).startswith(f"{next(iter(wrong))}: refused at position")
        assert "secret" not in tell_refusal(refused.value)
    assert tell_refusal(BadRequest("rate: no", parameter="rate")) == "rate: no"


def test_a_request_is_read_from_its_plan_as_it_was_made() -> None:
    request = PlanRequest("k/q", positions=("0:1",), remove_headers=("a",), on_ambiguous=OnAmbiguous.HOLD, first=3)
    made = make_plan("p", 0.0, QUEUE, request, SURVEY, per_second=1.0)
    assert read_request(made["request"]) == request


@pytest.mark.parametrize(
    "changed",
    [
        {"target": "elsewhere"},
        {"guarantee": Guarantee.AT_LEAST_ONCE},
        {"blockers": ("the target is gone",)},
        {"bounds": {"since": {"0": 9}, "count": 100}},
    ],
)
def test_a_plan_is_stale_when_something_that_matters_has_changed(changed: dict[str, Any]) -> None:
    assert find_drift(plan_of(), SURVEY) is None
    assert find_drift(plan_of(), replace(SURVEY, **changed)) is not None


def test_new_dead_letters_make_no_plan_stale_and_missing_ones_do() -> None:
    counted = replace(SURVEY, bounds={"count": 100})
    assert find_drift(plan_of(counted), replace(counted, count=150)) is None
    assert find_drift(plan_of(counted), replace(counted, count=99)) == "1 of the dead letters are gone"


def test_a_target_that_is_the_source_or_unknown_blocks() -> None:
    assert "itself" in plan_of(replace(SURVEY, target="q"))["blockers"][0]
    assert "--target" in plan_of(replace(SURVEY, target=None))["blockers"][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 0},
        {"canary": 0},
        {"rate_per_second": 0.0},
        {"rate_per_second": -1.0},
        {"rate_per_second": 1e-300},
        {"rate_per_second": 1e300},
        {"rate_per_second": float("nan")},
        {"select": "a ="},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        check_request(PlanRequest("k/q", **wrong), 1000.0)


def test_what_a_plan_seeks_in_messages_and_writes_into_them_is_told_to_those_who_may_see_these() -> None:
    patch = ({"op": "add", "path": "/iban", "value": "secret"},)
    plan = plan_of(patch=patch, set_headers={"why": "secret"}, select="body.name == 'secret'")
    assert tell_plan(plan, bodies=True) == plan
    told = tell_plan(plan, bodies=False)
    assert told["request"]["patch"] == [{"op": "add", "path": "/iban"}]
    assert told["request"]["set_headers"] == {"why": None}
    assert told["request"]["select"] is None
    assert told["request"]["select_sha256"] == hash_payload("body.name == 'secret'")
    assert "secret" not in str(told)
    assert hash_payload(patch) is not None
    assert hash_payload(()) is None
