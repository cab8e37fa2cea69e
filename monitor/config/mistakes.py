"""Pydantic's mistakes in sentences: file, line, key and what to do about it."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from monitor.config.clusters import KINDS
from monitor.config.configuration import Configuration
from monitor.document import Document, KeyPath

_SENTENCES = {
    "missing": "is missing; add it",
    "union_tag_not_found": f"kind is missing; add kind: {' or '.join(KINDS)}",
    "string_type": "must be text; put it into quotes",
    "string_too_short": "must not be empty",
    "list_type": "must be a list, an entry a line after a dash; leave the key out for none",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping of keys; leave it out for its defaults",
    "dict_type": "must be a mapping of keys; leave it out for its defaults",
    "model_attributes_type": "must be a mapping of keys; leave it out for its defaults",
    "float_type": "must be a number",
}
"""Pydantic's types of mistakes in words that name the remedy; the types left out say it well enough themselves."""


def tell(mistake: Any, document: Document) -> str:
    """Put one of pydantic's mistakes into a sentence with its place."""
    location, kind, path = mistake["loc"], mistake["type"], find_key_path(mistake["loc"])
    place = document.place(path)
    if kind == "extra_forbidden":
        return f"{place}: unknown key; {suggest(path[-1], _known_keys(location[:-1]))}"
    if kind == "literal_error":
        return f"{place}: {mistake['msg'].replace('Input should', 'must')}"
    if kind == "union_tag_invalid":
        return f"{place}: unknown kind; {suggest(mistake['ctx']['tag'], list(KINDS))}"
    return f"{place}: {_SENTENCES.get(kind) or mistake['msg'].removeprefix('Value error, ')}"


def find_key_path(location: tuple[str | int, ...]) -> KeyPath:
    """Return where in the text the place of pydantic's error is."""
    # Between a cluster's number and its keys pydantic names the kind, which is no key of the text.
    return location[:2] + location[3:] if location[:1] == ("clusters",) else location


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the section at a place of pydantic's error location knows."""
    section: type[BaseModel] = Configuration
    for depth, part in enumerate(location):
        if isinstance(part, int):
            continue
        in_cluster = depth == 2 and location[0] == "clusters"
        section = KINDS[part] if in_cluster else _section_of(section.model_fields[part].annotation)
    return sorted(section.model_fields)


def _section_of(annotation: Any) -> type[BaseModel]:
    """Return the section that a field holds, alone or in a list; of the clusters any, since their kind follows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_of(inner) for inner in annotation.__args__ if inner is not type(None))


def suggest(key: str | int, known: Sequence[str]) -> str:
    """Name the known key that was probably meant, or else all of them."""
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
