"""The catalogue, the table of families and the page say the same."""

import re
from pathlib import Path

import pytest

from monitor.exposition.catalogue import catalogue
from monitor.exposition.families import BY_NAME, FAMILIES, Family, Kind
from tests.unit.exposition.builders import page_of, view

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
BASE_UNITS = re.compile(r"_(seconds|bytes|ratio|messages|partitions|replicas|consumers|offset|series)(_total)?$")


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == catalogue(), "run `make docs`"


def test_every_family_of_a_page_is_in_the_document() -> None:
    shown = set(re.findall(r"^# TYPE (\S+)", page_of(view()).plain.decode(), re.MULTILINE))

    assert shown <= set(re.findall(r"^\| `(\w+)`", catalogue(), re.MULTILINE))


def test_no_family_stands_twice() -> None:
    assert len(BY_NAME) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_named_and_told_as_the_conventions_want_it(family: Family) -> None:
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    assert family.unit in ("flag", "receives") or not family.name.endswith("_info")
    assert family.summary[0].isupper()
    assert not family.summary.endswith(".")
    assert family.advice == "" or family.advice.endswith((".", "`"))
    assert "Polled" in family.help
    assert "|" not in family.summary + family.advice
    assert len(set(family.labels)) == len(family.labels)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_unit_in_a_name_is_the_unit_that_is_told(family: Family) -> None:
    found = BASE_UNITS.search(family.name)
    if found:
        assert family.unit.startswith(found[1]) or (found[1], family.unit) == ("messages", "notifications")


def test_families_that_sentences_name_exist() -> None:
    named = re.compile(r"`(?:eventflow_)?((?:subscription|dead_letter|kafka|rabbitmq|sqs|sns|collector)_\w+)`")
    for family in FAMILIES:
        assert set(named.findall(family.advice)) <= set(BY_NAME), family.name
