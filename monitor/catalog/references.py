"""References inside of a document: `$ref` with a JSON pointer. What lies outside is never fetched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from monitor.catalog.reading import escape, unescape

_PLAIN = frozenset(("const", "enum", "default", "examples", "example"))
"""Keys whose values are data, in which `$ref` is a name like any other."""
_NAMED = frozenset(("properties", "patternProperties", "$defs", "definitions", "schemas"))
"""Keys whose values have names as keys, which mean nothing whatever they are."""


class Dangling(Exception):
    """A reference that leads nowhere; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and the JSON pointer at which it really stands."""

    value: Any
    pointer: str


class References:
    """Follows the references of one document."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def follow(self, value: Any, pointer: str) -> Found:
        """Return what a value is when the references that it consists of are followed. Raises Dangling."""
        passed: set[str] = set()
        while isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
            if value["$ref"] in passed:
                raise Dangling(f"{value['$ref']} refers to itself and to nothing else")
            passed.add(value["$ref"])
            found = self.find(value["$ref"])
            value, pointer = found.value, found.pointer
        return Found(value, pointer)

    def find(self, reference: str) -> Found:
        """Return what a reference names. Raises Dangling."""
        if not reference.startswith("#"):
            raise Dangling(f"{reference[:200]} is outside of this document, and is not fetched; put it in here")
        pointer = unquote(reference[1:])
        value = self._root
        for part in pointer.split("/")[1:]:
            name = unescape(part)
            if isinstance(value, Mapping) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            else:
                raise Dangling(f"there is nothing at {reference[:200]}")
        if pointer and not pointer.startswith("/"):
            raise Dangling(f"{reference[:200]} is no JSON pointer; write it as #/components/…")
        return Found(value, pointer)


def find_mistakes(root: Any) -> Iterator[tuple[str, str]]:
    """Yield the references that lead nowhere: where they stand, and why."""
    references = References(root)
    for pointer, value in walk(root, ""):
        if isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
            try:
                references.follow(value, pointer)
            except Dangling as error:
                yield f"{pointer}/$ref", str(error)


def walk(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Yield every value in which a reference may stand, with its pointer."""
    yield pointer, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _PLAIN or pointer.rpartition("/")[2] in _NAMED:
                yield from walk(inner, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from walk(inner, f"{pointer}/{place}")


def bundle(schema: Any, references: References) -> Any:
    """Return a JSON Schema that stands alone: what it refers to in the document lies under `$defs`.

    References that go in circles stay references. Raises Dangling.
    """
    names: dict[str, str] = {}
    definitions: dict[str, Any] = {}

    def rewrite(value: Any, key: str = "") -> Any:
        if isinstance(value, list):
            return [rewrite(it) for it in value]
        if not isinstance(value, Mapping):
            return value
        if isinstance(value.get("$ref"), str):
            return {**value, "$ref": f"#/$defs/{define(value)}"}
        plain = frozenset() if key in _NAMED else _PLAIN
        return {name: it if name in plain else rewrite(it, name) for name, it in value.items()}

    def define(value: Mapping[str, Any]) -> str:
        found = references.follow(value, "")
        if found.pointer not in names:
            names[found.pointer] = _free_name(found.pointer, definitions)
            definitions[names[found.pointer]] = True  # known before what it holds is: that may refer to it
            definitions[names[found.pointer]] = rewrite(found.value)
        return names[found.pointer]

    whole = rewrite(references.follow(schema, "").value)
    if not definitions or not isinstance(whole, dict):
        return whole
    return {**whole, "$defs": {**whole.get("$defs", {}), **definitions}}


def _free_name(pointer: str, taken: Mapping[str, Any]) -> str:
    last = "".join(it if it.isalnum() else "_" for it in pointer.rpartition("/")[2]) or "root"
    return last if last not in taken else f"{last}_{len(taken)}"
