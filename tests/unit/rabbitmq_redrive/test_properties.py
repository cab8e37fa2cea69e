import pytest
from hypothesis import given

from monitor.brokers.rabbitmq.properties import Field, Properties, decode_properties, encode_properties, plain, shown
from tests.unit.rabbitmq_redrive.wire import properties


@given(properties())
def test_what_is_read_is_written_byte_for_byte(original: Properties) -> None:
    wire = encode_properties(original)
    assert decode_properties(wire) == original
    assert encode_properties(decode_properties(wire)) == wire


@given(properties())
def test_every_header_can_be_shown(original: Properties) -> None:
    for entry in original.headers or ():
        assert shown(entry) is not None or entry.kind == b"V"


def test_duplicate_names_stay_two() -> None:
    twice = Properties({}, (Field(b"a", b"t", b"\1"), Field(b"a", b"t", b"\0")))
    assert decode_properties(encode_properties(twice)) == twice


@pytest.mark.parametrize(
    "raw", [b"", b"\x80\x00", b"\x80\x00\x05ab", b"\x20\x00\0\0\0\x05\x01aQ12", b"\x00\x01\x00\x00"]
)
def test_what_ends_early_or_is_unknown_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_properties(raw)


def test_numbers_keep_their_value_for_people() -> None:
    assert plain(Field(b"a", b"B", b"\xff")) == 255
    assert plain(Field(b"a", b"d", b"\x3f\xe0" + bytes(6))) == 0.5
    assert plain(Field(b"a", b"D", b"\x02\x00\x00\x00\x7b")) == "123e-2"
