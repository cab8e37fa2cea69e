"""Cursors of lists that are numbered, and so need no memory of their own."""

from monitor.errors import BadRequest


def read_number(cursor: str | None) -> int | None:
    """Return the number that a page goes on after. Raises BadRequest."""
    if cursor is None:
        return None
    if not cursor.isdigit():
        raise BadRequest("cursor: is none of this list", parameter="cursor")
    return int(cursor)
