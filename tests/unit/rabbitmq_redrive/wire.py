"""Hostile messages: header tables with every kind of value, duplicate names, binary, nesting."""

import struct

from hypothesis import strategies as st

from monitor.brokers.rabbitmq.properties import Field, Properties

_LONG = struct.Struct(">I")
_FIXED = {b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"D": 5, b"T": 8, b"V": 0}


def _sized(data: bytes) -> bytes:
    return _LONG.pack(len(data)) + data


def _finite(raw: bytes, kind: bytes) -> bool:
    # the broker decodes and encodes floats: what is no number does not survive that
    value = struct.unpack(">f" if kind == b"f" else ">d", raw)[0]
    return bool(value == value and abs(value) != float("inf"))


def _of_kind(kind: bytes, data: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, bytes]]:
    return data.map(lambda raw: (kind, raw))


def _floats(kind: bytes, size: int) -> st.SearchStrategy[tuple[bytes, bytes]]:
    return _of_kind(kind, st.binary(min_size=size, max_size=size).filter(lambda raw: _finite(raw, kind)))


def scalars() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Return kinds and wire bytes of plain values."""
    fixed = [_of_kind(kind, st.binary(min_size=size, max_size=size)) for kind, size in _FIXED.items()]
    texts = [_of_kind(kind, st.binary(max_size=40).map(_sized)) for kind in (b"S", b"x")]
    booleans = st.sampled_from([(b"t", b"\0"), (b"t", b"\1")])
    return st.one_of(*fixed, *texts, _floats(b"f", 4), _floats(b"d", 8), booleans)


def values() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Return kinds and wire bytes of values, nested ones as well."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: (b"A", _sized(b"".join(k + raw for k, raw in items)))),
            st.dictionaries(st.binary(min_size=1, max_size=8), inner, max_size=3).map(
                lambda table: (b"F", _sized(b"".join(bytes([len(n)]) + n + k + raw for n, (k, raw) in table.items())))
            ),
        ),
        max_leaves=6,
    )


def headers() -> st.SearchStrategy[tuple[Field, ...]]:
    """Return tables of headers whose names are not the broker's own."""
    names = st.text("abcäß-", min_size=1, max_size=20).map(str.encode)
    entries = st.tuples(names, values()).map(lambda it: Field(it[0], *it[1]))
    return st.lists(entries, max_size=6, unique_by=lambda it: it.name).map(tuple)


def properties() -> st.SearchStrategy[Properties]:
    """Return properties with some of every kind set."""
    text = st.text(max_size=30).map(lambda it: bytes([len(it.encode())]) + it.encode())
    octet = st.integers(0, 255).map(lambda it: bytes([it]))
    optional = {
        "content_type": text,
        "content_encoding": text,
        "correlation_id": text,
        "reply_to": text,
        "message_id": text,
        "type": text,
        "app_id": text,
        "cluster_id": text,
        "delivery_mode": st.sampled_from([b"\1", b"\2"]),
        "priority": octet,
        "timestamp": st.binary(min_size=8, max_size=8),
    }
    return st.builds(Properties, st.fixed_dictionaries({}, optional=optional), st.none() | headers())
