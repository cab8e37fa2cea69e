"""Bodies as JSON: read leniently to be looked at, and strictly where they are to be written again."""

import json
from decimal import Decimal
from typing import Any, NoReturn

LARGEST_BODY_BYTES = 1_000_000


class NotRewritable(Exception):
    """Writing this body again would change more of it than was asked for; `str()` says why, without its content."""


def read_json(value: bytes | None) -> Any:
    """Return the JSON value of a body; None where it is none, too large, or nested too deeply to be read."""
    if value is None or len(value) > LARGEST_BODY_BYTES:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def read_exactly(value: bytes | None) -> Any:
    """Return the JSON value of a body that can be written again without loss. Raises NotRewritable."""
    if value is None:
        raise NotRewritable("its body is null")
    if len(value) > LARGEST_BODY_BYTES:
        raise NotRewritable(f"its body is larger than {LARGEST_BODY_BYTES:,} bytes")
    try:
        return json.loads(
            value.decode("utf-8"),
            object_pairs_hook=_read_object,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise NotRewritable("its body is no JSON in UTF-8, or nested too deeply") from None


def write_json(body: Any, like: bytes) -> bytes:
    """Return a body as JSON, with characters beyond ASCII escaped if `like` had none. Raises NotRewritable."""
    try:
        return json.dumps(body, ensure_ascii=like.isascii(), separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError):
        raise NotRewritable("its body has text that cannot be written as UTF-8, or is nested too deeply") from None


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise NotRewritable("an object in its body has a member twice, and one of them would be lost")
    return read


def _read_float(text: str) -> float:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):  # also what is too large to be finite
        raise NotRewritable("a number in its body has more digits than can be kept")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise NotRewritable(f"its body has {text}, which is no JSON")
