"""The expressions that choose messages: what they see, and what keeps them in bounds."""

import pytest

from monitor.errors import BadRequest
from monitor.letters import DeadMessage, Header
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


@pytest.mark.parametrize("value", [b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"1" * 2_000_000 + b"}", None, b"<xml/>"])
def test_a_body_that_cannot_be_read_is_null_and_harms_nothing(value: bytes | None) -> None:
    message = DeadMessage("1", {}, None, value)
    assert not Selection("body").matches(message, 0.0)
    assert Selection("body == null").matches(message, 0.0)


def test_positions_and_expression_must_both_hold() -> None:
    selected = selected_by("body.id == `7`", ("0:7", "0:8"), lambda: 0.0)
    assert selected(MESSAGE)
    assert not selected_by(None, ("0:8",), lambda: 0.0)(MESSAGE)
    assert not selected_by("body.id == `8`", ("0:7",), lambda: 0.0)(MESSAGE)
