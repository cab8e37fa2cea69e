"""Payloads made to harm who looks: each is looked at in bounded time and memory, shown raw, and told why."""

import base64
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from monitor.analysis.causes import cause_of
from monitor.analysis.faults import Kind
from monitor.analysis.payloads import MOST_READ_BYTES, look_at
from monitor.letters import DeadMessage, Header, PlanRequest
from monitor.redrive.masking import mask
from monitor.redrive.messages import LONGEST_SHOWN_BYTES, tell_message
from monitor.redrive.selection import selected_by
from tests.unit.causes.labelled import letter_of

BOMB = gzip.compress(bytes(50_000_000))
DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECT = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
HUGE_NUMBER = b'{"n": ' + b"9" * 100_000 + b"}"
LARGE = json.dumps([{"id": it, "text": "x" * 100} for it in range(42_000)]).encode()
LONG_LINE = "x" * 1_000_000
# Much more than any of these takes on a slow machine, and much less than what they would take if they were opened.
MOST_SECONDS, MOST_BYTES = 5.0, 60_000_000


@pytest.mark.parametrize(
    ("value", "headers", "form", "flaw"),
    [
        (BOMB, {}, "compressed by gzip, and not opened", ""),
        (zlib.compress(bytes(9)), {"content-encoding": "gzip"}, "said to be compressed by gzip", "does not begin"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), {}, "compressed by zstd", ""),
        (b"\x28\xb5", {"content-encoding": "x-shop-9000"}, "encoded as x-shop-9000", "not known"),
        (DEEP, {}, "JSON", "nested too deeply"),
        (DEEP_OBJECT, {}, "JSON", "nested too deeply"),
        (HUGE_NUMBER, {}, "JSON", "more digits"),
        (LARGE, {}, "JSON", ""),
        (b'{"id": 7, "name": "An', {}, "JSON", "ends in the middle"),
        (b'{"id": 7, "n', {}, "JSON", "ends in the middle"),
        (b'{"id": 7 "n": 1}', {}, "JSON", "no JSON from character 9 on"),
        (b'{"id": "\xff"}', {}, "JSON", "no UTF-8 from byte 8 on"),
        (b"[INFO] all is well", {}, "JSON", ""),
        (b"<order/>", {"content-type": "application/json"}, "JSON", "no JSON from character 0 on"),
        (b"", {"content-type": "application/json"}, "said to be JSON", "empty"),
        (b"\x00\x00\x00", {}, "framed for a schema registry", "ends before the schema's id"),
        (b"\x00\x00\x00\x00\x07", {}, "schema 7", "nothing behind"),
        (b"\x00\x00\x00\x00\x07\x0eord", {}, "schema 7, and not opened", ""),
        (b"Obj\x01" + bytes(9), {}, "Avro file", ""),
        (b"", {"content-type": "avro/binary"}, "Avro without its schema", "empty"),
        (b"plain text", {}, "", ""),
    ],
)  # fmt: skip
def test_a_body_is_told_by_its_outside(value: bytes, headers: dict[str, str], form: str, flaw: str) -> None:
    look = look_at(value, headers)
    assert form in look.form
    assert flaw in look.flaw
    assert bool(flaw) == bool(look.flaw)


def costs(act: Callable[[], object]) -> tuple[float, int]:
    """Return the seconds of the processor, and the bytes at most, that something takes."""
    tracemalloc.start()
    began = time.thread_time()
    try:
        act()
        return time.thread_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value", [BOMB, DEEP, DEEP_OBJECT, HUGE_NUMBER, LARGE, b"\x00" * 5_000_000, b'"' * 5_000_000, b"{" * 5_000_000]
)
def test_whatever_is_in_a_body_it_is_shown_raw_in_bounds(value: bytes) -> None:
    message = DeadMessage("0:1", {}, None, value)
    told = tell_message(message)
    shown = told["value"] if told["value_encoding"] == "utf-8" else base64.b64decode(told["value"])
    assert value.startswith(shown.encode() if isinstance(shown, str) else shown)
    assert (told["value_bytes"], told["value_cut"]) == (len(value), len(value) > LONGEST_SHOWN_BYTES)
    seconds, peak = costs(lambda: tell_message(message))
    assert (seconds < MOST_SECONDS, peak < MOST_BYTES) == (True, True)


