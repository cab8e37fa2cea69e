"""One gzip member out of pieces that were deflated on their own."""

import gzip
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.exposition.gzipping import EMPTY, Piece, as_gzip, concatenate, deflate

TEXTS = st.lists(
    st.one_of(st.binary(max_size=300), st.binary(min_size=1, max_size=3).map(lambda b: b * 40_000)), max_size=5
)


def gzipped(texts: list[bytes]) -> bytes:
    return as_gzip(concatenate(map(deflate, texts)))


@given(TEXTS)
def test_the_pieces_are_read_back_as_one_text_with_its_check_sum(texts: list[bytes]) -> None:
    assert gzip.decompress(gzipped(texts)) == b"".join(texts)


@given(TEXTS)
def test_there_is_a_single_member(texts: list[bytes]) -> None:
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)

    assert reader.decompress(gzipped(texts)) == b"".join(texts)
    assert reader.eof
    assert reader.unused_data == b""


@given(TEXTS, TEXTS)
def test_concatenating_is_associative(first: list[bytes], second: list[bytes]) -> None:
    one, other = concatenate(map(deflate, first)), concatenate(map(deflate, second))

    assert concatenate([one, other]) == concatenate(map(deflate, first + second))


@given(st.binary(max_size=2000))
def test_the_check_sum_and_size_are_those_of_the_text(text: bytes) -> None:
    piece = concatenate([deflate(text[:7]), EMPTY, deflate(text[7:])])

    assert (piece.crc, piece.size) == (zlib.crc32(text), len(text))


def test_httpx_reads_all_of_it() -> None:
    """httpx stops at the end of the first member without a word: with several the rest would be lost."""
    texts = [b"first " * 1000, b"second"]

    response = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzipped(texts))

    assert response.content == b"".join(texts)


def test_a_wrong_check_sum_is_noticed_by_readers() -> None:
    right = deflate(b"text")
    wrong = Piece(right.deflated, right.size, right.crc ^ 1, right.shift)

    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(as_gzip(wrong))


def test_a_piece_larger_than_16_mb_keeps_its_check_sum() -> None:
    text = b"0123456789abcdef" * (17 << 16)

    assert gzip.decompress(gzipped([b"before", text, b"after"])) == b"before" + text + b"after"
