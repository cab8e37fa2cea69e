"""A YAML document whose values know their lines, with variables and secret files put in.

`${NAME}` is taken from the environment, `file:PATH` from a file. Anchors and merge keys (`<<`) work as in YAML 1.1.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from monitor.errors import ConfigurationError

KeyPath = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_MERGE_TAG = "tag:yaml.org,2002:merge"
_STANDARD_TAGS = "tag:yaml.org,2002:"


class Document:
    """One document. `values` are plain; `mistakes` are sentences with their places, in the order of the text.

    Where there is a mistake the value is None, so `values` are of use only when there is none.
    Raises ConfigurationError when the text is no YAML at all.
    """

    def __init__(self, text: str, name: str, environment: Mapping[str, str]) -> None:
        self._name, self._environment = name, environment
        self._lines: dict[KeyPath, int] = {}
        self._open_nodes: list[yaml.Node] = []
        self._constructor = yaml.SafeLoader("")
        self.mistakes: list[str] = []
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.values = self._read(root, ()) if root else None
        except yaml.YAMLError as error:
            raise _not_yaml(error, name) from error
        except RecursionError as error:
            raise ConfigurationError("is nested too deeply", place=name, remedy="write it flatter") from error

    def line(self, path: KeyPath) -> int:
        """Return the line of a key or list entry, or of the nearest thing around it that the text has."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def place(self, path: KeyPath) -> str:
        """Say where something stands: file, line and key."""
        return f"{self._name}:{self.line(path)}: {_dotted(path)}" if path else self._name

    def _read(self, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if any(node is outer for outer in self._open_nodes):
            return self._mistake(path, "this anchor contains itself; write the value out")
        self._open_nodes.append(node)
        try:
            return self._value(node, path)
        finally:
            self._open_nodes.pop()

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        if not node.tag.startswith(_STANDARD_TAGS):
            return self._mistake(path, f"the tag {node.tag} is not known here; leave it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError):
            return self._mistake(path, "cannot be read as what it looks like; put it into quotes")
        return self._filled(value, path) if isinstance(value, str) else value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        # Merged keys come first, so that the mapping's own ones count, with their own lines.
        merged: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _MERGE_TAG:
                merged = {**self._merge_sources(child, path), **merged}
        values: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _MERGE_TAG:
                continue
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.mistakes.append(f"{self._name}:{line}: keys must be plain text; write it without brackets")
                continue
            name = key.value
            if name in values:
                self.mistakes.append(f"{self._name}:{line}: the key {_dotted((*path, name))} stands twice; keep one")
                continue
            self._lines[(*path, name)] = line
            values[name] = self._read(child, (*path, name))
        return {**merged, **values}

    def _merge_sources(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                merged = {**self._read(source, path), **merged}
            else:
                self._mistake(path, "<< merges mappings only; name an anchor of a mapping")
        return merged

    def _filled(self, value: str, path: KeyPath) -> str | None:
        names = _VARIABLE.findall(value)
        unset = [name for name in names if name not in self._environment]
        for name in unset:
            self._mistake(path, f"the variable {name} is not set; set it, or write the value")
        if unset:
            return None
        value = _VARIABLE.sub(lambda found: self._environment[found[1]], value)
        return self._secret(Path(value.removeprefix("file:")), path) if value.startswith("file:") else value

    def _secret(self, file: Path, path: KeyPath) -> str | None:
        try:
            # An editor ends the file with a newline that is not part of the secret.
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            why = why_unreadable(error)
            self._mistake(path, f"the file {file} cannot be read ({why}); make it readable, or name another")
            return None

    def _mistake(self, path: KeyPath, sentence: str) -> None:
        self.mistakes.append(f"{self.place(path)}: {sentence}")


def why_unreadable(error: OSError | ValueError) -> str:
    """Say why a text file could not be read, without quoting what is in it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "its name is not allowed"


def _not_yaml(error: yaml.YAMLError, name: str) -> ConfigurationError:
    # The problem alone: the library's whole text quotes the line, and a secret may stand there.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        place = f"{name}:{error.problem_mark.line + 1}"
        return ConfigurationError(f"is not YAML: {error.problem}", place=place, remedy=_yaml_remedy(error.problem))
    return ConfigurationError("is not YAML: it has characters that YAML forbids", place=name, remedy="save it as UTF-8")


def _yaml_remedy(problem: str | None) -> str:
    if problem and r"'\t'" in problem:
        return "indent by spaces, not tabs"
    return "look at the indentation and quotes there and in the line before"


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
