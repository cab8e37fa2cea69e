"""Lists that are numbered, and so need no memory of their own: their cursors, their directions, and search in them."""

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.errors import BadRequest

_NUMBER = re.compile("[0-9]{1,18}")  # what fits into 64 bits, in the digits that lists are given out with


def read_number(cursor: str | None) -> int | None:
    """Return the number that a page goes on after. Raises BadRequest."""
    if cursor is None:
        return None
    if not _NUMBER.fullmatch(cursor):
        raise BadRequest("cursor: is none of this list", parameter="cursor")
    return int(cursor)


@dataclass(frozen=True, slots=True)
class Order:
    """Which way to go through a numbered list, and the words that all must stand in what is told."""

    oldest_first: bool = False
    q: str = ""

    def page(self, table: sa.Table, after: int | None, limit: int, *texts: sa.Column[Any]) -> sa.Select[Any]:
        """Return the query of one page after a number; `texts` are the columns in which words are sought.

        SQLite knows the case of ASCII alone.
        """
        number = table.c.sequence
        query = sa.select(table).order_by(number if self.oldest_first else number.desc()).limit(limit)
        if after is not None:
            query = query.where(number > after if self.oldest_first else number < after)
        for word in self.q.lower().split():
            query = query.where(sa.or_(*(sa.func.lower(text).contains(word, autoescape=True) for text in texts)))
        return query


NEWEST_FIRST = Order()
