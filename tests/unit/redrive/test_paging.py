"""Cursors of numbered lists."""

import pytest

from monitor.errors import BadRequest
from monitor.redrive.paging import read_number


def test_a_cursor_is_the_number_that_a_page_gave() -> None:
    assert read_number(None) is None
    assert read_number("0") == 0
    assert read_number("9" * 18) == 10**18 - 1


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "1 ", "²", "٣", "9" * 19, "9" * 400])
def test_what_no_page_can_have_given_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        read_number(cursor)
