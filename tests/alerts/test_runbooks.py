"""Runbooks: one page an alert, whose commands work. `make soak NAME=runbooks` runs all of the brokers' own as well."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.kafka.tools import TOOLS
from stack.state import Endpoints
from tests.alerts.promql import read_rules
from tests.alerts.runbooks import OF_RABBITMQ, PAGES, PROGRAMS, Scene, commands, program, scene, spans

CHAPTERS = ["What it means", "Whom it hurts", "How to look", "How to mend it", "How to tell that it is mended"]
# A virtual machine starts for each of these; the commonest of them is run here all the same.
SLOW = {*OF_RABBITMQ, *TOOLS, "amtool"}
DONE_ALREADY = "eventflow serve --config FILE"  # by what stands around all others
COMMONEST = "kafka-consumer-groups.sh --bootstrap-server HOST:9092 --describe --group SUBSCRIBER"
WORDS_OF_THEIR_OWN = {"AWS", "SQS", "UNCLEAN"}


@pytest.fixture(scope="module")
def here(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(endpoints, tmp_path_factory.mktemp("runbooks")) as made:
        yield made


def test_there_is_one_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == {rule["alert"] for rule in read_rules() if "alert" in rule}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_what_somebody_asks_at_night(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    chapters = re.split(r"^## (.+)$", text, flags=re.MULTILINE)

    assert chapters[0].strip() == f"# {page.stem}"
    assert chapters[1::2] == CHAPTERS
    assert all(chapter.strip() for chapter in chapters[2::2])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_looks_like_a_command_is_of_a_program_that_is_run(page: Path) -> None:
    for span in spans(page):
        assert program(span) in PROGRAMS or program(span).endswith(":"), span


def test_placeholders_are_filled(here: Scene) -> None:
    for command in commands():
        left = set(re.findall(r"\b[A-Z][A-Z_]+\b", command)) - WORDS_OF_THEIR_OWN
        assert left <= {part for name in here.meanings for part in re.split(r"[/:]", name)}, command


def quick() -> list[str]:
    return [it for it in commands() if it == COMMONEST or (program(it) not in SLOW and it != DONE_ALREADY)]


@pytest.mark.parametrize("command", quick())
def test_the_command_works(here: Scene, command: str) -> None:
    ended = here.run(command)

    assert ended.code == 0, ended.said
