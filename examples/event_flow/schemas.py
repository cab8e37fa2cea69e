"""The schemas of the events, as the catalog has them (config/catalog.yml): there is no other place where they stand.

A payload is held against the version that it says it is. What is told of it names fields and types, and quotes nothing,
since payloads may hold personal data.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft7Validator, FormatChecker, ValidationError

CATALOG: Final = Path(__file__).parents[2] / "config" / "catalog.yml"
_TYPES: Final = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_formats = FormatChecker(formats=("uuid",))

Validators = Mapping[str, Mapping[int, Draft7Validator]]
"""What checks a whole payload, by the type of the event and the version of its schema."""


class BadEvent(Exception):
    """An event that no amount of retrying makes readable."""


class Unparseable(BadEvent):
    """The bytes are no JSON object."""


class UnknownType(BadEvent):
    """Nobody has written down what an event of this type looks like."""


class UnknownVersion(BadEvent):
    """The producer writes a version of the schema that this consumer has never seen."""


class MissingField(BadEvent):
    """A field that the schema demands is not there."""


class WrongType(BadEvent):
    """A field has a value that the schema does not allow."""


@_formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@cache
def validators() -> Validators:
    """Return what the catalog knows, made once."""
    document = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))
    found: dict[str, dict[int, Draft7Validator]] = {}
    for message in document["components"]["messages"].values():
        schema = _whole(message["payload"], document)
        found.setdefault(message["name"], {})[int(message["x-version"])] = Draft7Validator(
            schema, format_checker=_formats
        )
    return found


def _whole(value: Any, document: Any) -> Any:
    """Return a value with what it refers to in its place; the library would look it up again for each payload."""
    if isinstance(value, list):
        return [_whole(it, document) for it in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        parts = value["$ref"].removeprefix("#/").split("/")
        return _whole(reduce(getitem, parts, document), document)
    return {name: _whole(it, document) for name, it in value.items()}


def check(document: Mapping[str, Any], newest_version: int) -> None:
    """Hold a payload against its schema, of a version up to the newest that a release knows. Raises BadEvent."""
    kind, version = _field(document, "type", str), _field(document, "schema_version", int)
    if kind not in validators():
        raise UnknownType(f"no schema for events of type {kind}")
    known = {number: it for number, it in validators()[kind].items() if number <= newest_version}
    if version not in known:
        told = ", ".join(str(number) for number in sorted(known))
        raise UnknownVersion(f"{kind} version {version} is unknown; known: {told}")
    for error in known[version].iter_errors(document):
        raise _to_bad_event(error) from None  # the library's text quotes the payload


def _field(document: Mapping[str, Any], name: str, wanted: type) -> Any:
    if name not in document:
        raise MissingField(f"{name} is missing")
    if type(document[name]) is not wanted:
        raise WrongType(f"{name} must be {_TYPES[wanted]}, found {_type_of(document[name])}")
    return document[name]


def _to_bad_event(error: ValidationError) -> BadEvent:
    path = [str(part) for part in error.absolute_path]
    wanted: Any = error.validator_value
    if error.validator == "required":
        missing = next(name for name in wanted if name not in error.instance)  # type: ignore[operator]
        return MissingField(f"{'.'.join([*path, missing])} is missing")
    if error.validator == "type":
        return WrongType(f"{'.'.join(path)} must be {wanted}, found {_type_of(error.instance)}")
    return WrongType(f"{'.'.join(path)} must have {error.validator} {wanted}, found another {_type_of(error.instance)}")


def _type_of(value: object) -> str:
    return _TYPES.get(type(value), "null")
