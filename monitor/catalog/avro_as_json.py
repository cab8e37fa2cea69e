"""Avro schemas as JSON Schemas of what their decoded bodies hold, so that both formats are mapped in one way.

A record is an object that has all fields without a default and no others; a field's `aliases` are where it was before,
as `x-renamed-from` is, which fields of Avro may have as well. What a type refers to stands in its place. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.catalog.json_schemas import CannotJudge
from monitor.catalog.model import Format, Schema
from monitor.catalog.patches import RENAMED
from monitor.catalog.reading import escape

_MOST_TYPES = 5_000
_INTEGERS = {"int": 1 << 31, "long": 1 << 63}
_PLAIN = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "bytes": {"type": "string"},  # as Avro's own JSON has them, and decoded bodies as well
    "fixed": {"type": "string"},
}


def as_json(schema: Schema) -> Schema:
    """Return a JSON Schema of what a body holds, decoded. Raises CannotJudge for formats of which there is none."""
    if schema.format is Format.JSON:
        return schema
    if schema.format is not Format.AVRO:
        raise CannotJudge("there is no JSON Schema of it")
    return Schema(Format.JSON, _Types().read(schema.body, ""))


@dataclass(slots=True)
class _Types:
    """Reads one schema. `named` are the types with names, `open` those in the midst of which we are."""

    named: dict[str, Any] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    left: int = _MOST_TYPES

    def read(self, value: Any, pointer: str | None, space: str = "") -> dict[str, Any]:
        """Return a type as JSON Schema; `pointer` is where its value is in the body, None inside of lists and maps."""
        self.left -= 1  # a type may stand in many places, and so may what it holds
        if self.left < 0:
            raise CannotJudge("the schema holds too many types")
        if isinstance(value, list):
            return {"anyOf": [self.read(it, pointer, space) for it in value]}
        if isinstance(value, str):
            return self._by_name(value, pointer, space)
        if not isinstance(value, Mapping):
            raise CannotJudge("it is no Avro schema")
        if "logicalType" in value:
            return {}  # written as text, or as a number, as the library decodes it
        return self._by_kind(value, pointer, space)

    def _by_name(self, name: str, pointer: str | None, space: str) -> dict[str, Any]:
        if name in _INTEGERS:
            limit = _INTEGERS[name]
            return {"type": "integer", "minimum": -limit, "maximum": limit - 1}
        if name in _PLAIN:
            return dict(_PLAIN[name])
        full = _full_name(name, space)
        if full in self.open or full not in self.named:
            return {}  # a type that holds itself: no deeper than this
        return self._by_kind(self.named[full], pointer, space)

    def _by_kind(self, value: Mapping[str, Any], pointer: str | None, space: str) -> dict[str, Any]:
        kind = value.get("type")
        if kind in ("record", "error", "enum", "fixed"):
            full = _full_name(str(value.get("name", "")), str(value.get("namespace") or space))
            self.named[full] = value
            if kind == "enum":
                return {"enum": list(value.get("symbols") or ())}
            return self._record(value, full, pointer) if kind != "fixed" else dict(_PLAIN["fixed"])
        if kind == "array":
            return {"type": "array", "items": self.read(value.get("items"), None, space)}
        if kind == "map":
            return {"type": "object", "additionalProperties": self.read(value.get("values"), None, space)}
        return self.read(kind, pointer, space)

    def _record(self, value: Mapping[str, Any], full: str, pointer: str | None) -> dict[str, Any]:
        self.open.add(full)
        fields = [it for it in value.get("fields") or () if isinstance(it, Mapping)]
        properties = {str(it.get("name")): self._field(it, pointer, full.rpartition(".")[0]) for it in fields}
        self.open.discard(full)
        required = [str(it.get("name")) for it in fields if "default" not in it]
        return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}

    def _field(self, value: Mapping[str, Any], pointer: str | None, space: str) -> dict[str, Any]:
        place = None if pointer is None else f"{pointer}/{escape(str(value.get('name')))}"
        schema = self.read(value.get("type"), place, space)
        if "default" in value:
            schema["default"] = value["default"]
        before = next(_places_before(value, pointer), None) if pointer is not None else None
        return schema if before is None else {**schema, RENAMED: before}


def _places_before(field_: Mapping[str, Any], pointer: str) -> Iterator[str]:
    if isinstance(field_.get(RENAMED), str):
        yield field_[RENAMED]
    yield from (f"{pointer}/{escape(str(it))}" for it in field_.get("aliases") or ())


def _full_name(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"
