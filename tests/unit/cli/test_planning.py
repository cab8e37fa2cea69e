"""The options of a plan, as a person types them, and the body of the call that they become."""

import time
from pathlib import Path
from typing import Any

import pytest
import typer

from monitor.cli.planning import REDRIVING, read_options, with_options


def test_what_is_not_given_is_not_asked_for() -> None:
    assert read_options({"position": [], "native": False, "set_header": None, "patch": "[]"}) == {}
    assert read_options({"rate": 0.0}) == {"rate": 0.0}


def test_options_are_named_as_the_api_names_them() -> None:
    read = read_options(
        {
            "position": ["0:1"], "older_than": 7200.0, "canary_wait": 30.0, "set_header": ["a=1=2"], "rate": 5.0,
            "window": "9:30-17:00", "window_days": "mon, fri", "timezone": "Europe/Berlin",
        }
    )  # fmt: skip
    assert read == {
        "positions": ["0:1"],
        "older_than_seconds": 7200.0,
        "canary_wait_seconds": 30.0,
        "set_headers": {"a": "1=2"},
        "rate": 5.0,
        "window": {"begin": "09:30", "end": "17:00", "days": ["mon", "fri"], "timezone": "Europe/Berlin"},
    }


def test_moments_are_durations_or_times_of_this_machine() -> None:
    read = read_options({"start_at": "30m", "deadline": "2030-01-31T22:00"})
    assert read["start_at"] == pytest.approx(time.time() + 1800, abs=60)
    assert read["deadline"] == time.mktime((2030, 1, 31, 22, 0, 0, 0, 0, -1))
    assert read_options({"deadline": "2030-01-31T22:00Z"})["deadline"] == 1896127200.0


def test_a_patch_is_given_as_it_is_or_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    file.write_text('[{"op": "remove", "path": "/a"}]', encoding="utf-8")
    for text in (str(file), '[{"op": "remove", "path": "/a"}]'):
        assert read_options({"patch": text}) == {"patch": [{"op": "remove", "path": "/a"}]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline": "soon"},
        {"window": "22-5"},
        {"window_days": "mon"},
        {"timezone": "UTC"},
        {"set_header": ["=1"]},
        {"patch": "[{"},
        {"patch": "/nonexistent/patch.json"},
    ],
)
def test_what_cannot_be_meant_is_told_as_wrong_usage(wrong: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        read_options(wrong)


def test_a_command_gets_the_options_of_a_plan_beside_its_own() -> None:
    got: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    @with_options(*REDRIVING)
    def plan(queue: str, yes: bool = False, *, options: dict[str, Any]) -> None:
        got.update(queue=queue, yes=yes, **options)

    app(["k/q", "--younger-than", "2h", "--yes", "--remove-header", "a", "--remove-header", "b"], standalone_mode=False)
    assert got == {"queue": "k/q", "yes": True, "younger_than_seconds": 7200.0, "remove_headers": ["a", "b"]}
