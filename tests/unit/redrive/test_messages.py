"""Messages as they are shown: whatever they hold, somebody gets to see it."""

import base64
import json

import pytest

from monitor.letters import DeadMessage, Header
from monitor.redrive.messages import LONGEST_SHOWN_BYTES, tell_message

AVRO = b"\x00\x00\x00\x00\x07\x0eorder-\xff"


@pytest.mark.parametrize("value", [AVRO, "für".encode("latin-1"), b"\xff\xfe{\x00}\x00"])
def test_what_is_no_text_is_shown_raw(value: bytes) -> None:
    told = tell_message(DeadMessage("1", {}, None, value))
    assert told["value_encoding"] == "base64"
    assert base64.b64decode(told["value"]) == value


@pytest.mark.parametrize("value", [b"", b"[" * 50_000, b'{"open": ', "✓".encode(), b"<xml/>"])
def test_text_is_shown_as_it_is_whether_it_can_be_parsed_or_not(value: bytes) -> None:
    told = tell_message(DeadMessage("1", {}, None, value))
    assert (told["value"], told["value_encoding"], told["value_cut"]) == (value.decode(), "utf-8", False)


def test_what_is_long_is_cut_between_characters_and_its_size_told() -> None:
    value = b'{"x": "' + "é".encode() * 2_500_000
    told = tell_message(DeadMessage("1", {}, None, value))
    assert (told["value_bytes"], told["value_cut"], told["value_encoding"]) == (5_000_007, True, "utf-8")
    assert value.decode().startswith(told["value"])
    assert LONGEST_SHOWN_BYTES - 1 <= len(told["value"].encode()) <= LONGEST_SHOWN_BYTES


def test_nothing_and_an_empty_text_are_told_apart() -> None:
    told = tell_message(DeadMessage("1", {}, None, None, (Header("a", None), Header("b", b""))))
    assert (told["key"], told["value"], told["value_bytes"]) == (None, None, None)
    assert [(it["value"], it["encoding"]) for it in told["headers"]] == [(None, None), ("", "utf-8")]


def test_values_of_any_kind_become_json() -> None:
    properties = {"table": {"b": b"\xff", "list": [1, None, (b"x",)]}, "odd": object}
    told = tell_message(DeadMessage("1", {"offset": 3}, None, b"", properties=properties))
    assert json.loads(json.dumps(told))["properties"]["table"]["list"] == [1, None, ["x"]]
