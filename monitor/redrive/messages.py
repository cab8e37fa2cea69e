"""Dead letters as JSON for people and programs: text where it is text, base64 otherwise, cut where it is long."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.analysis.causes import cause_of, texts_of
from monitor.analysis.payloads import look_at
from monitor.catalog.schemas import Schemas
from monitor.letters import DeadMessage
from monitor.redrive.editing import Editor
from monitor.redrive.masking import mask, mask_decoded
from monitor.redrive.patching import DoesNotApply

LONGEST_SHOWN_BYTES = 65_536
_DEEPEST = 50  # levels of tables in tables: no broker's client can write as many, but a peer of its own making
_CUT = "…"
_ALL_HIDDEN = "the bodies of this queue are for those who may see bodies"
_SOME_HIDDEN = "some fields are hidden from you"


def tell_message(
    message: DeadMessage, hidden: Sequence[str] = (), longest: int = LONGEST_SHOWN_BYTES
) -> dict[str, Any]:
    """Return a message as the API shows it to whoever may not see what is hidden (see `masking`)."""
    shown = mask(message, hidden)
    key, key_encoding = tell_bytes(shown.key, longest)
    return {
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
        "exception_message": shown.exception_message or None,
        "value_bytes": None if message.value is None else len(message.value),
        "key": key,
        "key_encoding": key_encoding,
        **_tell_content(shown, longest),
        **_tell_look(shown),
        "properties": _plain(shown.properties),
        "note": None if not hidden else _ALL_HIDDEN if "" in hidden else _SOME_HIDDEN,
        "group": cause_of(message).id,
    }


def tell_decoded(
    message: DeadMessage, hidden: Sequence[str], schemas: Schemas | None, longest: int = LONGEST_SHOWN_BYTES
) -> dict[str, Any]:
    """Return what a body holds that is no text, as JSON, with by which schema; or why it cannot be read.

    Of what is hidden from whoever asks, a decoded body shows no more than one in plain JSON.
    """
    told: dict[str, Any] = {"value_decoded": None, "value_schema": None, "value_note": None}
    if "" in hidden or schemas is None:
        return told
    body = schemas.read(message)
    if not body.is_read or not body.named or (body.is_wrapped and hidden):  # what is hidden are fields of the wrapping
        return {**told, "value_note": body.note or None}
    try:
        text = json.dumps(mask_decoded(body.value, hidden), ensure_ascii=False)
    except RecursionError:
        return {**told, "value_note": "it is nested too deeply to be shown"}
    if len(text) > longest:
        return {**told, "value_schema": body.named, "value_note": "it is too large to be shown decoded"}
    return {**told, "value_decoded": text, "value_schema": body.named}


def tell_sample(message: DeadMessage, editor: Editor | None, hidden: Sequence[str], longest: int) -> dict[str, Any]:
    """Return a message of a plan, with what it would look like at the target or why it would be skipped."""
    told: dict[str, Any] = {**tell_message(message, hidden, longest), "after": None, "skipped": None}
    if editor is not None:
        try:
            told["after"] = _tell_content(mask(editor.change(message), hidden), longest)
        except DoesNotApply as error:
            told["skipped"] = str(error)
    return told


def _tell_look(shown: DeadMessage) -> dict[str, Any]:
    look = look_at(shown.value, texts_of(shown))
    return {"value_form": look.form or None, "value_flaw": look.flaw or None}


def _tell_content(message: DeadMessage, longest: int) -> dict[str, Any]:
    text, encoding = tell_bytes(message.value, longest)
    return {
        "value": text,
        "value_encoding": encoding,
        "value_cut": message.value is not None and len(message.value) > longest,
        "headers": [_tell_header(it.name, it.value, it.kind, longest) for it in message.headers],
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


def _plain(values: Mapping[str, Any], deep: int = 0) -> dict[str, Any]:
    return {name: _plain_value(value, deep) for name, value in values.items()}


def _plain_value(value: Any, deep: int) -> Any:
    if isinstance(value, bytes):
        return tell_bytes(value)[0]
    if isinstance(value, Mapping):
        return _plain({str(name): it for name, it in value.items()}, deep + 1) if deep < _DEEPEST else _CUT
    if isinstance(value, list | tuple):
        return [_plain_value(it, deep + 1) for it in value] if deep < _DEEPEST else _CUT
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
