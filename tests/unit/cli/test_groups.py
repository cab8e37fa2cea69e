"""`eventflow dlq groups` and plans: causes, evidence and advice as people read them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from monitor.analysis.advice import Lesson
from monitor.analysis.causes import cause_of
from monitor.api.redrive_items import LetterGroup
from monitor.catalog.model import EventName
from monitor.catalog.schemas import Schemas
from monitor.cli.redrive_tables import group_lines, groups_table
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.letters import DeadMessage
from monitor.model import Status
from monitor.redrive.fits import Grounds
from monitor.redrive.grouping import MARK, Change, Context, Reader, tell_groups
from tests.unit.causes.labelled import letter_of

SHIPPED = Path(__file__).parents[3] / "config" / "catalog.yml"
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


def test_what_the_catalog_knows_is_told_with_the_patch_and_whom_it_concerns() -> None:
    schemas = Schemas(Configuration(catalog=str(SHIPPED)), Clock())
    assert schemas.catalog is not None
    (example,) = schemas.catalog.events[EventName("OrderCreated", "2")].examples
    dead = DeadMessage("0:1", {}, None, json.dumps(example).encode(), exception="shop.UnknownVersion")
    context = Context(2_000.0, grounds=Grounds(schemas, "orders", ("order-events",)))
    groups = cast(list[LetterGroup], tell_groups([dead], (), context))
    told = "\n".join(str(line) for line in group_lines(groups[0]))
    for words in (
        "redrive with the patch", "OrderCreated 2, by type and schema_version of the body; the consumer lists 1; "
        "data.customer_email: expected a value, found nothing", "the newest version that fits is 2",
        '"from": "/data/customer/email"', "1 OrderCreated wait for notification (notifications), inventory (warehouse)",
    ):  # fmt: skip
        assert words in told
