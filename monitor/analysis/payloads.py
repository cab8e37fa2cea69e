"""What a body looks like from the outside: a bounded look that opens nothing. Pure.

What a message holds may be made to harm who reads it: archives that grow a thousandfold, JSON that is nested without
end, numbers of a million digits. So nothing is decompressed, no schema is fetched, no length that stands in a body is
believed, and JSON of more than `MOST_READ_BYTES` is not read. Python's parser ends by itself where a body is nested
too deeply or a number has too many digits. What is not understood is shown as it is, and the look says why.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

MOST_READ_BYTES = 1 << 18

_COMPRESSED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"\x82SNAPPY\x00", "snappy"),
)
_KNOWN_CODINGS = ("", "identity", "utf-8", "utf8", "gzip", "x-gzip", "deflate", "zstd", "lz4", "snappy", "br", "bzip2")
_AVRO_FILE = b"Obj\x01"
FRAME_BYTES = 5  # a zero, and the schema's id as a big-endian number
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Look:
    """What a body is taken for (empty is not known), and what is wrong with it (empty is nothing that is seen)."""

    form: str = ""
    flaw: str = ""
    schema_id: int | None = None


def look_at(value: bytes | None, headers: Mapping[str, str]) -> Look:
    """Return what a body looks like; `headers` are the texts by their names in lower case."""
    if value is None:
        return Look()
    coding = headers.get("content-encoding", headers.get("content_encoding", "")).strip().lower()
    if coding not in _KNOWN_CODINGS:
        return Look(f"encoded as {coding[:40]}", "its encoding is not known")
    for sign, name in _COMPRESSED:
        if value.startswith(sign):
            return Look(f"compressed by {name}, and not opened")
    if coding in ("gzip", "x-gzip"):
        return Look("said to be compressed by gzip", "it does not begin as gzip does")
    return _look_at_plain(value, headers.get("content-type", headers.get("content_type", "")).lower())


def _look_at_plain(value: bytes, kind: str) -> Look:
    if value.startswith(_AVRO_FILE):
        return Look("an Avro file with its schema, and not opened")
    if value[:1] == b"\x00":
        return _look_at_framed(value)
    says_json = "json" in kind
    body = value[: 2 * FRAME_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
    if body[:1] in (b"{", b"[") or (says_json and value):
        return Look("JSON", find_flaw(value, believed=says_json))
    if says_json:
        return Look("said to be JSON", "it is empty")
    if "avro" in kind:
        return Look("Avro without its schema, and not opened", "" if value else "it is empty")
    return Look()


def _look_at_framed(value: bytes) -> Look:
    """A zero and a schema's id in front are how serializers of a schema registry write."""
    if len(value) < FRAME_BYTES:
        return Look("framed for a schema registry", "it ends before the schema's id")
    schema_id = int.from_bytes(value[1:FRAME_BYTES], "big")
    flaw = "there is nothing behind the schema's id" if len(value) == FRAME_BYTES else ""
    return Look(f"framed for a schema registry, schema {schema_id}, and not opened", flaw, schema_id)


def find_flaw(value: bytes, *, believed: bool = False) -> str:
    """Say why a body is no JSON that consumers can read, without quoting it; empty where no reason is seen.

    `believed` says that it was declared as JSON, so that it is a flaw if its very beginning is none.
    """
    if len(value) > MOST_READ_BYTES:
        return ""  # large is not wrong; it is only not looked through
    try:
        text = value.removeprefix(_BYTE_ORDER_MARK).decode()
        json.loads(text)
    except UnicodeDecodeError as error:
        return f"it is no UTF-8 from byte {error.start} on"
    except json.JSONDecodeError as error:
        return _say_error(error, believed=believed)
    except ValueError:
        return "a number in it has more digits than can be read"
    except RecursionError:
        return "it is nested too deeply to be read"
    return ""


def _say_error(error: json.JSONDecodeError, *, believed: bool) -> str:
    whole = error.doc.rstrip()
    if error.pos >= len(whole) or error.msg.startswith("Unterminated string"):
        return f"it ends in the middle, after {len(error.doc)} characters"
    if error.pos <= 1 and not believed:
        return ""  # text that happens to begin with a bracket was never meant as JSON
    return f"it is no JSON from character {error.pos} on"
