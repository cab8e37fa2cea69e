"""Holds a document against the published schema of AsyncAPI, and tells every mistake with its place.

The schemas lie in `asyncapi/` as the AsyncAPI Initiative publishes them; see the README there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError

from monitor.catalog.reading import Document, escape
from monitor.catalog.references import find_mistakes
from monitor.errors import ConfigurationError

VERSIONS = ("3.0.0", "3.1.0")
_FOLDER = Path(__file__).parent / "asyncapi"
_MOST_MISTAKES = 50
_LONGEST_QUOTE = 80
_EITHER = ("anyOf", "oneOf")


def is_asyncapi(document: Document) -> bool:
    """Say whether a document means to be one of AsyncAPI."""
    return isinstance(document.values, dict) and "asyncapi" in document.values


def check_document(document: Document) -> None:
    """Raise ConfigurationError, with a line a mistake, for what is no AsyncAPI 3 document that stands alone."""
    values: Any = document.values
    if not is_asyncapi(document) or not isinstance(values["asyncapi"], str):
        told = "is no AsyncAPI document: it has no key `asyncapi` with a version"
        raise ConfigurationError(told, place=document.name, remedy=f"begin it with asyncapi: {VERSIONS[0]}")
    if values["asyncapi"] not in VERSIONS:
        told = f"is a version of AsyncAPI that is not read here; known are {' and '.join(VERSIONS)}"
        raise ConfigurationError(told, place=document.place("/asyncapi"))
    found = {document.place(pointer): sentence for pointer, sentence in _mistakes(values)}
    if found:
        raise ConfigurationError("\n".join(f"{place}: {sentence}" for place, sentence in found.items()))


def _mistakes(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from islice(find_mistakes(values), _MOST_MISTAKES)
    structure, schemas = _cut_schemas(values)
    errors = chain(_validator(values["asyncapi"]).iter_errors(structure), *(_schema_errors(*it) for it in schemas))
    for error in islice(errors, _MOST_MISTAKES):
        deepest = _deepest(error)
        yield _pointer(deepest.absolute_path), _say(deepest)


def _schema_errors(path: Sequence[str], schema: Any) -> Iterator[ValidationError]:
    for error in Draft7Validator(Draft7Validator.META_SCHEMA).iter_errors(schema):
        error.path.extendleft(reversed(path))
        yield error


def _cut_schemas(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[tuple[str, ...], Any]]]:
    """Return a document without the schemas in it, and these with their paths.

    AsyncAPI's schema goes through a schema once for each level above it, which takes minutes for large ones; the
    metaschema that it refers to goes through it once. Avro and other formats are left to who reads them.
    """
    cut: list[tuple[tuple[str, ...], Any]] = []

    def without(value: Any, path: tuple[str, ...]) -> Any:
        if path[:-1] == ("components", "schemas") or (_is_message(path[:-1]) and path[-1] in ("payload", "headers")):
            if not (isinstance(value, Mapping) and "schemaFormat" in value):
                cut.append((path, value))
            return {"type": "object"}
        if isinstance(value, Mapping) and (len(path) < 2 or path[0] in ("components", "channels")) and len(path) < 5:
            return {name: without(it, (*path, str(name))) for name, it in value.items()}
        return value

    return without(values, ()), cut


def _is_message(path: tuple[str, ...]) -> bool:
    return (len(path) == 3 and path[:2] in (("components", "messages"), ("components", "messageTraits"))) or (
        len(path) == 4 and path[0] == "channels" and path[2] == "messages"
    )


@cache
def _validator(version: str) -> Draft7Validator:
    return Draft7Validator(json.loads((_FOLDER / f"{version}.json").read_text(encoding="utf-8")))


def _deepest(error: ValidationError) -> ValidationError:
    """Return what is really wrong: of alternatives, the one that was meant."""
    while error.validator in _EITHER and error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [it for it in branches.values() if not any(_is_about_reference(inner) for inner in it)]
        # The alternative that goes furthest into the value is the one that fits it best.
        error = max((it for errors in meant or branches.values() for it in errors), key=lambda it: len(it.path))
    return error


def _is_about_reference(error: ValidationError) -> bool:
    return error.validator == "required" and "'$ref'" in error.message and not error.path


def _say(error: ValidationError) -> str:
    """Say a mistake without quoting more of the document than helps."""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        value: Any = error.instance
        strange = [name for name in value if name not in known and not name.startswith("x-")]
        return f"has keys that are not known here: {', '.join(map(str, strange[:5]))}"
    if error.validator == "type":
        kinds: Any = error.validator_value
        return f"must be of type {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    return error.message if len(error.message) <= 3 * _LONGEST_QUOTE else f"{error.message[: 3 * _LONGEST_QUOTE]}…"


def _pointer(path: Sequence[Any]) -> str:
    return "".join(f"/{escape(str(part))}" for part in path)
