"""Dead letters as JSON for people and programs: text where it is text, base64 otherwise, cut where it is long."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from monitor.letters import DeadMessage

LONGEST_SHOWN_BYTES = 65_536
_HIDDEN = "bodies are for the role operator"


def tell_message(message: DeadMessage, *, bodies: bool, longest: int = LONGEST_SHOWN_BYTES) -> dict[str, Any]:
    """Return a message as the API shows it; without `bodies`, key, value and header values are null, with a note."""
    value = message.value
    told: dict[str, Any] = {
        "position": message.position,
        "coordinates": _plain(message.coordinates),
        "enqueued_at": message.enqueued_at,
        "expires_at": message.expires_at,
        "deliveries": message.deliveries,
        "attempts": message.attempts,
        "origin": message.origin.name if message.origin else None,
        "origin_found_by": message.origin.found_by if message.origin else None,
        "origin_detail": _plain(message.origin_detail),
        "exception": message.exception or None,
        "exception_message": (message.exception_message or None) if bodies else None,
        "value_bytes": None if value is None else len(value),
    }
    if not bodies:
        headers = [
            {"name": it.name, "value": None, "encoding": None, "kind": it.kind or None} for it in message.headers
        ]
        hidden = {"key": None, "key_encoding": None, "value": None, "value_encoding": None, "value_cut": False}
        return {**told, **hidden, "headers": headers, "properties": {}, "note": _HIDDEN}
    key, key_encoding = tell_bytes(message.key, longest)
    text, encoding = tell_bytes(value, longest)
    return {
        **told,
        "key": key,
        "key_encoding": key_encoding,
        "value": text,
        "value_encoding": encoding,
        "value_cut": value is not None and len(value) > longest,
        "headers": [_tell_header(it.name, it.value, it.kind, longest) for it in message.headers],
        "properties": _plain(message.properties),
        "note": None,
    }


def tell_bytes(value: bytes | None, longest: int = LONGEST_SHOWN_BYTES) -> tuple[str | None, str | None]:
    """Return bytes as text with their encoding: utf-8 where they are that, otherwise base64."""
    if value is None:
        return None, None
    shown = value[:longest]
    try:
        return shown.decode(), "utf-8"
    except UnicodeDecodeError as error:
        # A character that the cut went through is no reason to show the text as base64.
        if len(value) > longest and error.start >= longest - 3:
            return shown[: error.start].decode(), "utf-8"
        return base64.b64encode(shown).decode("ascii"), "base64"


def _tell_header(name: str, value: bytes | None, kind: str, longest: int) -> dict[str, Any]:
    text, encoding = tell_bytes(value, longest)
    return {"name": name, "value": text, "encoding": encoding, "kind": kind or None}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return tell_bytes(value)[0]
    if isinstance(value, Mapping):
        return _plain({str(name): it for name, it in value.items()})
    if isinstance(value, list | tuple):
        return [_plain_value(it) for it in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


_VARYING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{16,}\b"), "<hex>"),
    (re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\""), "<text>"),
    (re.compile(r"\d+"), "<n>"),
)


def normalise(message: str) -> str:
    """Return an exception's first line without what varies from case to case: ids, numbers, quoted text."""
    line = message.strip().partition("\n")[0][:500]
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return line
