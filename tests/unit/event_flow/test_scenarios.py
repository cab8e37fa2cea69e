"""How scenarios are chosen and told; what they show is shown on real brokers."""

import json
from pathlib import Path

import pytest

from examples.event_flow.scenarios.__main__ import main, monitor_of, print_verdict
from examples.event_flow.scenarios.catalogue import SCENARIOS
from examples.event_flow.scenarios.running import Result, Row
from monitor.apiclient import DEFAULT_URL

GOOD = Row("disturb", "place orders", "10 orders", 0.5, ok=True)
BAD = Row("expect", "the monitor counts the dead letters", "after 45 s: 3", 45.0, ok=False)


def test_every_scenario_disturbs_expects_and_proves() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.disturb, name
        assert scenario.expect, name
        assert scenario.prove, name


def test_the_list_names_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == list(SCENARIOS)


def test_a_scenario_that_there_is_not_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no-such-scenario"])
    assert ended.value.code == 2
    assert "no-such-scenario" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "steps", "ok"), [((GOOD,), 1, True), ((GOOD, BAD), 2, False), ((GOOD,), 2, False)], ids=str
)
def test_a_verdict_is_good_when_every_step_was_reached_and_as_it_must_be(
    rows: tuple[Row, ...], steps: int, ok: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result("poison-message", rows, steps)
    assert result.ok is ok
    print_verdict(result, as_json=False)
    assert ("NOT as it must be" not in capsys.readouterr().out) is ok
    print_verdict(result, as_json=True)
    assert json.loads(capsys.readouterr().out)["ok"] is ok


def test_the_monitor_is_that_of_the_demo_or_else_the_usual_one(tmp_path: Path) -> None:
    assert monitor_of(tmp_path) == DEFAULT_URL
    (tmp_path / "demo.json").write_text('{"monitor": "http://127.0.0.1:9611"}')
    assert monitor_of(tmp_path) == "http://127.0.0.1:9611"


def test_the_page_lists_exactly_the_scenarios_that_there_are_in_their_order() -> None:
    page = (Path(__file__).parents[3] / "docs" / "event-flow.md").read_text(encoding="utf-8")
    table = page.partition("| scenario | what happens |\n|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| `{it.name}` | {it.summary} |" for it in SCENARIOS.values()]
