"""What is not shown to whoever may not see bodies, and is not found by their searches either.

What is hidden is named by JSON pointers (RFC 6901) into a message: `/key`, `/body/...`, `/headers/NAME`,
`/properties/NAME`, `/exception_message`; the empty one is everything. `*` stands for each member or element. Where a
pointer leads into a body that is no JSON, the whole body is hidden: what it holds cannot be known.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from monitor.catalog.reading import unescape
from monitor.config import MaskingRule
from monitor.letters import DeadMessage, Header
from monitor.redrive.bodies import read_json

EVERYTHING = ("",)
MASK = "***"

Path = list[str]


def rule_for(queue: str, rules: Sequence[MaskingRule]) -> tuple[str, ...]:
    """Return what is hidden in a queue: what the first rule says whose pattern matches its id, else everything."""
    return next((tuple(rule.hide) for rule in rules if fnmatchcase(queue, rule.queue)), EVERYTHING)


def mask(message: DeadMessage, hidden: Sequence[str]) -> DeadMessage:
    """Return the message as whoever may not see what is hidden sees it."""
    if not hidden:
        return message
    if "" in hidden:
        headers = tuple(Header(it.name, None, it.kind) for it in message.headers)
        return replace(message, key=None, value=None, headers=headers, properties={}, exception_message="", raw=b"")
    paths = [_split(pointer) for pointer in hidden]
    below = {part: [path[1:] for path in paths if path[0] == part] for part in ("body", "headers", "properties")}
    whole = {path[0] for path in paths}
    hides_cause = "exception_message" in whole
    return replace(
        message,
        key=MASK.encode() if "key" in whole and message.key is not None else message.key,
        value=_mask_body(message.value, below["body"]),
        headers=_mask_headers(message.headers, below["headers"]),
        properties={} if [] in below["properties"] else _mask_value(dict(message.properties), below["properties"]),
        exception_message=MASK if hides_cause and message.exception_message else message.exception_message,
        raw=b"",
    )


def mask_decoded(body: Any, hidden: Sequence[str]) -> Any:
    """Return what a body holds, decoded by its schema, as whoever may not see what is hidden sees it."""
    paths = [_split(pointer) for pointer in hidden]
    if [] in paths:
        return MASK
    return _mask_value(body, [path[1:] for path in paths if path[0] == "body"])


def _split(pointer: str) -> Path:
    return [unescape(part) for part in pointer.split("/")[1:]]


def _mask_body(value: bytes | None, paths: Sequence[Path]) -> bytes | None:
    if value is None or not paths:
        return value
    body = read_json(value)
    if body is None or [] in paths:
        return MASK.encode()
    try:
        return json.dumps(_mask_value(body, paths), ensure_ascii=False).encode("utf-8", "replace")
    except RecursionError:
        return MASK.encode()  # what is nested too deeply to be looked through is hidden as a whole


def _mask_headers(headers: tuple[Header, ...], paths: Sequence[Path]) -> tuple[Header, ...]:
    names = {path[0].casefold() if path else "*" for path in paths}

    def is_hidden(header: Header) -> bool:
        return header.value is not None and ("*" in names or header.name.casefold() in names)

    return tuple(replace(it, value=MASK.encode()) if is_hidden(it) else it for it in headers)


def _mask_value(value: Any, paths: Sequence[Path]) -> Any:
    """Return the value with what the paths lead to replaced; what is not there stays not there."""
    if [] in paths:
        return MASK
    if isinstance(value, dict):
        return {name: _mask_value(it, _below(paths, str(name))) for name, it in value.items()}
    if isinstance(value, list):
        return [_mask_value(it, _below(paths, str(place))) for place, it in enumerate(value)]
    return value


def _below(paths: Sequence[Path], name: str) -> list[Path]:
    return [path[1:] for path in paths if path[0] in ("*", name)]
