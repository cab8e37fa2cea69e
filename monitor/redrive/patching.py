"""Edits of bodies on the way, as JSON Patch (RFC 6902), by the library `jsonpatch`.

What it raises quotes values, and reasons are shown to people who may not see bodies: so they are told in words of our
own.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jsonpatch import JsonPatch, JsonPatchException, JsonPatchTestFailed
from jsonpointer import JsonPointer, JsonPointerException

from monitor.errors import BadRequest
from monitor.redrive.bodies import LARGEST_BODY_BYTES, NotRewritable, read_exactly, write_json

MOST_OPERATIONS = 100
LARGEST_PATCH_BYTES = 100_000
_NEEDS_VALUE, _NEEDS_FROM = ("add", "replace", "test"), ("move", "copy")


class DoesNotApply(Exception):
    """The patch does not fit a message; `str()` says why, without its content."""


class BodyPatch:
    """A patch that was understood. Raises BadRequest, with the place, for one that cannot be."""

    def __init__(self, operations: Sequence[Mapping[str, Any]]) -> None:
        if len(operations) > MOST_OPERATIONS:
            raise BadRequest(f"patch: more than {MOST_OPERATIONS} operations", parameter="patch")
        if len(json.dumps(operations)) > LARGEST_PATCH_BYTES:
            raise BadRequest(f"patch: larger than {LARGEST_PATCH_BYTES:,} bytes", parameter="patch")
        self._steps = [(_name(place, it), it.get("op"), _compile(place, it)) for place, it in enumerate(operations)]

    def apply(self, value: bytes | None) -> bytes:
        """Return the edited body. Raises DoesNotApply."""
        try:
            body = read_exactly(value)
            for name, operation, step in self._steps:
                body = _take_step(name, step, body)
                # Each copy can double what there is, and a patch has room for many.
                if operation == "copy" and len(write_json(body, b"")) > 2 * LARGEST_BODY_BYTES:
                    raise DoesNotApply(f"the patch makes too much of it, at {name}")
            return write_json(body, value or b"")
        except NotRewritable as error:
            raise DoesNotApply(str(error)) from None


def _take_step(name: str, step: JsonPatch, body: Any) -> Any:
    try:
        return step.apply(body)
    except JsonPatchTestFailed:
        raise DoesNotApply(f"the test does not hold at {name}") from None
    except (JsonPatchException, JsonPointerException, TypeError, RecursionError):
        raise DoesNotApply(f"the patch does not apply at {name}") from None


def _compile(place: int, operation: Mapping[str, Any]) -> JsonPatch:
    kind = operation.get("op")
    for member, kinds in (("value", _NEEDS_VALUE), ("from", _NEEDS_FROM)):
        if kind in kinds and member not in operation:
            raise _misunderstood(place, f"{kind} needs `{member}`")
    for member in ("path", "from"):
        if member in operation:
            try:
                JsonPointer(operation[member])
            except (JsonPointerException, TypeError, AttributeError):
                told = f"`{member}` is no JSON pointer; it begins with /, as in /items/0"
                raise _misunderstood(place, told) from None
    try:
        return JsonPatch([dict(operation)])
    except (JsonPatchException, JsonPointerException, TypeError) as error:
        raise _misunderstood(place, str(error)) from error


def _misunderstood(place: int, problem: str) -> BadRequest:
    return BadRequest(f"patch[{place}]: {problem}", parameter="patch", position=place)


def _name(place: int, operation: Mapping[str, Any]) -> str:
    return f"patch[{place}] ({operation.get('op')} {operation.get('path')})"
