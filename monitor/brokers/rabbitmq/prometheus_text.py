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


class Page:
    """A page of the plugin, its families found once."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._spans = dict(_spans(text))

    def has(self, family: str) -> bool:
        """Say whether the page has this family, be it without samples."""
        return family.encode() in self._spans

    def samples(self, family: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Return labels and values of a family's samples as raw bytes: what stands within the braces, and behind."""
        name = family.encode()
        # The name is matched as a whole, so that nothing inside a label is taken for a sample.
        line = re.compile(rb"^" + re.escape(name) + rb"\{(.*)\} (\S+)$", re.MULTILINE)
        pairs = line.findall(self._text, *self._spans.get(name, (0, 0)))
        return (tuple(labels for labels, _ in pairs), tuple(value for _, value in pairs)) if pairs else ((), ())

    def labels(self, family: str) -> dict[str, str]:
        """Return the labels of a family's first sample; empty when there is none."""
        found = self.samples(family)[0]
        return read_labels(found[0]) if found else {}


def _spans(text: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    start = 0 if text.startswith(_TYPE) else text.find(_NEXT) + 1
    while text.startswith(_TYPE, start):
        following = text.find(_NEXT, start)
        end = len(text) if following < 0 else following + 1
        yield text[start + len(_TYPE) : text.index(b" ", start + len(_TYPE))], (start, end)
        start = end


def samples_of(text: bytes, prefixes: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield `(family, labels, value)` of each sample whose family begins with one of these.

    For pages that are small, and whose labels hold no names of queues.
    """
    for found in _SAMPLE.finditer(text):
        name = found[1].decode()
        if name.startswith(prefixes):
            yield name, read_labels(found[2] or b""), float(found[3])


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
