"""Every rule fires when it should, stays quiet when it should, and asks only for what there is."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser as promql
import pytest
import yaml

from dashboards.components.address import PLACE_PARAMETERS
from dashboards.navigation import PLACES
from tests.alerts.conftest import Run
from tests.alerts.promql import ROOT, RULES, exposed, labels_of, read_rules, recorded, selectors

TESTS = sorted((ROOT / "alerts" / "tests").glob("*.yml"))
ALL = read_rules()
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
KNOWN = recorded(ALL)
CASES = [(file, case) for file in TESTS for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]

SUBSCRIPTION = {"system", "cluster", "destination", "subscriber"}
WITHOUT_CLUSTER = {"EventflowMonitorAbsent", "EventflowWatchdog", "EventflowRedriveInterrupted"}
# What they say is yes or no, so there is no number to name.
WITHOUT_NUMBER = {
    "EventflowSubscriptionLosing",
    "EventflowSubscriptionUnknown",
    "EventflowDeadLettersMisconfigured",
    "EventflowMonitorAbsent",
    "EventflowWatchdog",
}
# Loss is told whatever somebody has planned.
DEAF_TO_MUTES = {"EventflowSubscriptionLosing", "EventflowRetentionRisk", "EventflowSqsInFlightQuota"}
ALWAYS_FIRES = "EventflowWatchdog"
EXPECTED_ALERT = re.compile(r'alertname="(\w+)",alertstate="firing"')


def test_promtool_accepts_the_rules(run: Run) -> None:
    done = run(["promtool", "check", "rules", *map(str, sorted(RULES.glob("*.yml")))])

    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout, done.stdout


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_and_stay_quiet_as_told(file: Path, run: Run) -> None:
    done = run(["promtool", "test", "rules", str(file)])

    assert done.returncode == 0, done.stdout + done.stderr


def outcomes(alert: str) -> set[bool]:
    """Return whether there are cases in which an alert fires (True) and is quiet (False), whose names say so."""
    return {
        bool(check["exp_samples"])
        for _, case in CASES
        if alert in case["name"]
        for check in case["promql_expr_test"]
        if alert in EXPECTED_ALERT.findall(check["expr"])
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_shown_firing_and_quiet(alert: str) -> None:
    assert outcomes(alert) == ({True} if alert == ALWAYS_FIRES else {True, False})


@pytest.mark.parametrize("what", ["everything is gone", "first event ever", "counter reset", "restart of the monitor",
                                  "less than a message a minute", "muted"])  # fmt: skip
def test_what_rules_mostly_get_wrong_is_among_the_cases(what: str) -> None:
    assert any(what in case["name"] for _, case in CASES)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_rules_ask_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    labels_of(promql.parse(rule["expr"]), KNOWN)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_results_do_not_depend_on_which_monitor_was_scraped(rule: dict[str, Any]) -> None:
    """Each metric of ours is aggregated or matched by named labels, so that `instance` and `job` are in no result."""
    expression = promql.parse(rule["expr"])
    scraped = {name: labels | {"instance", "job"} for name, labels in exposed().items()}

    assert not labels_of(expression, recorded(ALL) | scraped) & {"instance", "job"}


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_alerts_carry_what_they_are_routed_and_inhibited_by(alert: str, rule: dict[str, Any]) -> None:
    labels = labels_of(promql.parse(rule["expr"]), KNOWN) | set(rule["labels"])

    assert {"severity", "product", "scope", "system"} <= labels
    assert ("cluster" in labels) == (alert not in WITHOUT_CLUSTER)
    assert rule["labels"]["severity"] in {"critical", "warning"} or alert == ALWAYS_FIRES
    if "tier" in labels:
        assert labels >= SUBSCRIPTION


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_alerts_about_subscriptions_name_the_owner(alert: str, rule: dict[str, Any]) -> None:
    labels = labels_of(promql.parse(rule["expr"]), KNOWN)

    # What has gone has no owner any more that could be joined.
    assert ("owner" in labels) == (labels >= SUBSCRIPTION and alert != "EventflowIndicatorAbsent")


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_what_is_muted_stays_quiet(alert: str, rule: dict[str, Any]) -> None:
    labels = labels_of(promql.parse(rule["expr"]), KNOWN)
    names = {it.name for it in selectors(promql.parse(rule["expr"]))}

    if labels >= SUBSCRIPTION and alert not in DEAF_TO_MUTES:
        assert "eventflow_subscription_muted" in names


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_alerts_say_what_whom_and_what_next(alert: str, rule: dict[str, Any]) -> None:
    texts = rule["annotations"]
    labels = labels_of(promql.parse(rule["expr"]), KNOWN) | set(rule["labels"])

    assert set(texts) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert set(re.findall(r"\$labels\.(\w+)", "".join(texts.values()))) <= labels
    assert ("$value" in texts["description"]) == (alert not in WITHOUT_NUMBER)
    if labels >= SUBSCRIPTION:
        assert (
            "$labels.subscriber" in texts["summary"] + texts["description"] or "$labels.destination" in texts["summary"]
        )
    assert parse_qs(urlsplit(texts["runbook_url"]).query) == {"runbook": [alert]}
    assert (ROOT / "alerts" / "runbooks" / f"{alert}.md").is_file()


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_alerts_lead_to_the_page_of_what_they_are_about(alert: str, rule: dict[str, Any]) -> None:
    labels = labels_of(promql.parse(rule["expr"]), KNOWN) | set(rule["labels"])
    address = urlsplit(rule["annotations"]["dashboard_url"])
    parameters = parse_qs(address.query)
    page = address.path.strip("/") or "overview"

    assert page in {place.path for place in PLACES}
    assert parameters.keys() <= set(PLACE_PARAMETERS)
    # Values have to be those of the alert, whatever characters are in them.
    for name, (value,) in parameters.items():
        assert value == rule["labels"].get(name) or re.fullmatch(r"\{\{ \$labels\.(\w+) \| urlquery \}\}", value)
    if labels >= SUBSCRIPTION:
        assert (page, set(parameters)) == ("subscriptions", SUBSCRIPTION)
    elif labels >= {"system", "cluster", "queue"} and rule["labels"]["scope"] == "dead_letters":
        assert (page, set(parameters)) == ("dead-letters", {"system", "cluster", "queue"})
    elif "cluster" in labels:
        assert "cluster" in parameters


@pytest.mark.parametrize("file", [it for it in TESTS if "long" not in it.name], ids=lambda file: file.stem)
def test_texts_are_whole_when_alerts_fire(file: Path, tmp_path: Path, run: Run) -> None:
    """Asks promtool for alerts that are not expected, since it then tells what it has got, texts included."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["rule_files"] = [str((file.parent / rules).resolve()) for rules in document["rule_files"]]
    expected: set[str] = set()
    cases = []
    for case in document["tests"]:
        fired = [
            (check["eval_time"], alert)
            for check in case.pop("promql_expr_test")
            if check["exp_samples"]
            for alert in EXPECTED_ALERT.findall(check["expr"])
            if alert not in expected
        ]
        expected |= {alert for _, alert in fired}
        case["alert_rule_test"] = [{"eval_time": at, "alertname": alert, "exp_alerts": []} for at, alert in fired]
        cases += [case] if fired else []
    document["tests"] = cases
    (tmp_path / file.name).write_text(yaml.safe_dump(document), encoding="utf-8")

    done = run(["promtool", "test", "rules", str(tmp_path / file.name)])

    told = done.stdout + done.stderr
    assert set(re.findall(r'Labels:\{[^}]*?alertname=\\?"(\w+)', told)) == expected
    for mistake in ("<error", "<no value>", "%!", "{{"):
        assert mistake not in told


def test_a_metric_or_label_that_is_not_there_would_be_found() -> None:
    known = {"a": frozenset({"x"}), "b": frozenset({"x", "y"})}
    for wrong in ("c", 'a{y="1"}', "sum by (y) (a)", "a / b", "a * on (y) group_left () b", "sum without (x) (b)"):
        with pytest.raises(AssertionError):
            labels_of(promql.parse(wrong), known)
    assert labels_of(promql.parse("b * on (x) group_left () a"), known) == {"x", "y"}
    assert labels_of(promql.parse('label_replace(a, "z", "$1", "x", "(.*)") > 1'), known) == {"x", "z"}


def test_the_documents_list_every_alert_with_its_severity_and_wait() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    listed = dict(re.findall(r"^\| `(Eventflow\w+)` \| (\w+ \| [\w ]+) \|", text, re.MULTILINE))
    assert listed == {
        alert: f"{rule['labels']['severity']} | {rule.get('for', 'at once')}" for alert, rule in ALERTS.items()
    }