@pytest.mark.parametrize("value", [DEEP, DEEP_OBJECT, b'{"a":' * 700 + b"1" + b"}" * 700, HUGE_NUMBER])
def test_hostile_bodies_can_be_masked_and_searched(value: bytes) -> None:
    message = DeadMessage("0:1", {}, None, value)
    assert tell_message(message, ("/body/secret",))["value"] is not None
    assert selected_by(PlanRequest("k/q", select="body.secret == `1`"), lambda: 0.0, ("/body/x",))(message) is False


def test_properties_that_are_nested_without_end_are_cut() -> None:
    table: object = "end"
    for _ in range(5_000):
        table = {"in": [table]}
    told = tell_message(DeadMessage("0:1", {}, None, b"", properties={"t": table}))
    assert "end" not in json.dumps(told["properties"])


@pytest.mark.parametrize(
    "text",
    ["'" * 100_000, '"' * 99_999, "{" * 100_000, "at " * 50_000, LONG_LINE, f"{LONG_LINE}: {LONG_LINE}",
     "a." * 50_000, "1a" * 50_000, "Caused by: " * 20_000, "\nCaused by: x.Y: z" * 20_000, "field " * 50_000,
     "expected a but got " * 20_000, "a@" * 50_000, "0.0.0." * 50_000, "a:" * 50_000, "\n\tat a.b(" * 50_000,
     "through reference chain: " * 20_000, '["a"]' * 50_000, "<a>d__1." * 50_000, "goroutine \nx.y(" * 20_000],
)  # fmt: skip
def test_texts_of_exceptions_are_read_in_bounded_time(text: str) -> None:
    headers: list[tuple[str, str | bytes]] = [
        ("x-original-topic", "orders"), ("x-exception-message", text), ("x-exception-stacktrace", text),
        ("x-exception-fqcn", text),
    ]  # fmt: skip
    letter = letter_of(headers)
    seconds, peak = costs(lambda: cause_of(letter))
    assert (seconds < MOST_SECONDS, peak < MOST_BYTES) == (True, True)
    cause = cause_of(letter)
    assert len(cause.message) <= 300
    assert all(len(it.text) <= 300 for it in cause.evidence)


def test_a_cut_body_is_the_cause_where_nothing_else_is_told() -> None:
    moved = {"ApproximateReceiveCount": "4", "DeadLetterQueueSourceArn": "arn:aws:sqs:r:1:orders"}
    cause = cause_of(DeadMessage("m", {}, None, b'{"id": 7, "name": "An', properties=moved))
    assert cause.kind is Kind.UNREADABLE
    assert [(it.where, it.text) for it in cause.evidence] == [
        ("body", "JSON: it ends in the middle, after 21 characters"), ("ApproximateReceiveCount", "4"),
    ]  # fmt: skip


def test_a_large_body_is_not_read_for_its_flaws() -> None:
    value = b'{"a": "' + b"x" * MOST_READ_BYTES
    assert look_at(value, {}).flaw == ""
    assert cause_of(DeadMessage("m", {}, None, value)).kind is Kind.UNKNOWN


def test_what_a_broker_says_for_certain_stands_over_what_the_body_looks_like() -> None:
    expired = (Header("x-first-death-reason", b"expired"),)
    message = DeadMessage("m", {}, None, b'{"id": ', expired, exception="expired")
    assert cause_of(message).kind is Kind.EXPIRED


def test_what_is_hidden_is_neither_looked_at_nor_told() -> None:
    message = DeadMessage("m", {}, None, b'{"id": ')
    assert tell_message(message, ("",))["value_flaw"] is None
    assert mask(replace(message, value=BOMB), ("/body/a",)).value == b"***"
