import re
from pathlib import Path

import pytest

from monitor.analysis.assessment import Rules
from monitor.analysis.status import PATIENCE, STATUS_OF
from monitor.analysis.windows import ANCHORS
from monitor.model import Status

PAGE = (Path(__file__).parents[3] / "docs" / "status.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_status_is_explained_in_the_order_of_the_model() -> None:
    assert [row[0] for row in rows("The statuses, from worst to best")] == list(Status)


def test_every_rule_is_explained_with_its_status_from_worst_to_best() -> None:
    told = [(row[1], row[0]) for row in rows("The rules")]
    assert told == [(cause.name.lower(), status.value) for cause, status in sorted(STATUS_OF.items())]


@pytest.mark.parametrize("interval", [1.0, 15.0, 600.0])
def test_the_limits_are_those_of_the_code(interval: float) -> None:
    told = {
        name: max(float(re.sub(r" s$", "", default)), interval * float(least.split()[0]))
        for name, default, least in rows("The limits")
    }
    rules = Rules.of(interval)
    assert told == {
        "window": rules.limits.window,
        "absence": rules.limits.absence,
        "age (without an objective)": rules.limits.age,
        "rates": rules.rate_span,
    }


def test_the_numbers_in_words_are_those_of_the_code() -> None:
    assert (PATIENCE, "six windows" in PAGE) == (6, True)
    assert (ANCHORS, "eight points" in PAGE) == (8, True)
