"""Whether what was written by one JSON Schema can be read by another. Pure.

Read are: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items` (one schema), `anyOf`,
`oneOf` of the writer, the limits of numbers, texts and lists, `uniqueItems`, and `$ref` inside of the schema. All else
is unknown, unless both sides say the same. Properties that a schema neither names nor allows by its
`additionalProperties` are taken not to be written, as in the lenient policy of Confluent's registry: strictly, every
new property could clash with what somebody wrote before without being asked to.
"""

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.catalog.json_schemas import CannotJudge, find_violations, type_of
from monitor.catalog.model import Format, Schema
from monitor.catalog.problems import Compatibility, Problem, join
from monitor.catalog.reading import unescape

_MOST_PROBLEMS = 50
_MOST_STEPS = 5_000
_DEEPEST = 60
_ALL_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
_LEAST = {"minimum": "number", "minLength": "string", "minItems": "array"}
_MOST = {"maximum": "number", "maxLength": "string", "maxItems": "array"}
_SAID_NOTHING = frozenset(
    ("title", "description", "examples", "example", "default", "deprecated", "readOnly", "writeOnly", "$comment",
     "$schema", "$id", "$defs", "definitions", "externalDocs")
)  # fmt: skip
_SAME = {"pattern": "string", "format": "string", "multipleOf": "number", "exclusiveMinimum": "number",
         "exclusiveMaximum": "number", "contentEncoding": "string", "contentMediaType": "string",
         "minProperties": "object", "maxProperties": "object", "propertyNames": "object"}  # fmt: skip
"""Keywords that are compatible when both sides have the same, or only the writer has one."""
_READ = frozenset(
    ("type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "$ref",
     "uniqueItems", *_LEAST, *_MOST, *_SAME)
)  # fmt: skip


def find_json_problems(reader: Schema, writer: Schema) -> list[Problem]:
    """Return what keeps a reader from reading what a writer wrote."""
    return _Comparer(reader, writer).compare()


class _Comparer:
    """Compares two whole schemas, each with its own definitions."""

    def __init__(self, reader: Schema, writer: Schema) -> None:
        self._reader, self._writer = reader, writer
        self._open: set[tuple[int, int]] = set()
        self._left = _MOST_STEPS

    def compare(self) -> list[Problem]:
        try:
            problems = self._compare(self._reader.body, self._writer.body, "", 0)
        except RecursionError:
            return [_unknown("", "is nested too deeply to be compared")]
        return list(dict.fromkeys(problems))[:_MOST_PROBLEMS]

    def _compare(self, reader: Any, writer: Any, field: str, depth: int) -> list[Problem]:
        pair = (id(reader), id(writer))
        if pair in self._open:
            return []  # a circle: it holds if everything else on the way does
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return [_unknown(field, "the schemas are too large to be compared")]
        self._open.add(pair)
        try:
            return self._compare_followed(reader, writer, field, depth)
        finally:
            self._open.discard(pair)

    def _compare_followed(self, reader: Any, writer: Any, field: str, depth: int) -> list[Problem]:
        reader, writer = _follow(reader, self._reader.body), _follow(writer, self._writer.body)
        if reader is None or writer is None:
            return [_unknown(field, "a reference leads out of the schema")]
        if writer is False or reader is True:
            return []
        if reader is False:
            return [_wrong(field, "is not allowed any more")]
        if not _meant(reader):
            return []
        writer = {} if writer is True else writer
        if self._is_same(reader, writer):
            return []
        return self._compare_said(reader, writer, field, depth)

    def _is_same(self, reader: Mapping[str, Any], writer: Mapping[str, Any]) -> bool:
        """Say whether both say the same, and refer to nothing that could differ."""
        text = _canonical(_meant(reader))
        return '"$ref"' not in text and text == _canonical(_meant(writer))

    def _compare_said(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], field: str, depth: int
    ) -> list[Problem]:
        branches = next((writer[it] for it in ("anyOf", "oneOf") if it in writer), None)
        if branches is not None:
            return self._compare_branches(reader, writer, branches, field, depth)
        if "anyOf" in reader or "oneOf" in reader:
            return self._fit_a_branch(reader, writer, field, depth)
        strange = {*_meant(reader), *_meant(writer)} - _READ
        if strange:
            return [_unknown(field, f"{', '.join(sorted(strange))} cannot be compared")]
        values = _values(writer)
        if values is not None:
            return self._compare_values(reader, values, field)
        if "enum" in reader or "const" in reader:
            return [_wrong(field, "takes only certain values now, and others may have been written")]
        return [*_compare_types(reader, writer, field), *self._compare_parts(reader, writer, field, depth)]

    # -- alternatives -------------------------------------------------------------------------------------------------

    def _compare_branches(
        self, reader: Any, writer: Mapping[str, Any], branches: Sequence[Any], field: str, depth: int
    ) -> list[Problem]:
        """What is written by any of the alternatives must be readable."""
        beside = {name: it for name, it in _meant(writer).items() if name not in ("anyOf", "oneOf")}
        if set(beside) - {"type"}:
            return [_unknown(field, "alternatives beside other keywords cannot be compared")]
        return [it for branch in branches for it in self._compare(reader, branch, field, depth + 1)]

    def _fit_a_branch(self, reader: Mapping[str, Any], writer: Any, field: str, depth: int) -> list[Problem]:
        if set(_meant(reader)) != {"anyOf"}:
            return [_unknown(field, "oneOf of a reader, and alternatives beside other keywords, cannot be compared")]
        for branch in reader["anyOf"]:
            if not self._compare(branch, writer, field, depth + 1):
                return []
        written = _types(writer)
        read = [
            _types(it) for branch in reader["anyOf"] if isinstance(it := _follow(branch, self._reader.body), Mapping)
        ]
        if len(read) == len(reader["anyOf"]) and not any(_takes(types, it) for types in read for it in written):
            return [_wrong(field, f"was {_say(written)} and none of the alternatives takes that")]
        return [_unknown(field, "fits none of the alternatives alone")]

    # -- values -------------------------------------------------------------------------------------------------------

    def _compare_values(self, reader: Mapping[str, Any], values: Sequence[Any], field: str) -> list[Problem]:
        """Where the writer names its values, each of them is held against the reader."""
        definitions = {it: self._reader.body[it] for it in ("$defs", "definitions") if it in self._reader.body}
        alone = Schema(Format.JSON, {**definitions, **reader}, self._reader.dialect)
        try:
            refused = [it for it in values if find_violations(alone, it)]
        except CannotJudge as error:
            return [_unknown(field, str(error))]
        return [_wrong(field, f"no longer takes {', '.join(map(str, refused))[:100]}")] if refused else []

    # -- parts --------------------------------------------------------------------------------------------------------

    def _compare_parts(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], field: str, depth: int
    ) -> list[Problem]:
        types = _types(writer)
        problems: list[Problem] = []
        if types & {"object"}:
            problems += self._compare_members(reader, writer, field, depth)
        if types & {"array"}:
            problems += self._compare_elements(reader, writer, field, depth)
        problems += _compare_limits(reader, writer, types, field)
        return problems

    def _compare_members(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], field: str, depth: int
    ) -> Iterator[Problem]:
        read, written = reader.get("properties") or {}, writer.get("properties") or {}
        always = set(writer.get("required") or ())
        for name in reader.get("required") or ():
            if name not in always:
                told = "is needed, and was optional" if name in written else "is needed, and was not written"
                yield _wrong(join(field, name), told)
        others = reader.get("additionalProperties", True)
        for name, schema in written.items():
            if name in read:
                yield from self._compare(read[name], schema, join(field, name), depth + 1)
            elif others is False:
                yield _wrong(join(field, name), "is not allowed, and was written")
            else:
                yield from self._compare(others, schema, join(field, name), depth + 1)
        more = writer.get("additionalProperties", False)
        if more is not False:
            for name in read:
                if name not in written:
                    yield from self._compare(read[name], more, join(field, name), depth + 1)
            yield from self._compare(others, more, join(field, "*"), depth + 1)

    def _compare_elements(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], field: str, depth: int
    ) -> Iterator[Problem]:
        read, written = reader.get("items", True), writer.get("items", True)
        if isinstance(read, list) or isinstance(written, list):
            yield _unknown(field, "lists with a schema for each place cannot be compared")
        else:
            yield from self._compare(read, written, join(field, "[]"), depth + 1)
        if reader.get("uniqueItems") and not writer.get("uniqueItems"):
            yield _wrong(field, "must not have anything twice, and might have")


