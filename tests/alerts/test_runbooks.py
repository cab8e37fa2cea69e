"""Runbooks: one page an alert, whose commands exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from monitor.cli.commands import app
from tests.alerts.promql import ROOT, read_rules

PAGES = sorted((ROOT / "alerts" / "runbooks").glob("*.md"))
CHAPTERS = ["What it means", "Whom it hurts", "How to look", "How to mend it", "How to tell that it is mended"]
COMMAND = re.compile(r"`eventflow ([^`]+)`")


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
def test_commands_of_ours_exist_with_their_options(page: Path) -> None:
    root = typer.main.get_command(app)
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = line.split()
        command: Any = root
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands"), f"eventflow {line}"
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, f"eventflow {line}"
