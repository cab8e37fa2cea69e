"""Foreign text made inert. Real browsers are asked in tests/dashboards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components.text import as_text, visible

JOINER = "\u2060"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order-events.v1/a%2Fb", "order-events.v1/a%2Fb"),
        ("a\x1b[31m\x00\x7f", "a\\x1b[31m\\x00\\x7f"),
        ("line\nbreak\ttab", "line\\x0abreak\\x09tab"),
        ("\u202egnp.exe\u200b", "\\u202egnp.exe\\u200b"),
        ("straße 漢字 🙂", "straße 漢字 🙂"),
    ],
)
def test_what_acts_is_written_out_and_what_is_text_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_what_is_too_long_is_cut_and_says_by_how_much() -> None:
    assert visible("a" * 1_305, 300) == "a" * 300 + "… (1,005 more characters)"


@given(st.text(max_size=60))
def test_no_punctuation_stays_that_markdown_could_read(text: str) -> None:
    told = as_text(text)
    plain = told.replace("\\\\", "").replace(JOINER, "")
    for place, character in enumerate(plain):
        if character in "*_`<>[]()#$~|:!&+-.\"'":
            assert plain[place - 1] == "\\" if place else False


@given(st.text(max_size=60))
def test_the_text_itself_is_unchanged_but_for_what_stops_links(text: str) -> None:
    unescaped, escaped = "", False
    for character in as_text(text):
        if character == "\\" and not escaped:
            escaped = True
        else:
            unescaped, escaped = unescaped + character, False
    assert unescaped.replace(JOINER, "") == visible(text).replace(JOINER, "")


@pytest.mark.parametrize("text", ["https://a.b", "HTTP://a.b", "www.a.b", "me@a.b", ":smile:", ":material/home:"])
def test_links_and_pictures_are_broken_where_escaping_does_not_help(text: str) -> None:
    assert JOINER in as_text(text)


@pytest.mark.parametrize("text", ["orders:v1", "a::b", "httpd", "www", "queue@", "12:30"])
def test_names_that_are_no_links_are_not_touched(text: str) -> None:
    assert JOINER not in as_text(text)
