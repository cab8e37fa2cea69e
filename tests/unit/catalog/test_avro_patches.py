"""Patches between versions that are written in Avro, of bodies as they are decoded."""

import json
from typing import Any

import pytest
from jsonpatch import apply_patch

from monitor.catalog.avro_as_json import as_json
from monitor.catalog.fitting import Fit, Fitter
from monitor.catalog.identifying import Letter, Where
from monitor.catalog.json_schemas import CannotJudge, Checker
from monitor.catalog.model import EventName, Format, Schema
from tests.unit.catalog.documents import read
from tests.unit.catalog.test_avro import field, record

WHERE = Where("orders", "orders")
ONE, TWO = EventName("Ordered", "1"), EventName("Ordered", "2")


CATALOG = """\
asyncapi: 3.0.0
info: {{title: Shop, version: 1.0.0}}
servers:
  orders: {{host: "127.0.0.1:9092", protocol: kafka}}
channels:
  orders:
    address: orders
    messages:
      Ordered.v1: {{$ref: "#/components/messages/Ordered.v1"}}
      Ordered.v2: {{$ref: "#/components/messages/Ordered.v2"}}
operations:
  receiveOrders:
    action: receive
    channel: {{$ref: "#/channels/orders"}}
    messages: [{{$ref: "#/channels/orders/messages/Ordered.v{known}"}}]
components:
  messages:
    Ordered.v1: {{payload: {{schemaFormat: "application/vnd.apache.avro;version=1.9.0", schema: {one}}}}}
    Ordered.v2: {{payload: {{schemaFormat: "application/vnd.apache.avro;version=1.9.0", schema: {two}}}}}
"""


def fit(one: Any, two: Any, body: Any, wrote: int = 2) -> Fit:
    """What is told of a body of one version that a reader of the other one is to read."""
    catalog = read(CATALOG.format(known=3 - wrote, one=json.dumps(one), two=json.dumps(two)))
    written = catalog.events[(ONE, TWO)[wrote - 1]].payload
    found = Fitter(catalog).fit(Letter(body, {"type": "Ordered", "schema": str(wrote)}, WHERE, written))
    assert found is not None
    return found


ID = field("id", "string")
OLD = record(ID, field("mail", "string"))


@pytest.mark.parametrize(
    ("two", "body", "patched"),
    [
        (record(ID, field("address", "string", aliases=["mail"])),
         {"id": "a", "address": "x"}, {"id": "a", "mail": "x"}),
        (record(ID, field("who", record(field("at", "string", **{"x-renamed-from": "/mail"}), name="W"))),
         {"id": "a", "who": {"at": "x"}}, {"id": "a", "mail": "x"}),
        (record(ID, field("address", ["null", "string"], aliases=["mail"])), {"id": "a", "address": None}, None),
        (record(ID, field("address", "string")), {"id": "a", "address": "x"}, None),
    ],
)  # fmt: skip
def test_what_schemas_say_was_renamed_is_put_back_and_nothing_is_guessed(two: Any, body: Any, patched: Any) -> None:
    found = fit(OLD, two, body)
    assert (found.wrote, found.read_as, found.fits) == (TWO, ONE, TWO)
    assert [it.field for it in found.violations] == ["mail"]
    assert (apply_patch(body, found.patch) if found.patch else None) == patched


def test_a_field_that_a_newer_reader_wants_is_taken_from_where_it_was() -> None:
    two = record(ID, field("who", record(field("at", "string", **{"x-renamed-from": "/mail"}), name="W")))
    found = fit(OLD, two, {"id": "a", "mail": "x"}, wrote=1)
    assert (found.wrote, found.read_as, found.fits) == (ONE, TWO, ONE)
    assert found.patch is not None
    assert apply_patch({"id": "a", "mail": "x"}, found.patch) == {"id": "a", "who": {"at": "x"}}


def test_what_readers_survive_gets_no_patch_but_what_their_schema_does_not_have() -> None:
    two = record(ID, field("mail", "string"), field("note", "string"))
    found = fit(OLD, two, {"id": "a", "mail": "x", "note": "n"})
    assert found.violations == ()
    assert found.patch == ({"op": "remove", "path": "/note"},)


@pytest.mark.parametrize(
    ("schema", "fits", "fits_not"),
    [
        ("int", 2**31 - 1, 2**31),
        ({"type": "array", "items": "string"}, ["a"], [1]),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": "b"}),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "C"),
        (["null", "boolean"], None, "no"),
        (record(field("next", ["null", "R"])), {"next": {"next": None}}, {"next": 1, "more": 2}),
        (record(ID, field("other", record(ID, name="n.S")), field("same", "n.S")),
         {"id": "a", "other": {"id": "b"}, "same": {"id": "c"}}, {"id": "a", "other": {"id": "b"}, "same": {"id": 1}}),
    ],
)  # fmt: skip
def test_decoded_bodies_are_held_against_avro_types(schema: Any, fits: Any, fits_not: Any) -> None:
    checker = Checker(as_json(Schema(Format.AVRO, schema)))
    assert checker.find_violations(fits) == []
    assert checker.find_violations(fits_not) != []


def test_types_that_double_again_and_again_end() -> None:
    body: Any = "string"
    for number in range(40):
        name = f"R{number}"
        body = record(field("a", body), field("b", f"R{number - 1}" if number else "string"), name=name)
    with pytest.raises(CannotJudge, match="too many types"):
        as_json(Schema(Format.AVRO, body))
