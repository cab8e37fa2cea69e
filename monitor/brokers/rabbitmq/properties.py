"""Properties and header tables of AMQP 0.9.1 as they stand on the wire, so that they can be sent on byte for byte.

The client library decodes a table into Python values and loses on the way: kinds of integers, floats (which it cuts to
integers), byte arrays, duplicate names, and it drops the connection at a kind it does not know or a time after the year
9999. So what was read is kept as it lay, and only what is added is encoded here. Pure.

The kinds of values are RabbitMQ's (rabbitmq.com/docs/amqp-0-9-1-errata, section 3; `rabbit_binary_parser`).
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

_PROPERTIES = (
    ("content_type", "text"),
    ("content_encoding", "text"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "text"),
    ("reply_to", "text"),
    ("expiration", "text"),
    ("message_id", "text"),
    ("timestamp", "time"),
    ("type", "text"),
    ("user_id", "text"),
    ("app_id", "text"),
    ("cluster_id", "text"),
)
_PLACES = {name: place for place, (name, _) in enumerate(_PROPERTIES)}
_PROPERTY_SIZES = {"octet": 1, "time": 8}
_HIGHEST_FLAG = 15
_SIZES = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"f": 4, b"d": 8}
_SIZES |= {b"D": 5, b"T": 8, b"V": 0}
_WITH_LENGTH = b"SxAF"
_FORMATS = {b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"L": ">q"}
_FORMATS |= {b"f": ">f", b"d": ">d", b"T": ">Q"}
_SHORT, _LONG, _FLAGS = struct.Struct(">B"), struct.Struct(">I"), struct.Struct(">H")
_MAX_SHORT = 255
_DEEPEST = 64

STRING = b"S"
KINDS = {
    b"S": "string",
    b"x": "bytes",
    b"t": "bool",
    b"b": "int8",
    b"B": "uint8",
    b"s": "int16",
    b"u": "uint16",
    b"I": "int32",
    b"i": "uint32",
    b"l": "int64",
    b"L": "int64",
    b"f": "float",
    b"d": "double",
    b"D": "decimal",
    b"T": "timestamp",
    b"V": "void",
    b"A": "array",
    b"F": "table",
}
"""What each kind of value is called for people."""


class Field(NamedTuple):
    """One entry of a table: name, kind and the value's bytes as they lie on the wire, a length before them included."""

    name: bytes
    kind: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Properties:
    """A message's properties. `values` are wire bytes by name, `headers` None where there is no table at all."""

    values: Mapping[str, bytes] = field(default_factory=dict)
    headers: tuple[Field, ...] | None = None

    def text(self, name: str) -> str | None:
        """Return a property that is a text, None where it is not set."""
        found = self.values.get(name)
        return None if found is None else found[1:].decode("utf-8", "replace")

    def number(self, name: str) -> int | None:
        """Return a property that is a number, None where it is not set."""
        found = self.values.get(name)
        return None if found is None else int.from_bytes(found, "big")

    def header(self, name: str) -> Any:
        """Return the value of the first header of a name, None where there is none."""
        wanted = name.encode()
        return next((plain(entry) for entry in self.headers or () if entry.name == wanted), None)


def decode_properties(raw: bytes) -> Properties:
    """Read the property flags and list of a content header. Raises ValueError for what is none."""
    try:
        return _decode_properties(raw)
    except (struct.error, IndexError) as error:
        raise ValueError("the properties end too early") from error


def _decode_properties(raw: bytes) -> Properties:
    (flags,) = _FLAGS.unpack_from(raw)
    if flags & 1:
        raise ValueError("there are more properties than the protocol knows")
    at, values, headers = _FLAGS.size, {}, None
    for name, kind in _present(flags):
        if kind == "table":
            headers, at = _decode_table(raw, at)
            continue
        end = at + (1 + raw[at] if kind == "text" else _PROPERTY_SIZES[kind])
        if end > len(raw):
            raise IndexError
        values[name] = raw[at:end]
        at = end
    return Properties(values, headers)


@lru_cache(maxsize=256)
def _present(flags: int) -> tuple[tuple[str, str], ...]:
    """Return the properties, and their kinds, that flags name."""
    return tuple(it for place, it in enumerate(_PROPERTIES) if flags & (1 << (_HIGHEST_FLAG - place)))


