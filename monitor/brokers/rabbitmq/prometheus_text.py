"""The text that the broker's Prometheus plugin writes, read quickly: the form of its lines is known.

Before 3.13 the plugin writes names into labels as they are, quotes and backslashes included; since then it escapes them
(rabbitmq-server, commit fec09c0792). The plugin's own `rabbitmq_build_info` says which it is.
"""

import re
from collections.abc import Iterator

_TYPE = b"# TYPE "
_NEXT = b"\n# TYPE "
_SAMPLE = re.compile(rb"^([^{\s]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(rb'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(.)")
_ESCAPED = {b"n": b"\n"}
_VERSION = re.compile(r"(\d+)\.(\d+)")
_FIRST_THAT_ESCAPES = (3, 13)


def has_family(text: bytes, family: str) -> bool:
    """Say whether the page has this family, be it without samples."""
    return _start(text, family) >= 0


def pairs_of(text: bytes, family: str) -> list[tuple[bytes, bytes]]:
    """Return `(labels, value)` of each sample of a family as raw bytes: what stands within the braces, and behind."""
    start = _start(text, family)
    if start < 0:
        return []
    end = text.find(_NEXT, start + 1)
    # The name is matched as a whole, so that nothing inside a label is taken for a sample.
    line = re.compile(rb"^" + re.escape(family.encode()) + rb"\{(.*)\} (\S+)$", re.MULTILINE)
    return line.findall(text, start, len(text) if end < 0 else end)


def samples_of(text: bytes, prefix: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield `(family, labels, value)` of each sample whose family begins so. For small pages that escape properly."""
    for found in _SAMPLE.finditer(text):
        name = found[1].decode()
        if name.startswith(prefix):
            yield name, read_labels(found[2] or b""), float(found[3])


def last_labels(text: bytes, family: str) -> dict[str, str]:
    """Return the labels of the last sample of a family; empty when there is none."""
    start = text.rfind(b"\n" + family.encode() + b"{")
    if start < 0:
        return {}
    opening = text.index(b"{", start)
    return read_labels(text[opening + 1 : text.index(b"\n", opening)])


def read_labels(labels: bytes) -> dict[str, str]:
    """Return labels by name, escapes undone."""
    return {name.decode(): unescape(value) for name, value in _LABEL.findall(labels)}


def unescape(value: bytes) -> str:
    r"""Undo the escapes of a label value: `\\`, `\"` and `\n`."""
    plain = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value) if b"\\" in value else value
    return plain.decode("utf-8", "replace")


def queue_key(labels: bytes, *, escaped: bool) -> tuple[str, str] | None:
    """Return the virtual host and name of the queue that a sample is about; None when it is about none."""
    if escaped:
        named = read_labels(labels)
        return (named["vhost"], named["queue"]) if "vhost" in named and "queue" in named else None
    # Unescaped, a quote inside a name can only be told from the end of it by what must follow.
    if not (labels.startswith(b'vhost="') and labels.endswith(b'"')):
        return None
    vhost, separator, name = labels[len(b'vhost="') : -1].partition(b'",queue="')
    return (vhost.decode("utf-8", "replace"), name.decode("utf-8", "replace")) if separator else None


def escapes_labels(version: str) -> bool:
    """Say whether this version of the broker escapes label values. An unknown one is taken for a newer one."""
    found = _VERSION.match(version)
    return found is None or (int(found[1]), int(found[2])) >= _FIRST_THAT_ESCAPES


def _start(text: bytes, family: str) -> int:
    heading = _TYPE + family.encode() + b" "
    return 0 if text.startswith(heading) else text.find(b"\n" + heading)
