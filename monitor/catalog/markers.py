"""How versions of an event are told apart: by constants at the first level of their schemas. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.catalog.model import Format, Schema

_PLAIN = str | int | float | bool


def markers_of(schema: Schema | None) -> dict[str, Any]:
    """Return the constants at the first level of a JSON Schema, by their names."""
    properties = _properties(schema)
    found = {name: _constant(it) for name, it in properties.items()}
    return {name: it for name, it in found.items() if isinstance(it, _PLAIN)}


def without_markers(schema: Schema | None, other: Schema | None) -> Schema | None:
    """Return a schema without the constants that tell it from another version of the same event."""
    own, others = markers_of(schema), markers_of(other)
    apart = {name for name in own.keys() & others.keys() if own[name] != others[name]}
    if schema is None or not apart:
        return schema
    return without(schema, apart)


def without(schema: Schema, names: set[str]) -> Schema:
    """Return a schema that takes anything for some of its properties."""
    properties = {name: True if name in names else it for name, it in _properties(schema).items()}
    return replace(schema, body={**schema.body, "properties": properties})


def _properties(schema: Schema | None) -> Mapping[str, Any]:
    if schema is None or schema.format is not Format.JSON or not isinstance(schema.body, Mapping):
        return {}
    found = schema.body.get("properties")
    return found if isinstance(found, Mapping) else {}


def _constant(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return None
    values = schema.get("enum")
    return values[0] if isinstance(values, list) and len(values) == 1 else schema.get("const")