def encode_properties(properties: Properties, added: bytes = b"") -> bytes:
    """Write properties as they go onto the wire; of what was read unchanged the same bytes come out.

    `added` are headers that come behind the others, encoded already.
    """
    values = properties.values
    if properties.headers is not None or added:
        values = {**values, "headers": _encode_table(properties.headers or (), added)}
    flags, order = _layout(tuple(values))
    return flags + b"".join([values[name] for name in order])


@lru_cache(maxsize=256)
def _layout(names: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    """Return the flags of properties, and their names in the protocol's order."""
    places = sorted(_PLACES[name] for name in names)
    flags = sum(1 << (_HIGHEST_FLAG - place) for place in places)
    return _FLAGS.pack(flags), tuple(_PROPERTIES[place][0] for place in places)


def _decode_table(raw: bytes, at: int) -> tuple[tuple[Field, ...], int]:
    (size,) = _LONG.unpack_from(raw, at)
    at += _LONG.size
    end, entries = at + size, []
    if end > len(raw):
        raise IndexError
    while at < end:
        name_end = at + 1 + raw[at]
        kind = raw[name_end : name_end + 1]
        value_end = name_end + 1 + _value_size(raw, kind, name_end + 1)
        entries.append(Field(raw[at + 1 : name_end], kind, raw[name_end + 1 : value_end]))
        at = value_end
    if at != end:
        raise ValueError("a header reaches beyond its table")
    return tuple(entries), end


def _value_size(raw: bytes, kind: bytes, at: int) -> int:
    if kind in _SIZES:
        return _SIZES[kind]
    if kind and kind in _WITH_LENGTH:
        return _LONG.size + int(_LONG.unpack_from(raw, at)[0])
    raise ValueError(f"a header has a kind of value that the protocol does not know ({kind!r})")


def _encode_table(entries: Iterable[Field], added: bytes) -> bytes:
    body = b"".join([*map(encode_field, entries), added])
    return _LONG.pack(len(body)) + body


def encode_field(entry: Field) -> bytes:
    """Write a header as it goes onto the wire."""
    name, kind, raw = entry
    return _SHORT.pack(len(name)) + name + kind + raw


def string_field(name: str, value: bytes) -> Field:
    """Return a header that is a text. Raises ValueError when the name is longer than the protocol allows."""
    encoded = name.encode()
    if len(encoded) > _MAX_SHORT:
        raise ValueError(f"the header name {name[:40]}... is longer than {_MAX_SHORT} bytes")
    return Field(encoded, STRING, _LONG.pack(len(value)) + value)


def number_field(name: str, value: int) -> Field:
    """Return a header that is a number (64 bits)."""
    return Field(name.encode(), b"l", struct.pack(">q", value))


def shown(entry: Field) -> bytes | None:
    """Return a header's value as people and expressions see it: a text's own bytes, else its text; None for void."""
    if entry.kind in (b"S", b"x"):
        return entry.raw[_LONG.size :]
    if entry.kind == b"V":
        return None
    value = plain(entry)
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode()


def plain(entry: Field) -> Any:
    """Return a header's value as a Python value; of tables and arrays dicts and lists. Not for sending on."""
    try:
        return _plain(entry.kind, entry.raw, 0)
    except (struct.error, IndexError, ValueError):
        return entry.raw.hex()  # an inner table that cannot be read; it is sent on as it is all the same


def _plain(kind: bytes, raw: bytes, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if kind == b"t":
        return raw != b"\0"
    if kind in _FORMATS:
        return struct.unpack(_FORMATS[kind], raw)[0]
    if kind == b"D":
        scale, digits = struct.unpack(">Bi", raw)
        return f"{digits}e-{scale}"
    if kind == b"F":
        entries, _ = _decode_table(raw, 0)
        return {e.name.decode("utf-8", "replace"): _plain(e.kind, e.raw, depth + 1) for e in entries}
    if kind == b"A":
        return [_plain(inner, value, depth + 1) for inner, value in _items(raw)]
    return None if kind == b"V" else raw[_LONG.size :].decode("utf-8", "replace")


def _items(raw: bytes) -> Sequence[tuple[bytes, bytes]]:
    at, items = _LONG.size, []
    while at < len(raw):
        kind = raw[at : at + 1]
        end = at + 1 + _value_size(raw, kind, at + 1)
        items.append((kind, raw[at + 1 : end]))
        at = end
    return items
