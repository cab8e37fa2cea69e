"""Avro: which changes readers survive, and bodies, also those that are made to harm."""

import io
from typing import Any

import pytest
from avro.io import BinaryEncoder, DatumWriter

from monitor.catalog.avro_schemas import CannotDecode, decode, parse_schema
from monitor.catalog.compatibility import can_read
from monitor.catalog.model import Format, Schema
from monitor.catalog.problems import Compatibility


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def schema(body: Any) -> Schema:
    return Schema(Format.AVRO, body)


def write(body: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    DatumWriter(parse_schema(body)).write(value, BinaryEncoder(stream))
    return stream.getvalue()


def choice(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


ID = field("id", "string")


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (record(ID, field("n", "int", default=0)), record(ID)),
        (record(ID), record(ID, field("n", "int"))),
        (record(field("a", "long", aliases=["b"])), record(field("b", "int"))),
        (record(field("a", ["null", "string"])), record(field("a", "string"))),
        (choice("A", default="A"), choice("A", "B")),
        (record(field("next", ["null", "R"])), record(field("next", ["null", "R"]))),
    ],
)  # fmt: skip
def test_these_changes_readers_survive(reader: Any, writer: Any) -> None:
    assert can_read(schema(reader), schema(writer)) == []


@pytest.mark.parametrize(
    ("reader", "writer", "at"),
    [
        (record(ID, field("n", "int")), record(ID), ["n"]),
        (record(field("n", "int")), record(field("n", "long")), ["n"]),
        (record(field("a", "string")), record(field("a", ["null", "string"])), ["a"]),
        (record(field("l", {"type": "array", "items": record(ID, field("n", "int"), name="L")})),
         record(field("l", {"type": "array", "items": record(ID, name="L")})), ["l[].n"]),
        (record(field("a", "int"), field("b", "string")), record(field("a", "string"), field("b", "int")), ["a", "b"]),
    ],
)  # fmt: skip
def test_these_changes_break_readers_at_fields(reader: Any, writer: Any, at: list[str]) -> None:
    found = can_read(schema(reader), schema(writer))
    assert [it.field for it in found] == at
    assert {it.compatibility for it in found} == {Compatibility.INCOMPATIBLE}


def test_a_schema_that_is_none_is_unknown() -> None:
    assert [it.compatibility for it in can_read(schema(record(ID)), schema({"type": "record"}))] == [
        Compatibility.UNKNOWN
    ]


def test_another_format_is_incompatible() -> None:
    assert can_read(schema(record(ID)), Schema(Format.JSON, {}))[0].compatibility is Compatibility.INCOMPATIBLE


def test_a_body_is_read_by_its_schema() -> None:
    body = record(ID, field("n", ["null", "int"]))
    assert decode(write(body, {"id": "a", "n": 7}), schema(body)) == {"id": "a", "n": 7}


@pytest.mark.parametrize(
    ("body", "value", "told"),
    [
        (record(ID), b"\x08ab", "does not follow its schema"),
        (record(ID), b"", "does not follow its schema"),
        (record(ID), b"\x02aX", "goes on behind"),
        (record(ID), b"\xff" * 20, "does not follow its schema"),
        (record(field("l", {"type": "array", "items": "null"})), b"\x80\x89\x7a\x00", "more than 20,000 values"),
        (record(field("n", "R")), b"", "is nested too deeply"),
        (record(field("n", ["null", "R"])), b"\x02" * 60_000, "is nested too deeply"),
        ("string", b"\xfe\xff\xff\xff\x0f", "does not follow its schema"),
        ("bytes", bytes(70_000), "is larger than"),
        (["null", "string"], b"\x09", "does not follow its schema"),
        ("string", b"\x04\xff\xfe", "does not follow its schema"),
    ],
)
def test_what_is_made_to_harm_ends_with_a_reason(body: Any, value: bytes, told: str) -> None:
    with pytest.raises(CannotDecode, match=told):
        decode(value, schema(body))
