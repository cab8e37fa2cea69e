"""`eventflow dlq groups` and plans: causes, evidence and advice as people read them."""

from io import StringIO
from typing import Any, cast

from rich.console import Console

from monitor.analysis.advice import Lesson
from monitor.analysis.causes import cause_of
from monitor.api.redrive_items import LetterGroup
from monitor.cli.redrive_tables import group_lines, groups_table
from monitor.model import Status
from monitor.redrive.grouping import MARK, Change, Context, Reader, tell_groups
from tests.unit.causes.labelled import letter_of

HEADERS: list[tuple[str, str | bytes]] = [
    ("x-original-topic", "orders"), ("x-exception-fqcn", "shop.events.MissingField"), ("ce_source", "/checkout"),
    ("x-app-version", "1.4"), ("x-exception-message", "$.total: string found, number expected"),
]  # fmt: skip


def show(**known: Any) -> str:
    letters = [letter_of(HEADERS, place=place, at=1_000.0 + place) for place in range(3)]
    context = Context(2_000.0, readers=(Reader("k/g/orders", "orders", "g", Status.OK),), **known)
    groups = cast(list[LetterGroup], tell_groups(letters, (), context))
    console = Console(width=400, file=StringIO())
    console.print(groups_table(groups))
    for line in group_lines(groups[0]):
        console.print(line)
    return cast(StringIO, console.file).getvalue()


def test_a_group_is_told_with_kind_field_makers_changes_and_advice() -> None:
    told = show(changes=(Change(940.0, MARK, "deploy checkout", "1.4"),))
    for words in (
        "schema violation", "redrive after the fix", "about     $.total: expected number, found string",
        "made by   /checkout 1.4 (3)", "taken by  k/g/orders", "1.0/s",
        "changed   deploy checkout: 1.4, 1 min before the first",
        "says so   x-exception-fqcn: shop.events.MissingField",
    ):  # fmt: skip
        assert words in told


def test_what_came_back_is_advised_against() -> None:
    id_ = cause_of(letter_of(HEADERS)).id
    assert "do not redrive: 4 of 9 came back" in show(lessons={id_: Lesson(1_500.0, 9, 4)})
