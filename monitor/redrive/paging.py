"""Cursors of lists that are numbered, and so need no memory of their own."""

import re

from monitor.errors import BadRequest

_NUMBER = re.compile("[0-9]{1,18}")  # what fits into 64 bits, in the digits that lists are given out with


def read_number(cursor: str | None) -> int | None:
    """Return the number that a page goes on after. Raises BadRequest."""
    if cursor is None:
        return None
    if not _NUMBER.fullmatch(cursor):
        raise BadRequest("cursor: is none of this list", parameter="cursor")
    return int(cursor)
