import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.exposition.families import BY_NAME
from monitor.exposition.text import CONTENT_TYPE, encode, escape_help, escape_label, header, numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (9_999.0, "9999"),
        (10_000.0, "10000"),
        (-3.0, "-3"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992"),
        (1e16, "10000000000000000"),
        (1e18, "1000000000000000000"),
        (2.0**63, "9.223372036854776e+18"),
        (0.1, "0.1"),
        (12.5, "12.5"),
        (0.125, "0.125"),
        (12.05, "12.05"),
        (12.001, "12.001"),
        (-12.5, "-12.5"),
        (0.0001, "0.0001"),
        (1e-7, "1e-07"),
        (123_456_789_012.345, "123456789012.345"),
        (1e-300, "1e-300"),
        (1e300, "1e+300"),
        (1_700_000_000.123, "1700000000.123"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_a_number_is_written_shortest_and_integers_without_point_or_exponent(value: float, text: str) -> None:
    assert numbers(np.array([value])) == [text]
    assert numbers(np.array([0.5, value, 7.0])) == ["0.5", text, "7"]
    assert numbers(np.array([8.0, value])) == ["8", text]


@given(st.lists(st.one_of(st.integers(0, 10**16).map(lambda i: i / 1000), st.floats(allow_nan=False)), max_size=5))
def test_every_number_is_written_as_short_as_python_writes_it(values: list[float]) -> None:
    for value, text in zip(values, numbers(np.array(values, dtype=np.float64)), strict=True):
        assert float(text) == value
        if math.isfinite(value):
            assert text.lstrip("-") == repr(int(value) if value.is_integer() and abs(value) < 2**63 else value).lstrip(
                "-"
            )


def test_no_numbers_are_no_texts() -> None:
    assert numbers(np.array([])) == []


def test_label_values_escape_backslash_quote_and_line_feed_only() -> None:
    assert escape_label('a\\b"c\nd\re\tf\0é') == 'a\\\\b\\"c\\nd\re\tf\0é'


def test_help_escapes_backslash_and_line_feed_only() -> None:
    assert escape_help('a\\b"c\nd') == 'a\\\\b"c\\nd'


def test_a_lone_surrogate_does_not_break_the_page() -> None:
    assert encode("a\ud800é") == b"a?\xc3\xa9"


def test_the_header_names_type_unit_and_that_values_are_polled() -> None:
    assert header(BY_NAME["dead_letter_arrivals_total"]).split("\n")[1:] == [
        "# HELP eventflow_dead_letter_arrivals_total Dead letters that came while the monitor watched. "
        "Unit: messages. Polled once an interval.",
        "# TYPE eventflow_dead_letter_arrivals_total counter",
    ]


def test_the_content_type_names_the_format_and_its_encoding() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
