"""A YAML or JSON document from a file, whose values know their lines, read in bounded time and memory.

Nothing in it is obeyed: no variables, no files, no tags of Python. Aliases are written out, and what they make of a
document counts like the rest of it. Of libyaml only its events are used: its `compose` ends the process where brackets
are nested without end.
"""

from pathlib import Path
from typing import Any

import yaml

from monitor.document import why_unreadable
from monitor.errors import ConfigurationError

LARGEST_BYTES = 1_000_000
MOST_VALUES = 60_000
DEEPEST = 60

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_JSON_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}


class Document:
    """Values with their lines, by JSON pointer. Raises ConfigurationError, with its place."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._lines: dict[str, int] = {}
        self._resolver: Any = yaml.SafeLoader("")
        self._anchors: dict[str, tuple[Any, int]] = {}  # the value of each, and how many values that holds
        self._left = MOST_VALUES
        try:
            # Event by event, so that what is nested too deeply is refused before the parser has gone through it.
            self._events = yaml.parse(text, Loader=_PARSER)
            self.values = self._read_document()
        except yaml.MarkedYAMLError as error:
            line = f":{_line_of(error.problem_mark)}" if error.problem_mark else ""
            raise ConfigurationError(f"is neither YAML nor JSON: {error.problem}", place=f"{name}{line}") from error
        except yaml.YAMLError as error:
            raise ConfigurationError("has characters that YAML forbids", place=name) from error

    def place(self, pointer: str) -> str:
        """Say where something stands: file, line and JSON pointer."""
        near = pointer
        while near and near not in self._lines:
            near = near.rpartition("/")[0]
        return f"{self.name}:{self._lines.get(near, 1)}: {pointer or '/'}"

    def _read_document(self) -> Any:
        next(self._events), next(self._events)  # the beginnings of the stream and of the document
        event = next(self._events, None)
        if event is None or isinstance(event, yaml.StreamEndEvent):
            return None
        values = self._read(event, "", 0)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._mistake("", "is more than one document; keep one")
        return values

    def _read(self, event: Any, pointer: str, depth: int) -> Any:
        self._lines.setdefault(pointer, _line_of(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            return self._read_alias(event, pointer)
        self._take(1, pointer)
        if depth > DEEPEST:
            raise self._mistake(pointer, f"is nested more than {DEEPEST} levels deep")
        left = self._left
        value = self._read_value(event, pointer, depth)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchors[event.anchor] = value, left - self._left + 1
        return value

    def _read_value(self, event: Any, pointer: str, depth: int) -> Any:
        if isinstance(event, yaml.MappingStartEvent):
            return self._read_mapping(pointer, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            values: list[Any] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                values.append(self._read(inner, f"{pointer}/{len(values)}", depth + 1))
            return values
        return self._read_scalar(event, pointer)

    def _read_mapping(self, pointer: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self._mistake(pointer, "has a key that is no text")
            if key.value == "<<" and key.style is None:
                raise self._mistake(pointer, "has a merge key (<<), which AsyncAPI does not know; write it out")
            below = f"{pointer}/{escape(key.value)}"
            self._lines[below] = _line_of(key.start_mark)
            if key.value in values:
                raise self._mistake(below, "stands twice; keep one")
            values[key.value] = self._read(next(self._events), below, depth + 1)
        return values

    def _read_alias(self, event: yaml.AliasEvent, pointer: str) -> Any:
        if event.anchor not in self._anchors:
            raise self._mistake(pointer, "names an anchor that is not there, or contains itself")
        value, size = self._anchors[event.anchor]
        self._take(size, pointer)
        return value

    def _read_scalar(self, event: yaml.ScalarEvent, pointer: str) -> Any:
        tag = event.tag or self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _JSON_TAGS:
            return event.value  # such as a date, which JSON writes as text
        try:
            return self._resolver.construct_object(yaml.ScalarNode(tag, event.value))
        except (yaml.YAMLError, ValueError) as error:
            raise self._mistake(pointer, "cannot be read as what it looks like; put it into quotes") from error

    def _take(self, number: int, pointer: str) -> None:
        self._left -= number
        if self._left < 0:
            raise self._mistake(pointer, f"the document has more than {MOST_VALUES:,} values, aliases written out")

    def _mistake(self, pointer: str, sentence: str) -> ConfigurationError:
        return ConfigurationError(sentence, place=self.place(pointer))


def _line_of(mark: Any) -> int:
    return int(mark.line) + 1


def read_document(path: Path) -> Document:
    """Read a document. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot be read ({why_unreadable(error)})", place=str(path)) from error
    if len(raw) > LARGEST_BYTES:
        raise ConfigurationError(f"is larger than {LARGEST_BYTES:,} bytes", place=str(path))
    return Document(text, str(path))


def escape(part: str) -> str:
    """Write a key as a part of a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def unescape(part: str) -> str:
    """Read a part of a JSON pointer."""
    return part.replace("~1", "/").replace("~0", "~")
