"""The text format 0.0.4: escaping, numbers, lines (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from operator import add

import numpy as np
from numpy.typing import NDArray

from monitor.exposition.families import Family
from monitor.model import Floats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LARGEST_INTEGER = 2.0**63  # beyond, a float64 does not fit into an int64
# Flags, counts and most lags are small: looking their text up is eight times as fast as making it.
_SMALL = np.array([str(i) for i in range(10_000)], dtype=object)
_FRACTIONS = np.array([f".{i:03}".rstrip("0").rstrip(".") for i in range(1000)], dtype=object)
_MOST_DIGITS = 1e15  # a decimal number of up to 15 digits is the shortest form of the float64 that it is read as


def escape_label(value: str) -> str:
    """Escape a label value. Everything else, control characters included, may stand as it is."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def escape_help(text: str) -> str:
    """Escape the text of HELP."""
    return text.replace("\\", r"\\").replace("\n", r"\n")


def encode(text: str) -> bytes:
    """Encode as UTF-8. A lone surrogate, which UTF-8 does not have and Prometheus would refuse, becomes `?`."""
    return text.encode("utf-8", "replace")


def header(family: Family) -> str:
    """Return HELP and TYPE of a family, each line led by a line feed."""
    return f"\n# HELP {family.full_name} {escape_help(family.help)}\n# TYPE {family.full_name} {family.kind}"


def numbers(values: Floats) -> list[str]:
    """Write numbers, none of them NaN: integers without point or exponent, others by their shortest exact form."""
    whole = (np.floor(values) == values) & (np.abs(values) < _LARGEST_INTEGER)
    if whole.all():
        return _integers(values.astype(np.int64))
    return _thousandths(values) or _any(values, whole)


def _thousandths(values: Floats) -> list[str] | None:
    """Write numbers that all have at most three digits behind the point; None if there are others."""
    with np.errstate(over="ignore"):
        thousandths = np.rint(values * 1000)
    if not ((thousandths / 1000 == values) & (thousandths >= 0) & (thousandths < _MOST_DIGITS)).all():
        return None
    wholes, fractions = np.divmod(thousandths.astype(np.int64), 1000)
    return list(map(add, _integers(wholes), _FRACTIONS[fractions].tolist()))


def _any(values: Floats, whole: NDArray[np.bool_]) -> list[str]:
    texts = list(map(repr, values.tolist()))
    positions = np.flatnonzero(whole)
    for i, text in zip(positions.tolist(), _integers(values[positions].astype(np.int64)), strict=True):
        texts[i] = text
    for i in np.flatnonzero(np.isinf(values)).tolist():
        texts[i] = "+Inf" if values[i] > 0 else "-Inf"
    return texts


def _integers(values: NDArray[np.int64]) -> list[str]:
    if len(values) and values.min() >= 0 and values.max() < len(_SMALL):
        texts: list[str] = _SMALL[values].tolist()
        return texts
    return list(map(str, values.tolist()))
