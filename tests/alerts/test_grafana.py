"""Grafana's dashboards: made from one source, held to the 17 rules of dashboard-linter, asking only for what there is.

Grafana itself is not started: that the pages look well is not shown here.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from dashboards.grafana.__main__ import FOLDER, render
from dashboards.grafana.boards import BOARDS
from tests.alerts.promql import ROOT, exposed, labels_of, selectors
from tests.alerts.published import grafana, mistakes

PROVISIONED = {board.name: json.loads(render()[f"provisioned/{board.name}.json"]) for board in BOARDS}
EXPORTED = {board.name: json.loads(render()[f"export/{board.name}.json"]) for board in BOARDS}
# What prometheus-client tells about every process.
KNOWN = {
    name: labels | {"job", "instance"}
    for name, labels in {
        **exposed(),
        "process_resident_memory_bytes": frozenset(),
        "process_cpu_seconds_total": frozenset(),
    }.items()
}
COUNTER = re.compile(r"_(total|sum|count|bucket)$")
NO_QUERY = {"alertlist"}  # it asks for alerts, not for series

boards = pytest.mark.parametrize("board", PROVISIONED.values(), ids=PROVISIONED)


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] not in NO_QUERY)


def expressions(board: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in board["annotations"]["list"])


def parsed(expression: str) -> Any:
    """Parse as Grafana would send it: variables stand for a duration or a value."""
    text = expression.replace("$__rate_interval", "5m").replace("$__range", "1h")
    return promql.parse(text)


def variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    return next(it for it in board["templating"]["list"] if it["name"] == name)


def ranges(expression: Any, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield each vector selector's name with the function that takes its range, empty where there is none."""
    if isinstance(expression, promql.VectorSelector):
        yield str(expression.name), inside
    if isinstance(expression, promql.Call):
        inside = expression.func.name
    for name in ("expr", "vector_selector", "lhs", "rhs", "args"):
        part = getattr(expression, name, None)
        for inner in part if isinstance(part, list) else [part]:
            if inner is not None:
                yield from ranges(inner, inside)


def test_the_files_are_what_the_source_says() -> None:
    files = {
        str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8")
        for folder in ("provisioned", "export")
        for path in (FOLDER / folder).glob("*.json")
    }
    assert files == render(), "run `python -m dashboards.grafana`"


@boards
def test_rule_template_datasource(board: dict[str, Any]) -> None:
    chosen = variable(board, "datasource")

    assert (chosen["type"], chosen["query"], chosen["label"]) == ("datasource", "prometheus", "Data source")


@boards
@pytest.mark.parametrize("name", ["job", "instance"])
def test_rules_template_job_and_instance(board: dict[str, Any], name: str) -> None:
    chosen = variable(board, name)

    assert (chosen["type"], chosen["label"]) == ("query", name.capitalize())
    assert (chosen["multi"], chosen["allValue"], chosen["includeAll"]) == (True, ".+", True)
    assert chosen["datasource"]["uid"] == "${datasource}"


@boards
def test_rules_template_label_promql_and_reload_on_time_change(board: dict[str, Any]) -> None:
    for chosen in board["templating"]["list"]:
        if chosen["type"] == "query":
            selector = re.fullmatch(r"label_values\((.+), (\w+)\)", chosen["definition"])
            assert selector
            assert selector[2] in labels_of(promql.parse(selector[1]), KNOWN)
            assert chosen["refresh"] == 2


