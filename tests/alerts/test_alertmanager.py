"""Alertmanager: who gets what, and what keeps quiet for what."""

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.alerts.conftest import Run
from tests.alerts.promql import ROOT, labels_of, read_rules, recorded

FILE = ROOT / "alerts" / "alertmanager.yml"
EXAMPLES = ROOT / "alerts" / "receivers.example.yml"
CONFIG = yaml.safe_load(FILE.read_text(encoding="utf-8"))
ALL = read_rules()
KNOWN = recorded(ALL)
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"(.*)"')


def test_amtool_accepts_it(run: Run) -> None:
    done = run(["amtool", "check-config", str(FILE)])

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_fit_in_the_place_of_the_receivers(tmp_path: Path, run: Run) -> None:
    examples = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    whole = tmp_path / "alertmanager.yml"
    whole.write_text(yaml.safe_dump(CONFIG | examples), encoding="utf-8")

    done = run(["amtool", "check-config", str(whole)])

    assert done.returncode == 0, done.stdout + done.stderr
    assert {it["name"] for it in examples["receivers"]} == {it["name"] for it in CONFIG["receivers"]}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_goes_where_its_severity_belongs(alert: str, run: Run) -> None:
    labels = {"alertname": alert, "cluster": "orders", **ALERTS[alert]["labels"]}

    done = run(
        ["amtool", "config", "routes", "test", f"--config.file={FILE}", *(f"{k}={v}" for k, v in labels.items())]
    )

    receivers = {"critical": "critical", "warning": "warnings", "none": "dead-man"}
    assert done.stdout.split() == [receivers[labels["severity"]]], done.stderr


def test_alerts_of_others_do_not_reach_the_dead_man(run: Run) -> None:
    done = run(["amtool", "config", "routes", "test", f"--config.file={FILE}", "alertname=Watchdog", "severity=none"])

    assert done.stdout.split() == ["warnings"]


def matching(matchers: list[str]) -> list[str]:
    """Return the alerts that a side of an inhibition is about."""
    parsed = [MATCHER.fullmatch(it) for it in matchers]
    return [
        alert
        for alert, rule in ALERTS.items()
        if all(_matches({"alertname": alert, **rule["labels"]}, found) for found in parsed)
    ]


def _matches(labels: dict[str, str], found: Any) -> bool:
    value = labels.get(found[1], "")
    return bool(re.fullmatch(found[3], value)) if found[2] == "=~" else bool(value == found[3])


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"], ids=lambda rule: rule["source_matchers"][0])
def test_inhibition_is_by_labels_that_both_sides_always_have(rule: dict[str, Any]) -> None:
    sources, targets = matching(rule["source_matchers"]), matching(rule["target_matchers"])

    assert sources
    assert targets
    assert rule["equal"]
    for alert in (*sources, *targets):
        labels = labels_of(promql.parse(ALERTS[alert]["expr"]), KNOWN) | set(ALERTS[alert]["labels"])
        assert set(rule["equal"]) <= labels, alert
    assert not set(sources) & set(targets)


@pytest.mark.parametrize(
    ("source", "target"),
    [("EventflowObjectiveBurnFast", "EventflowObjectiveBurnSlow"),
     ("EventflowObjectiveBurnFast", "EventflowObjectiveMissedLowTraffic"),
     ("EventflowRabbitmqPublishersBlocked", "EventflowSubscriptionLagging"),
     ("EventflowCollectorStale", "EventflowSubscriptionStopped"),
     ("EventflowCollectorStale", "EventflowDeadLettersArriving"),
     ("EventflowCollectorMissing", "EventflowIndicatorAbsent"),
     ("EventflowMonitorAbsent", "EventflowCollectorMissing"),
     ("EventflowSubscriptionStopped", "EventflowAgeOverObjective")],
)  # fmt: skip
def test_the_cause_keeps_its_consequences_quiet(source: str, target: str) -> None:
    assert any(
        source in matching(rule["source_matchers"]) and target in matching(rule["target_matchers"])
        for rule in CONFIG["inhibit_rules"]
    )


def test_no_alert_can_be_kept_quiet_by_what_it_keeps_quiet() -> None:
    pairs = {
        (source, target)
        for rule in CONFIG["inhibit_rules"]
        for source in matching(rule["source_matchers"])
        for target in matching(rule["target_matchers"])
    }
    assert not {(source, target) for source, target in pairs if (target, source) in pairs}


def test_secrets_come_from_files() -> None:
    text = EXAMPLES.read_text(encoding="utf-8")

    assert not re.search(r"^\s*-?\s*(api_url|routing_key|service_key|credentials|password|bearer_token):", text, re.M)
