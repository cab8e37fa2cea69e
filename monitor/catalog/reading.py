"""A YAML or JSON document from a file, whose values know their lines, read in bounded time and memory.

Nothing in it is obeyed: no variables, no files, no tags of Python. Aliases are written out, and what they make of a
document counts like the rest of it. The parser that is written in C is not used: it ends the process where brackets are
nested without end.
"""

from pathlib import Path
from typing import Any

import yaml

from monitor.document import why_unreadable
from monitor.errors import ConfigurationError

LARGEST_BYTES = 1_000_000
MOST_VALUES = 60_000
DEEPEST = 60

_MERGE_TAG = "tag:yaml.org,2002:merge"
_JSON_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}


class Document:
    """Values with their lines, by JSON pointer. Raises ConfigurationError, with a line a mistake."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._lines: dict[str, int] = {}
        self._constructor = yaml.SafeLoader("")
        self._left = MOST_VALUES
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.values = self._read(root, "", 0) if root else None
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise ConfigurationError(f"is neither YAML nor JSON: {error.problem}", place=f"{name}{line}") from error
        except (yaml.YAMLError, RecursionError) as error:
            told = "is nested too deeply" if isinstance(error, RecursionError) else "has characters that YAML forbids"
            raise ConfigurationError(told, place=name) from error

    def place(self, pointer: str) -> str:
        """Say where something stands: file, line and JSON pointer."""
        near = pointer
        while near and near not in self._lines:
            near = near.rpartition("/")[0]
        return f"{self.name}:{self._lines.get(near, 1)}: {pointer or '/'}"

    def _read(self, node: yaml.Node, pointer: str, depth: int) -> Any:
        self._left -= 1
        self._lines.setdefault(pointer, node.start_mark.line + 1)
        if self._left < 0:
            raise self._mistake(pointer, f"the document has more than {MOST_VALUES:,} values, aliases written out")
        if depth > DEEPEST:
            raise self._mistake(pointer, f"is nested more than {DEEPEST} levels deep, or contains itself")
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, pointer, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(it, f"{pointer}/{place}", depth + 1) for place, it in enumerate(node.value)]
        return self._read_scalar(node, pointer)

    def _read_mapping(self, node: yaml.MappingNode, pointer: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _MERGE_TAG:
                raise self._mistake(pointer, "has a merge key (<<), which AsyncAPI does not know; write it out")
            if not isinstance(key, yaml.ScalarNode):
                raise self._mistake(pointer, "has a key that is no text")
            below = f"{pointer}/{escape(key.value)}"
            if key.value in values:
                self._lines[below] = key.start_mark.line + 1
                raise self._mistake(below, "stands twice; keep one")
            self._lines[below] = key.start_mark.line + 1
            values[key.value] = self._read(child, below, depth + 1)
        return values

    def _read_scalar(self, node: yaml.Node, pointer: str) -> Any:
        if node.tag not in _JSON_TAGS:
            return node.value  # such as a date, which JSON writes as text
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self._mistake(pointer, "cannot be read as what it looks like; put it into quotes") from error

    def _mistake(self, pointer: str, sentence: str) -> ConfigurationError:
        return ConfigurationError(sentence, place=self.place(pointer))


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
