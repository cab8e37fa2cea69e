"""The units for systemd and the manifests for Kubernetes, as far as they can be judged without either running."""

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from dashboards.grafana.__main__ import CONFIG_MAPS, render_config_maps
from monitor.cli.commands import app
from monitor.config import parse_configuration
from monitor.rules import Adaptation, adapt, read_groups, render
from tests.alerts.promql import ROOT
from tests.alerts.published import mistakes, operator

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
OF_THE_OPERATOR = "monitoring.coreos.com/v1"
"""Kinds whose schema Kubernetes itself does not publish."""

DOCUMENTS: dict[str, dict[str, Any]] = {
    f"{path.name}:{document['kind']}/{document['metadata']['name']}": document
    for path in MANIFESTS
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
OURS = {name: it for name, it in DOCUMENTS.items() if it["apiVersion"] != OF_THE_OPERATOR}
PODS = {name: it["spec"]["template"]["spec"] for name, it in DOCUMENTS.items() if it["kind"] == "Deployment"}


def of(kind: str, name: str) -> dict[str, Any]:
    return next(it for it in DOCUMENTS.values() if (it["kind"], it["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    # What is not installed here cannot be found: the command is checked by the next test.
    text = re.sub(r"/opt/eventflow/bin/eventflow", "/bin/true", unit.read_text(encoding="utf-8"))
    copy = tmp_path / unit.name
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_what_a_unit_starts_is_a_command_of_the_package(unit: Path) -> None:
    (command,) = re.findall(r"^ExecStart=/opt/eventflow/bin/eventflow (\w+)", unit.read_text(encoding="utf-8"), re.M)
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_a_wrong_configuration_is_not_started_again_and_again() -> None:
    unit = (ROOT / "deploy" / "systemd" / "eventflow-monitor.service").read_text(encoding="utf-8")
    assert "RestartPreventExitStatus=2" in unit
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit


@pytest.mark.parametrize("name", OURS)
def test_kubernetes_accepts_the_manifest(name: str) -> None:
    kubernetes_validate.validate(OURS[name], kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", sorted(DOCUMENTS.keys() - OURS.keys()))
def test_the_operator_accepts_the_manifest(name: str) -> None:
    document = DOCUMENTS[name]

    assert mistakes(operator(document["kind"]), document["spec"]) == []


def test_what_the_operator_does_not_know_would_be_found() -> None:
    spec = of("ServiceMonitor", "eventflow")["spec"]
    endpoint = spec["endpoints"][0]

    assert mistakes(operator("ServiceMonitor"), {**spec, "endpoints": [{**endpoint, "intervall": "15s"}]})
    assert mistakes(operator("ServiceMonitor"), {**spec, "endpoints": [{**endpoint, "interval": "soon"}]})


@pytest.mark.parametrize("name", PODS)
def test_pods_run_without_root_and_cannot_write_to_their_image(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_refers_to_is_there(name: str) -> None:
    pod = PODS[name]
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            assert of("Secret", source["secretRef"]["name"])
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["key"] in of("Secret", reference["name"])["stringData"]
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


def test_the_configuration_is_one_that_the_monitor_takes() -> None:
    text = of("ConfigMap", "eventflow")["data"]["eventflow.yml"]
    secrets = {**of("Secret", "eventflow")["stringData"], "EVENTFLOW_TOKEN_SHA256": "0" * 64}
    configuration = parse_configuration(text, "eventflow.yml", secrets)
    assert [cluster.name for cluster in configuration.clusters] == ["orders", "mail"]
    assert configuration.database_url.get_secret_value().startswith("postgresql")  # which several monitors share


def test_services_and_the_service_monitor_find_their_pods() -> None:
    labels = {
        it["metadata"]["name"]: it["spec"]["template"]["metadata"]["labels"]
        for it in DOCUMENTS.values()
        if it["kind"] == "Deployment"
    }
    for name, deployment in (("eventflow", "eventflow-monitor"), ("eventflow-dashboard", "eventflow-dashboard")):
        assert of("Service", name)["spec"]["selector"].items() <= labels[deployment].items()
    monitor = of("ServiceMonitor", "eventflow")["spec"]
    service = of("Service", "eventflow")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {it["port"] for it in monitor["endpoints"]} <= {it["name"] for it in service["spec"]["ports"]}


def test_rules_and_dashboards_are_what_their_sources_say() -> None:
    groups = adapt(read_groups(ROOT / "alerts" / "rules"), Adaptation())
    rules = (ROOT / "deploy" / "kubernetes" / "rules.yaml").read_text(encoding="utf-8")
    assert rules == render(groups, "prometheusrule", "eventflow", {}).rstrip("\n") + "\n", "run `make docs`"
    assert CONFIG_MAPS.read_text(encoding="utf-8") == render_config_maps(), "run `make docs`"