def _compare_types(reader: Mapping[str, Any], writer: Mapping[str, Any], field: str) -> Iterator[Problem]:
    read, written = _types(reader), _types(writer)
    refused = {it for it in written if not _takes(read, it)}
    if refused:
        yield _wrong(field, f"was {_say(written)} and is {_say(read)}")


def _compare_limits(
    reader: Mapping[str, Any], writer: Mapping[str, Any], types: frozenset[str], field: str
) -> Iterator[Problem]:
    numbers = {"integer": "number"}
    kinds = {numbers.get(it, it) for it in types}
    for keywords, is_tighter in ((_LEAST, operator.gt), (_MOST, operator.lt)):
        for keyword, kind in keywords.items():
            if keyword in reader and kind in kinds:
                before = writer.get(keyword)
                if before is None or is_tighter(reader[keyword], before):
                    was = "was not limited" if before is None else f"was {before}"
                    yield _wrong(field, f"{keyword} is {reader[keyword]}, and {was}")
    for keyword, kind in _SAME.items():
        if keyword in reader and kind in kinds and _canonical(reader[keyword]) != _canonical(writer.get(keyword)):
            yield _unknown(field, f"{keyword} is another, or new, and cannot be compared")


def _follow(schema: Any, root: Any) -> Any:
    """Return what a schema is when its references are followed; None where they lead out of it."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        if set(_meant(schema)) != {"$ref"} or not schema["$ref"].startswith("#"):
            return None
        schema, parts = root, schema["$ref"][1:].split("/")[1:]
        for part in parts:
            name = unescape(part)
            if not isinstance(schema, Mapping) or name not in schema:
                return None
            schema = schema[name]
    return None


def _meant(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a schema decides on values."""
    return {name: it for name, it in schema.items() if name not in _SAID_NOTHING and not name.startswith("x-")}


def _types(schema: Any) -> frozenset[str]:
    if not isinstance(schema, Mapping):
        return _ALL_TYPES
    values = _values(schema)
    if values is not None:
        return frozenset(map(type_of, values))
    told = schema.get("type")
    return _ALL_TYPES if told is None else frozenset((told,) if isinstance(told, str) else told)


def _takes(read: frozenset[str], written: str) -> bool:
    return written in read or (written == "integer" and "number" in read)


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _say(types: frozenset[str]) -> str:
    return "anything" if types >= _ALL_TYPES else " or ".join(sorted(types))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _wrong(field: str, text: str) -> Problem:
    return Problem(field, Compatibility.INCOMPATIBLE, text)


def _unknown(field: str, text: str) -> Problem:
    return Problem(field, Compatibility.UNKNOWN, text)
