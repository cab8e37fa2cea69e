"""What would make a body of one version fit another, as JSON Patch (RFC 6902). Pure.

Mapped are fields that were renamed or moved, as `x-renamed-from` in the newer schema says (a JSON pointer into the
payload of the version before), fields with a `default`, constants, and fields that are not allowed any more. Nothing is
guessed from names that look alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.catalog.json_schemas import Violation
from monitor.catalog.model import Schema
from monitor.catalog.reading import escape, unescape

RENAMED = "x-renamed-from"
_DEEPEST = 20
_MOST_FIELDS = 500


class Unmappable(Exception):
    """Something is wrong with a body that no schema says how to mend."""


def propose(
    written: Schema | None, target: Schema, body: Any, violations: Sequence[Violation]
) -> Iterator[dict[str, Any]]:
    """Yield the operations that mend what is wrong with a body. Raises Unmappable where something cannot be."""
    moved = _moves(written, target)
    taken: set[str] = set()
    for violation in violations:
        pointer = "".join(f"/{escape(part)}" for part in violation.field.split("."))
        if violation.found == "nothing":
            for operation in _supply(pointer, target, body, moved, 0):
                taken.add(operation.get("from", ""))
                yield operation
        elif violation.expected == "nothing":
            if pointer not in taken:
                yield {"op": "remove", "path": pointer}
        else:
            yield _set_constant(pointer, target)


def _supply(pointer: str, target: Schema, body: Any, moved: Mapping[str, str], depth: int) -> Iterator[dict[str, Any]]:
    """Yield what puts a missing field there."""
    schema = _schema_at(target, pointer)
    source = moved.get(pointer)
    if source is not None and _has(body, source):
        yield {"op": "move", "from": source, "path": pointer}
    elif "default" in schema:
        yield {"op": "add", "path": pointer, "value": schema["default"]}
    elif "const" in schema:
        yield {"op": "add", "path": pointer, "value": schema["const"]}
    elif isinstance(schema.get("properties"), Mapping) and depth < _DEEPEST:
        yield {"op": "add", "path": pointer, "value": {}}
        for name in schema.get("required") or ():
            yield from _supply(f"{pointer}/{escape(name)}", target, body, moved, depth + 1)
    else:
        raise Unmappable(pointer)


def _set_constant(pointer: str, target: Schema) -> dict[str, Any]:
    schema = _schema_at(target, pointer)
    if "const" not in schema:
        raise Unmappable(pointer)
    return {"op": "replace", "path": pointer, "value": schema["const"]}


def _moves(written: Schema | None, target: Schema) -> dict[str, str]:
    """Return where the value of a field of the target is in what was written: both schemas may say so."""
    moved = {old: new for new, old in _renames(written)} if written else {}
    return {**moved, **dict(_renames(target))}


def _renames(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the fields that were somewhere else in the version before: their pointers, and where that was."""
    open_fields: list[tuple[str, Any, int]] = [("", schema.body, 0)]
    for _ in range(_MOST_FIELDS):
        if not open_fields:
            return
        pointer, value, depth = open_fields.pop()
        value = _followed(value, schema)
        if isinstance(value.get(RENAMED), str):
            yield pointer, value[RENAMED]
        properties = value.get("properties")
        if isinstance(properties, Mapping) and depth < _DEEPEST:
            open_fields += [(f"{pointer}/{escape(name)}", it, depth + 1) for name, it in properties.items()]


def _schema_at(schema: Schema, pointer: str) -> Mapping[str, Any]:
    value = _followed(schema.body, schema)
    for part in pointer.split("/")[1:]:
        properties = value.get("properties") or {}
        value = _followed(properties.get(unescape(part)), schema)
    return value


def _followed(value: Any, schema: Schema) -> Mapping[str, Any]:
    for _ in range(_DEEPEST):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = (schema.body.get("$defs") or {}).get(reference.rpartition("/")[2])
    return {}


def _has(body: Any, pointer: str) -> bool:
    for part in pointer.split("/")[1:]:
        name = unescape(part)
        if not isinstance(body, Mapping) or name not in body:
            return False
        body = body[name]
    return True
