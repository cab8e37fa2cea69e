"""One dead letter as people read it: body decoded, headers in words, where it comes from and why we think so.

Pure functions over the API's JSON. What comes from a message is data: it is returned as plain text, made visible, and
is drawn by what reads no markup (cells, `st.text`, `st.code`).
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from dashboards.components.text import visible
from dashboards.components.times import say_moment, say_utc
from monitor.api.redrive_items import LetterHeader, LetterItem
from monitor.words import NOT_KNOWN, say_count, say_duration

Row = dict[str, Any]

_NOTHING = "–"
_LONGEST_CELL = 200
_LONGEST_LINE = 20_000
_LONGEST_DUMP_BYTES = 1024
_DUMP_WIDTH = 16
# Headers that frameworks write as big-endian integers of 4 or 8 bytes; as text they are noise.
_NUMBER_NAMES = ("partition", "offset", "timestamp", "attempt", "attempts", "count")
_EVIDENCE = {
    "headers": "headers say so",
    "topology": "the broker's set-up says so",
    "configuration": "the monitor's configuration says so",
    "name": "only its name suggests it",
}
_DEATHS = {
    "rejected": "was rejected",
    "expired": "expired",
    "maxlen": "found the queue full",
    "delivery_limit": "was delivered too often",
}


@dataclass(frozen=True)
class Body:
    """A body made readable. `language` is what it is highlighted as; `note` says what was done to it."""

    text: str
    language: str | None = None
    note: str = ""


def visible_lines(text: str) -> str:
    """Return text of several lines without anything that acts; line ends stay, everything else as in `visible`."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(visible(line.expandtabs(4), _LONGEST_LINE) for line in lines)


def in_cell(text: str | None, longest: int = _LONGEST_CELL) -> str:
    """Return text for a cell of a table: on one line, and cut where it is long."""
    if not text:
        return _NOTHING
    line = visible(" ".join(text[: longest * 4].split()), longest * 4)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def short_class(name: str | None) -> str:
    """Return the last part of a class's name: `MissingField` of `shop.events.MissingField`."""
    return (name or "").replace("$", ".").rpartition(".")[2] or (name or "")


def say_evidence(found_by: str | None) -> str:
    """Say how an origin is known."""
    return _EVIDENCE.get(found_by or "", NOT_KNOWN)


def letter_row(item: LetterItem, now: float, zone: tzinfo) -> Row:
    """Return one message as the columns of the table."""
    cause = ": ".join(it for it in (short_class(item["exception"]), item["exception_message"]) if it)
    body = "(binary)" if item["value_encoding"] == "base64" else _inner(item["value"])
    return {
        "Position": in_cell(item["position"], 40),
        "Dead since": say_moment(item["enqueued_at"], now, zone),
        "Cause": in_cell(cause),
        "Key": in_cell(item["key"], 60),
        "Body": in_cell(item["note"] or body),
        "Tried": item["attempts"],
        "Comes from": in_cell(item["origin"], 80),
        "Bytes": item["value_bytes"],
    }


def without_empty(rows: Sequence[Row]) -> list[Row]:
    """Return rows without the columns in which no row says anything: what a bus does not know takes no room."""
    said = [
        name for name in (rows[0] if rows else ()) if any(row[name] not in (None, _NOTHING, NOT_KNOWN) for row in rows)
    ]
    return [{name: row[name] for name in said} for row in rows]


def _inner(value: str | None) -> str | None:
    """Return what SNS has wrapped, where a body is its envelope; every other body as it is."""
    if value is None or not value.startswith("{") or '"Notification"' not in value:
        return value
    return _wrapped(read_json(value)) or value


def _wrapped(document: Any) -> str | None:
    inner = document.get("Message") if isinstance(document, dict) and document.get("Type") == "Notification" else None
    return inner if isinstance(inner, str) else None


# -- the body ----------------------------------------------------------------------------------------------------------


def read_body(item: LetterItem) -> Body:
    """Return a body decoded as far as it goes: JSON laid out, the envelope of SNS opened, bytes in hexadecimal."""
    value = item["value"]
    if decoded := item.get("value_decoded"):
        return Body(
            _lay_out(json.loads(decoded)), "json", f"Decoded by {item.get('value_schema')}; see Raw for its bytes."
        )
    if value is None:
        return Body("", note=item["note"] or "No body: the value is null, which on a compacted topic deletes the key.")
    cut = f"Only the beginning of {say_count(item['value_bytes'])} bytes is shown. " if item["value_cut"] else ""
    if item["value_encoding"] == "base64":
        why = f" Not decoded: {item.get('value_note')}." if item.get("value_note") else ""
        told = f"{cut}This is no text: bytes in hexadecimal, and what is readable of them.{why}"
        return Body(_dump(value), None, told)
    return _read_text(value, cut) if value else Body("", note="The body is empty.")


def raw_body(item: LetterItem) -> str:
    """Return the body as the API tells it, base64 where it is no text."""
    return visible_lines(item["value"] or "")


def _read_text(value: str, cut: str) -> Body:
    document = read_json(value)
    if document is None:
        return Body(visible_lines(value), None, f"{cut}Shown as it is, since it is no JSON.")
    inner = _wrapped(document)
    if inner is None:
        return Body(_lay_out(document), "json", cut)
    opened = read_json(inner)
    shown, language = (visible_lines(inner), None) if opened is None else (_lay_out(opened), "json")
    return Body(shown, language, "What SNS has wrapped; its envelope stands under Raw.")


def read_json(text: str | None) -> Any:
    """Return a JSON object or array; None for everything else, also for what is nested too deeply."""
    try:
        document = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def _lay_out(document: Any) -> str:
    return visible_lines(json.dumps(document, indent=2, ensure_ascii=False))


