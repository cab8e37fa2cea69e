"""The expressions that choose messages: what they see, and what keeps them in bounds."""

from dataclasses import replace
from typing import Any

import pytest

from monitor.analysis.causes import cause_of
from monitor.errors import BadRequest
from monitor.letters import DeadMessage, Header, PlanRequest
from monitor.model import FoundBy, Origin
from monitor.redrive.selection import Selection, selected_by

MESSAGE = DeadMessage(
    position="0:7",
    coordinates={"partition": 0, "offset": 7},
    key=b"k7",
    value=b'{"id": 7, "lines": [{"sku": "a"}, {"sku": "b"}], "zero": 0}',
    headers=(Header("region", b"eu"), Header("binary", b"\xff")),
    enqueued_at=100.0,
    origin=Origin("orders", FoundBy.HEADERS),
    exception="java.lang.X",
    attempts=3,
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("body.id == `7`", True),
        ("body.id > `7`", False),
        ("headers.region == 'eu' && attempts >= `3`", True),
        ("body.lines[?sku == 'b']", True),
        ("body.lines[?sku == 'z']", False),
        ("starts_with(exception, 'java.')", True),
        ("partition == `0` && offset < `8`", True),
        ("age_seconds > `40`", True),
        ("origin == 'orders' && key == 'k7'", True),
        ("body.zero", True),  # JMESPath takes 0 for true
        ("body.missing", False),
        ("contains(text, 'sku')", True),
        ("length(body.id) > `1`", False),  # of the wrong type: no match, and no error
    ],
)
def test_an_expression_sees_headers_body_and_coordinates(expression: str, expected: bool) -> None:
    assert Selection(expression).matches(MESSAGE, 150.0) is expected


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("body.id >", "position 10"),
        ("body.[", "position"),
        ("'open", "position 1"),
        ("nothing(body)", "Unknown function"),
        ("", "select"),
        ("x" * 3000, "longer than"),
    ],
)
def test_a_malformed_expression_is_told_with_its_place(expression: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        Selection(expression)


def test_an_expression_that_would_run_long_is_given_up() -> None:
    with pytest.raises(BadRequest, match="takes too long"):
        Selection(" | ".join(["[@,@][]"] * 40))


DOUBLED = " | ".join(["[@, @]"] * 60)


@pytest.mark.parametrize(
    "expression",
    [
        f"{DOUBLED} | to_string(@)",
        f"({DOUBLED}) == ({DOUBLED})",
        f"({DOUBLED}) != ({DOUBLED})",
        f"contains([{DOUBLED}], {DOUBLED})",
        "join(text, `[" + ",".join(['""'] * 600) + "]`)",
    ],
)
def test_what_one_short_expression_could_make_gigabytes_of_is_given_up_before(expression: str) -> None:
    with pytest.raises(BadRequest, match="takes too long"):
        Selection(expression).matches(DeadMessage("1", {}, None, b"x" * 1_000_000), 0.0)


def test_a_text_of_a_megabyte_can_be_searched() -> None:
    message = DeadMessage("1", {}, None, b"x" * 999_999 + b"y")
    assert Selection("contains(text, 'xy') && ends_with(text, 'y')").matches(message, 0.0)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"1" * 2_000_000 + b"}", None, b"<xml/>"])
def test_a_body_that_cannot_be_read_is_null_and_harms_nothing(value: bytes | None) -> None:
    message = DeadMessage("1", {}, None, value)
    assert not Selection("body").matches(message, 0.0)
    assert Selection("body == null").matches(message, 0.0)


def is_selected(message: DeadMessage = MESSAGE, hidden: tuple[str, ...] = (), **asked: Any) -> bool:
    return selected_by(PlanRequest("k/q", **asked), lambda: 0.0, hidden)(message)


def test_all_that_is_said_together_must_hold() -> None:
    assert is_selected(select="body.id == `7`", positions=("0:7", "0:8"))
    assert not is_selected(positions=("0:8",))
    assert not is_selected(select="body.id == `8`", positions=("0:7",))
    assert not is_selected(select="body.id == `7`", enqueued_before=99.0)


def test_messages_are_selected_by_the_time_that_the_broker_has_of_them() -> None:
    assert is_selected(enqueued_before=100.0, enqueued_after=100.0)
    assert not is_selected(enqueued_before=99.9)
    assert not is_selected(enqueued_after=100.1)
    undated = replace(MESSAGE, enqueued_at=None)
    assert not is_selected(undated, enqueued_before=1e9)
    assert not is_selected(undated, enqueued_after=0.0)


def test_a_cause_is_selected_whatever_varies_in_its_message() -> None:
    seven, eight = (replace(MESSAGE, exception_message=f"order {n} is late") for n in (7, 8))
    cause = cause_of(seven).id
    assert is_selected(eight, group=cause)
    assert not is_selected(replace(MESSAGE, exception_message="other"), group=cause)
    assert not is_selected(replace(eight, exception="java.lang.Y"), group=cause)


def test_what_is_hidden_is_not_found() -> None:
    assert not is_selected(select="body.id == `7`", hidden=("/body/id",))
    assert not is_selected(select="contains(text, '7')", hidden=("/body/id",))
    assert not is_selected(select="headers.region == 'eu'", masked=("/headers/Region",))
    assert not is_selected(select="body || key", masked=("",))
    assert is_selected(select="exception == 'java.lang.X'", masked=("",))


@pytest.mark.parametrize("expression", ["body.items[::0]", "!(body.items[::0])", "floor(to_number('1e999'))"])
def test_what_the_library_stumbles_over_is_no_match(expression: str) -> None:
    message = replace(MESSAGE, value=b'{"items": [1, 2]}')
    assert not Selection(expression).matches(message, 0.0)


def test_an_expression_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(BadRequest):
        Selection("!" * 1_990 + "a")
