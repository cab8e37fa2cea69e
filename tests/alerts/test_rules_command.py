"""`eventflow rules`: the rules as another house wants them."""

from pathlib import Path

import pytest
import yaml

from monitor.errors import ConfigurationError
from monitor.rules import Adaptation, adapt, read_groups, render
from tests.alerts.conftest import Run
from tests.alerts.promql import RULES
from tests.unit.cli.running import Shell

GROUPS = read_groups(RULES)


def rules_of(**changes: object) -> dict[str, dict[str, object]]:
    adapted = adapt(GROUPS, Adaptation(**changes))  # type: ignore[arg-type]
    return {rule.get("alert") or rule["record"]: rule for group in adapted for rule in group["rules"]}


@pytest.mark.parametrize(
    "changes",
    [{}, {"time_scale": 0.05}, {"time_scale": 3.0}, {"labels": {"cluster": "exported_cluster", "system": "bus"}}],
    ids=str,
)
def test_prometheus_takes_what_is_printed(changes: dict[str, object], tmp_path: Path, run: Run) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(render(adapt(GROUPS, Adaptation(**changes)), "prometheus", "", {}), encoding="utf-8")  # type: ignore[arg-type]

    done = run(["promtool", "check", "rules", str(file)])

    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_changes_unless_asked() -> None:
    assert adapt(GROUPS, Adaptation()) == GROUPS


def test_a_label_is_renamed_where_it_is_a_label_and_nowhere_else() -> None:
    rule = rules_of(labels={"cluster": "bus_cluster"})["EventflowSubscriptionStopped"]
    texts: dict[str, str] = rule["annotations"]  # type: ignore[assignment]

    assert "cluster," not in str(rule["expr"]).replace("bus_cluster", "")
    assert "eventflow_subscription_backlog_messages" in str(rule["expr"])
    assert "($labels.bus_cluster" not in texts["summary"]
    assert "{{ $labels.bus_cluster }}" in texts["summary"]
    assert "&cluster={{ $labels.bus_cluster | urlquery }}" in texts["dashboard_url"]


def test_two_labels_can_change_places() -> None:
    expression = str(rules_of(labels={"source": "target", "target": "source"})["EventflowRedriveLoop"]["expr"])

    assert "by (system, cluster, target, source)" in expression


def test_severities_get_other_names() -> None:
    rules = rules_of(severities={"critical": "page"})

    assert rules["EventflowSubscriptionStopped"]["labels"]["severity"] == "page"  # type: ignore[index]
    assert rules["EventflowSubscriptionLagging"]["labels"]["severity"] == "warning"  # type: ignore[index]


def test_addresses_lead_where_people_reach_them() -> None:
    moved = rules_of(dashboard="https://events.example/")["EventflowRetentionRisk"]["annotations"]
    elsewhere = rules_of(runbooks="https://wiki.example/books")["EventflowRetentionRisk"]["annotations"]

    assert moved["runbook_url"] == "https://events.example/alerts?runbook=EventflowRetentionRisk"  # type: ignore[index]
    assert moved["dashboard_url"].startswith("https://events.example/subscriptions?system=")  # type: ignore[index]
    assert elsewhere["runbook_url"] == "https://wiki.example/books/EventflowRetentionRisk.md"  # type: ignore[index]


def test_alerts_are_chosen_or_left_out_and_recording_rules_stay() -> None:
    one = rules_of(chosen=["EventflowWatchdog"])
    rest = rules_of(left_out=["EventflowWatchdog"])

    assert [name for name in one if name.startswith("Eventflow")] == ["EventflowWatchdog"]
    assert "subscription:eventflow_owner:info" in one
    assert len(rest) == len(rules_of()) - 1


def test_waits_get_shorter_and_thresholds_stay() -> None:
    rule = rules_of(time_scale=0.1)["EventflowDeadLettersExpireSoon"]
    arriving = rules_of(time_scale=0.1)["EventflowDeadLettersArriving"]

    assert (rule["for"], "< 86400" in str(rule["expr"])) == ("90s", True)
    assert (arriving["keep_firing_for"], "[90s]" in str(arriving["expr"]), "offset 90s" in str(arriving["expr"])) == (
        "90s",
        True,
        True,
    )
    assert rules_of(time_scale=0.001)["EventflowAgeOverObjective"]["for"] == "1s"


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"labels": {"clustr": "x"}}, "did you mean cluster"), ({"chosen": ["EventflowWatchdg"]}, "EventflowWatchdog"),
     ({"severities": {"page": "critical"}}, "critical, none, warning")],
)  # fmt: skip
def test_what_no_rule_has_is_refused_with_what_there_is(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        rules_of(**changes)


def test_the_operator_gets_a_rule_of_its_own_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Shell(monkeypatch, capsys).run(
        "rules", "--format", "prometheusrule", "--name", "bus", "--metadata-label", "release=prometheus"
    )

    document = yaml.safe_load(done.out)
    assert (document["apiVersion"], document["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert document["metadata"] == {"name": "bus", "labels": {"release": "prometheus"}}
    assert document["spec"]["groups"] == GROUPS


def test_a_pair_that_is_none_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Shell(monkeypatch, capsys).run("rules", "--label", "cluster")

    assert done.code == 2
    assert "cluster is not OLD=NEW" in done.err