def _dump(encoded: str) -> str:
    data = _decode(encoded)
    if data is None:
        return visible_lines(encoded)
    return "\n".join(_dump_lines(data))


def _dump_lines(data: bytes) -> Iterator[str]:
    for start in range(0, min(len(data), _LONGEST_DUMP_BYTES), _DUMP_WIDTH):
        part = data[start : start + _DUMP_WIDTH]
        readable = "".join(chr(it) if 0x20 <= it < 0x7F else "·" for it in part)
        yield f"{start:06x}  {part.hex(' '):<{3 * _DUMP_WIDTH - 1}}  {readable}"
    if len(data) > _LONGEST_DUMP_BYTES:
        yield f"… and {say_count(len(data) - _LONGEST_DUMP_BYTES)} bytes more"


def _decode(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


# -- headers -----------------------------------------------------------------------------------------------------------


def header_rows(item: LetterItem) -> list[Row]:
    """Return the headers in their order, numbers as numbers, and after them what the broker itself keeps."""
    headers = [
        {"Name": in_cell(it["name"], 120), "Value": _say_value(it), "Type": in_cell(it["kind"] or it["encoding"], 40)}
        for it in item["headers"]
    ]
    properties = [
        {"Name": in_cell(name, 120), "Value": in_cell(_plain(value), 2_000), "Type": "property"}
        for name, value in item["properties"].items()
    ]
    return headers + properties


def _say_value(header: LetterHeader) -> str:
    value = header["value"]
    if value is None:
        return "null" if header["encoding"] is None else _NOTHING
    data = _decode(value) if header["encoding"] == "base64" else value.encode("utf-8", "replace")
    if data is not None and len(data) in (4, 8) and _is_number(header["name"], value, header["encoding"]):
        return _say_number(header["name"], int.from_bytes(data, "big", signed=True))
    return f"(binary) {value[:_LONGEST_CELL]}" if header["encoding"] == "base64" else in_cell(value, 2_000)


def _is_number(name: str, value: str, encoding: str | None) -> bool:
    # Small numbers are valid UTF-8, full of control characters; text that happens to be four characters long is not.
    return name.lower().endswith(_NUMBER_NAMES) and (encoding == "base64" or not value.isprintable())


def _say_number(name: str, number: int) -> str:
    told = str(number)
    return f"{told} ({say_utc(number / 1000)})" if name.lower().endswith("timestamp") and 0 < number < 1e14 else told


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def stacktrace(item: LetterItem) -> str:
    """Return the stack trace that a header carries; empty where none does."""
    for header in item["headers"]:
        if "stack" in header["name"].lower() and header["value"] and header["encoding"] == "utf-8":
            return visible_lines(header["value"])
    return ""


# -- what is known of it -----------------------------------------------------------------------------------------------


def letter_facts(item: LetterItem, now: float, zone: tzinfo) -> list[tuple[str, str]]:
    """Return what is known of a message: a name and a plain sentence each."""
    cause = ": ".join(it for it in (item["exception"], item["exception_message"]) if it)
    facts = [
        ("Position", ", ".join(f"{name} {value}" for name, value in item["coordinates"].items()) or item["position"]),
        ("Dead since", _say_since(item["enqueued_at"], now, zone)),
        ("Comes from", say_origin(item)),
        ("Cause", cause or "the message does not tell it"),
        ("Tried", _say_times(item["attempts"])),
        ("Received here", _say_times(item["deliveries"])),
    ]
    if item["expires_at"] is not None:
        left = say_duration(max(0.0, item["expires_at"] - now))
        facts.append(("Lost in", f"{left}, at {say_moment(item['expires_at'], now, zone)}"))
    return [(name, visible(told, 4_000)) for name, told in facts]


def say_origin(item: LetterItem) -> str:
    """Say where a message comes from and why we think so."""
    if item["origin"] is None:
        return "not known: neither headers, nor the broker's set-up, nor the configuration say it"
    detail = item["origin_detail"]
    names = {"partition": "partition", "offset": "offset", "routing_key": "routing key", "group": "read by"}
    places = "".join(f", {word} {detail[name]}" for name, word in names.items() if detail.get(name) is not None)
    framework = f", as {detail['framework']} writes them" if detail.get("framework") else ""
    return f"{item['origin']}{places} ({say_evidence(item['origin_found_by'])}{framework})"


def earlier_lives(item: LetterItem) -> list[str]:
    """Say what the headers tell of earlier deaths and redrives: a plain sentence each."""
    headers: Mapping[str, str] = {
        it["name"].lower(): it["value"] or "" for it in item["headers"] if it["encoding"] == "utf-8"
    }
    told = []
    count, job = headers.get("x-redrive-count", ""), headers.get("x-redrive-job", "")
    if count.isdigit():
        times = "once" if int(count) == 1 else f"{say_count(int(count))} times"
        told.append(f"Redriven {times} before{f', last by job {job}' if job else ''}; it came back.")
    deaths = read_json(headers.get("x-death"))
    told += [_say_death(death) for death in deaths or () if isinstance(death, dict)]
    return [visible(line, 1_000) for line in told]


def _say_death(death: Mapping[str, Any]) -> str:
    reason = _DEATHS.get(str(death.get("reason")), f"died: {death.get('reason')}")
    count = death.get("count")
    return f"In {death.get('queue')} it {reason}" + (f", {count} times." if isinstance(count, int) else ".")


def _say_since(at: float | None, now: float, zone: tzinfo) -> str:
    if at is None:
        return "the broker does not tell it"
    return f"{say_moment(at, now, zone)}, {say_duration(max(0.0, now - at))} ago"


def _say_times(number: int | None) -> str:
    if number is None:
        return NOT_KNOWN
    return "once" if number == 1 else f"{say_count(number)} times"