@boards
def test_rule_panel_datasource(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@boards
def test_rules_panel_title_description_units_and_targets(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"].endswith((".", "0")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    for panel in panels(board):
        assert panel["targets"], panel["title"]


@boards
def test_rules_target_promql_and_no_logql(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        labels_of(parsed(expression), KNOWN)


@boards
def test_rule_target_rate_interval(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        assert set(re.findall(r"\[([^\]]+)\]", expression)) <= {"$__rate_interval"}, expression


@boards
def test_rules_target_job_and_instance(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        for selector in selectors(parsed(expression)):
            found = {(it.name, str(it.op), it.value) for it in selector.matchers.matchers}
            for name in ("job", "instance"):
                assert (name, str(promql.MatchOp.Re), f"${name}") in found, expression


@boards
def test_rule_target_counter_aggregation(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        for name, function in ranges(parsed(expression)):
            assert bool(COUNTER.search(name)) == (function in {"rate", "increase", "irate"}), expression


@boards
def test_rule_uneditable(board: dict[str, Any]) -> None:
    assert board["editable"] is False


@boards
def test_results_do_not_depend_on_which_monitor_was_scraped(board: dict[str, Any]) -> None:
    if board["uid"] == "eventflow-monitor":
        return  # about the processes
    for expression in expressions(board):
        assert not labels_of(parsed(expression), KNOWN) & {"job", "instance"}, expression


@boards
def test_legends_and_links_use_labels_that_the_results_have(board: dict[str, Any]) -> None:
    for panel in panels(board):
        found = [labels_of(parsed(target["expr"]), KNOWN) for target in panel["targets"]]
        for target, labels in zip(panel["targets"], found, strict=True):
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            assert link["url"].startswith("${eventflow_url}/")
            assert set(re.findall(r"__(?:field\.labels|data\.fields)\.(\w+)", link["url"])) <= frozenset.union(*found)


@boards
def test_panels_fill_the_grid_without_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("board", [*PROVISIONED.values(), *EXPORTED.values()], ids=[*PROVISIONED, *EXPORTED])
def test_the_dashboard_is_one_by_the_schema_that_grafana_publishes(board: dict[str, Any]) -> None:
    # What `Import` asks for stands beside a dashboard, and panels are judged each by its own kind.
    document = {key: value for key, value in board.items() if key not in ("__inputs", "__requires", "panels")}

    assert mistakes(grafana("dashboard", "Dashboard"), document) == []


@boards
def test_panels_are_such_by_the_schema_of_their_kind(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert mistakes(grafana("dashboard", "Panel"), panel) == [], panel["title"]
    for panel in panels(board):
        kind = panel["type"].replace("-", "")
        assert mistakes(grafana(kind, "Options"), panel["options"]) == [], panel["title"]
        for target in panel["targets"]:
            assert mistakes(grafana("prometheus", "Dataquery"), target) == [], panel["title"]


def test_what_grafana_does_not_know_would_be_found() -> None:
    panel = next(panels(PROVISIONED["overview"]))

    assert mistakes(grafana("dashboard", "Panel"), {**panel, "colour": "red"})
    assert mistakes(grafana("dashboard", "Panel"), {**panel, "title": 1})
    assert mistakes(grafana("stat", "Options"), {**panel["options"], "textMode": "loud"})


def test_each_dashboard_has_its_own_stable_name() -> None:
    for name, board in PROVISIONED.items():
        assert (board["id"], board["uid"], board["tags"]) == (None, f"eventflow-{name}", ["eventflow"])
        assert {link["type"] for link in board["links"]} == {"link", "dashboards"}
        assert {it["name"] for it in board["annotations"]["list"]} == {"Redrives", "State changes"}


def test_what_is_provisioned_needs_no_import_and_what_is_imported_asks_for_its_datasource() -> None:
    for name, board in PROVISIONED.items():
        assert "__inputs" not in board
        assert "DS_PROMETHEUS" not in json.dumps(board)
        exported = EXPORTED[name]
        assert [it["name"] for it in exported["__inputs"]] == ["DS_PROMETHEUS"]
        assert {it["type"] for it in board["panels"]} == {
            it["id"] for it in exported["__requires"] if it["type"] == "panel"
        }
        assert "${datasource}" not in json.dumps(exported)
        assert [it["title"] for it in exported["panels"]] == [it["title"] for it in board["panels"]]


def test_provisioning_points_at_the_dashboards_and_at_prometheus() -> None:
    folder = FOLDER / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"][0]
    provider = yaml.safe_load((folder / "dashboards" / "eventflow.yml").read_text(encoding="utf-8"))["providers"][0]
    mounts = yaml.safe_load(Path(ROOT, "docker-compose.yml").read_text(encoding="utf-8"))["services"]["grafana"]

    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert f"./dashboards/grafana/provisioned:{provider['options']['path']}:ro" in mounts["volumes"]
