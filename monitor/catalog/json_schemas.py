"""JSON Schema by the library `jsonschema`: whether a body fits, and where it does not. Nothing is ever fetched.

Errors of the library quote values; what is told here names types and what the schema says, and never what a body holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jsonschema import Draft7Validator, Draft201909Validator, Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from monitor.catalog.model import Schema
from monitor.catalog.problems import join

_MOST_VIOLATIONS = 20
_LONGEST_TOLD = 100
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "text like {}",
    "format": "{}",
    "multipleOf": "a multiple of {}",
    "minProperties": "at least {} members",
    "maxProperties": "at most {} members",
}


class CannotJudge(Exception):
    """A schema against which nothing can be held; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that does not fit: dotted (`data.items.0.sku`), empty for the whole body."""

    field: str
    expected: str
    found: str


def find_flaw(schema: Schema) -> str:
    """Say what is wrong with a schema itself; empty where nothing is."""
    if not isinstance(schema.body, Mapping | bool):
        return "is no JSON Schema: it must be an object, true or false"
    try:
        _class_of(schema).check_schema(schema.body)  # type: ignore[arg-type]  # true and false are schemas too
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        return f"is no JSON Schema{f' at {place}' if place else ''}: {error.message[: 2 * _LONGEST_TOLD]}"
    except RecursionError:
        return "is nested too deeply"
    return ""


class Checker:
    """A schema made ready to hold many values against it. Thread-safe."""

    def __init__(self, schema: Schema) -> None:
        self._validator = _class_of(schema)(schema.body, registry=Registry())

    def find_violations(self, value: Any) -> list[Violation]:
        """Return where a value does not fit, up to twenty fields; empty where it fits. Raises CannotJudge."""
        errors = islice(self._validator.iter_errors(value), _MOST_VIOLATIONS)
        try:
            found = [it for error in errors for it in _violations(error)]
        except RecursionError:
            raise CannotJudge("the schema, or the body, goes too deep") from None
        except (ArithmeticError, ValueError) as error:  # the library's arithmetic over endless numbers, and over none
            raise CannotJudge("a number in the body cannot be held against the schema") from error
        except Unresolvable as error:
            raise CannotJudge(f"the schema refers to {str(error.ref)[:_LONGEST_TOLD]}, which is not in it") from error
        return list(dict.fromkeys(found))[:_MOST_VIOLATIONS]


def find_violations(schema: Schema, value: Any) -> list[Violation]:
    """Return where a single value does not fit, as a `Checker` does."""
    return Checker(schema).find_violations(value)


def type_of(value: Any) -> str:
    """Return the JSON type of a value."""
    return _TYPES.get(type(value), "null")


def _class_of(schema: Schema) -> type[Validator]:
    """Return the library's class for a dialect; AsyncAPI's own is a superset of draft 7."""
    told = schema.dialect + (str(schema.body.get("$schema", "")) if isinstance(schema.body, Mapping) else "")
    if "2020-12" in told:
        return Draft202012Validator
    return Draft201909Validator if "2019-09" in told else Draft7Validator


def _violations(error: ValidationError) -> Iterator[Violation]:
    value: Any = error.instance
    wanted: Any = error.validator_value
    field = _field(error)
    if error.validator == "required":
        for name in wanted:
            if name not in value:
                yield Violation(join(field, name), "a value", "nothing")
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        for name in value:
            if name not in known:
                yield Violation(join(field, name), "nothing", type_of(value[name]))
    elif error.validator is None:  # The schema is `false`; of a member, the library's path ends at what it is in.
        yield Violation(field, "nothing where the schema is false", type_of(value))
    else:
        yield Violation(field, _expected(str(error.validator), wanted), type_of(value))


def _expected(keyword: str, wanted: Any) -> str:
    if keyword == "type":
        return wanted if isinstance(wanted, str) else " or ".join(wanted)
    if keyword == "enum":
        return f"one of {', '.join(map(str, wanted))}"[:_LONGEST_TOLD]
    if keyword == "const":
        return f"{wanted}"[:_LONGEST_TOLD]
    if keyword in ("oneOf", "anyOf"):
        return "one of several alternatives"
    return _LIMITS.get(keyword, keyword).format(wanted)[:_LONGEST_TOLD]


def _field(error: ValidationError) -> str:
    return ".".join(map(str, error.absolute_path))
