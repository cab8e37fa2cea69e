"""Which changes of a JSON Schema readers survive; what is outside of the subset is unknown."""

from typing import Any

import pytest

from monitor.catalog.compatibility import Mode, can_read, compare, worst
from monitor.catalog.model import Format, Schema
from monitor.catalog.problems import Compatibility
from tests.unit.catalog.documents import json_schema

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
NULLABLE = {"anyOf": [TEXT, {"type": "null"}]}


def judge(reader: Any, writer: Any) -> tuple[str, list[str]]:
    problems = can_read(Schema(Format.JSON, reader), Schema(Format.JSON, writer))
    return worst([it.compatibility for it in problems]).value, [it.field for it in problems]


def needs(*names: str, **properties: Any) -> dict[str, Any]:
    return {**json_schema(**properties), "required": list(names)}


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (json_schema(a=TEXT), json_schema(a=TEXT)),
        (json_schema(a=TEXT, b=TEXT), json_schema(a=TEXT)),
        (json_schema(a=TEXT), json_schema(a=TEXT, b=TEXT)),
        (needs(a=TEXT), needs("a", a=TEXT)),
        (NUMBER, WHOLE),
        ({"type": ["string", "null"]}, TEXT),
        (NULLABLE, TEXT),
        (NULLABLE, NULLABLE),
        (True, {"if": TEXT, "then": {"minLength": 1}}),
        ({}, {"not": TEXT}),
        ({"not": TEXT}, {"not": TEXT}),
        (TEXT, {"enum": ["a", "b"]}),
        ({"enum": ["a", "b", "c"]}, {"enum": ["a", "b"]}),
        ({"enum": ["a", "b"]}, {"const": "a"}),
        ({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 1}),
        (TEXT, {"type": "string", "pattern": "a"}),
        ({"type": "array", "items": NUMBER}, {"type": "array", "items": WHOLE}),
        (json_schema(a=TEXT) | {"additionalProperties": False}, json_schema(a=TEXT)),
        (json_schema(a=TEXT), {**json_schema(), "additionalProperties": TEXT}),
    ],
)  # fmt: skip
def test_these_changes_readers_survive(reader: Any, writer: Any) -> None:
    assert judge(reader, writer) == ("compatible", [])


@pytest.mark.parametrize(
    ("reader", "writer", "field"),
    [
        (needs("a", a=TEXT), needs(a=TEXT), "a"),
        (needs("b", a=TEXT, b=TEXT), needs(a=TEXT), "b"),
        (json_schema(a=json_schema(b=TEXT)), json_schema(a=json_schema(b=WHOLE)), "a.b"),
        (WHOLE, NUMBER, ""),
        (TEXT, NULLABLE, ""),
        (NULLABLE, WHOLE, ""),
        (TEXT, {}, ""),
        ({"enum": ["a"]}, TEXT, ""),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, ""),
        (json_schema(l={"type": "array", "items": TEXT}), json_schema(l={"type": "array", "items": WHOLE}), "l[]"),
        (json_schema(a=TEXT) | {"additionalProperties": False}, json_schema(a=TEXT, b=TEXT), "b"),
        (json_schema(n={"type": "integer", "minimum": 1}), json_schema(n={"type": "integer", "minimum": 0}), "n"),
        (json_schema(n={"type": "integer", "maximum": 9}), json_schema(n=WHOLE), "n"),
        (json_schema(a=WHOLE), {**json_schema(), "additionalProperties": TEXT}, "a"),
        (json_schema(a=False), json_schema(a=TEXT), "a"),
    ],
)  # fmt: skip
def test_these_changes_break_readers_at_a_field(reader: Any, writer: Any, field: str) -> None:
    assert judge(reader, writer) == ("incompatible", [field])


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        ({"allOf": [TEXT]}, TEXT),
        (TEXT, {"allOf": [TEXT]}),
        ({"not": WHOLE}, TEXT),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}),
        ({"type": "string", "pattern": "^a"}, TEXT),
        ({"type": "string", "format": "uuid"}, TEXT),
        ({"type": "array", "items": [TEXT]}, {"type": "array", "items": [WHOLE]}),
        ({"type": "object", "patternProperties": {"^a": TEXT}}, {"type": "object"}),
        ({"oneOf": [TEXT, WHOLE]}, TEXT),
        ({"$ref": "http://127.0.0.1:1/schema"}, TEXT),
        ({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 0}]}, WHOLE),
        ({"brandNewKeyword": 1}, TEXT),
    ],
)
def test_what_cannot_be_judged_is_unknown_and_never_compatible(reader: Any, writer: Any) -> None:
    assert judge(reader, writer)[0] == "unknown"


def test_schemas_that_refer_to_themselves_are_compared_to_their_end() -> None:
    def tree(leaf: Any) -> dict[str, Any]:
        node = {"$ref": "#/$defs/N"}
        return {**json_schema(root=node), "$defs": {"N": json_schema(leaf=leaf, next=node)}}

    assert judge(tree(NUMBER), tree(WHOLE)) == ("compatible", [])
    assert judge(tree(WHOLE), tree(NUMBER)) == ("incompatible", ["root.leaf"])


def test_what_fits_no_alternative_is_not_taken_for_granted_later() -> None:
    shared = {"$defs": {"W": WHOLE, "T": TEXT}}
    writer = json_schema(a={"$ref": "#/$defs/W"}, b={"$ref": "#/$defs/W"}) | shared
    text = {"$ref": "#/$defs/T"}
    reader = json_schema(a={"anyOf": [text, WHOLE]}, b=text) | shared
    assert judge(reader, writer) == ("incompatible", ["b"])


def test_what_is_too_large_to_be_compared_is_unknown() -> None:
    wide = {"$ref": "#/$defs/L0"}
    levels = {f"L{n}": json_schema(**{f"p{k}": {"$ref": f"#/$defs/L{n + 1}"} for k in range(8)}) for n in range(12)}
    reader = {**json_schema(a=wide), "$defs": {**levels, "L12": NUMBER}}
    writer = {**json_schema(a=wide), "$defs": {**levels, "L12": WHOLE}}
    assert judge(reader, writer)[0] == "unknown"


def test_a_direction_is_who_reads_what() -> None:
    old, new = Schema(Format.JSON, needs(a=TEXT)), Schema(Format.JSON, needs("a", a=TEXT))
    found = {mode: compare(("1", old), ("2", new), mode).compatibility for mode in Mode}
    assert found == {
        Mode.BACKWARD: Compatibility.INCOMPATIBLE,
        Mode.FORWARD: Compatibility.COMPATIBLE,
        Mode.FULL: Compatibility.INCOMPATIBLE,
    }
