"""The compose file and the image, as far as they can be judged without an engine: nothing here starts a container."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from monitor.cli.commands import app
from monitor.config import hash_token, load_configuration
from tests.alerts.conftest import Run
from tests.alerts.promql import ROOT

COMPOSE = ROOT / "docker-compose.yml"
TEXT = COMPOSE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = ("monitor", "dashboard", "flow")
SECRETS = ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "GRAFANA_PASSWORD", "EVENTFLOW_TOKEN", "EVENTFLOW_TOKEN_SHA256")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def compose(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker-compose", "--profile", "flow", "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_docker_compose_accepts_it() -> None:
    done = compose(dict.fromkeys(SECRETS, "s3cret"))

    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)


@pytest.mark.parametrize("missing", SECRETS)
def test_there_is_no_default_password(missing: str) -> None:
    done = compose({name: "s3cret" for name in SECRETS if name != missing})

    assert done.returncode != 0
    assert "make .env first" in done.stderr


def test_it_stays_within_what_docker_compose_1_29_knows() -> None:
    document = yaml.safe_load(TEXT)

    assert {key for key in document if not key.startswith("x-")} == {"services", "volumes"}
    assert "start_interval" not in TEXT


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_those_of_loopback(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned_and_healthy_before_others_start(service: str) -> None:
    section = SERVICES[service]

    assert re.search(r":v?\d+\.\d+|:local$", section["image"])
    assert "healthcheck" in section or service == "monitor"  # the image's own
    for before, condition in section.get("depends_on", {}).items():
        assert before in SERVICES
        assert condition == {"condition": "service_healthy"}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_exists(service: str) -> None:
    volumes = yaml.safe_load(TEXT)["volumes"]
    for mount in SERVICES[service].get("volumes", []):
        source, target, *mode = mount.split(":")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"], f"{source} could be changed from inside"
        else:
            assert source in volumes
        assert target.startswith("/")


@pytest.mark.parametrize("service", OURS)
def test_ours_are_not_root_and_cannot_write_to_their_image(service: str) -> None:
    section = SERVICES[service]

    assert (section["user"], section["read_only"], section["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert "no-new-privileges:true" in section["security_opt"]
    assert "USER 10001:10001" in DOCKERFILE


@pytest.mark.parametrize(
    "command",
    [SERVICES["monitor"]["command"], yaml.safe_load(re.findall(r"^CMD (.+)$", DOCKERFILE, re.M)[-1])],
    ids=str,
)
def test_the_command_is_one_that_the_package_has(command: list[str]) -> None:
    root = typer.main.get_command(app)
    program, name, *arguments = command

    assert program == "eventflow"
    serve: Any = root.commands[name]  # type: ignore[attr-defined]
    options = {option for parameter in serve.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_the_reference_flow_takes_its_command(run: Run) -> None:
    script = SERVICES["flow"]["command"][2]
    argv = shlex.split(script[script.index("python -m") :])

    done = run([str(ROOT / ".venv" / "bin" / "python"), *argv[1:-1], "/nowhere/endpoints.json"])

    assert "/nowhere/endpoints.json cannot be read" in done.stderr + done.stdout


def test_the_dashboard_takes_its_command(run: Run) -> None:
    _, *arguments = SERVICES["dashboard"]["command"]

    done = run([str(ROOT / ".venv" / "bin" / "python"), *arguments, "--help"])

    assert done.returncode == 0, done.stderr
    assert "--address" in done.stdout


def test_the_configuration_that_it_mounts_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"EVENTFLOW_TOKEN_SHA256": hash_token("t"), "POSTGRES_PASSWORD": "p", "RABBITMQ_PASSWORD": "r"}

    configuration = load_configuration(ROOT / "config" / "compose.yml", environment)

    for name in environment:
        assert name in SERVICES["monitor"]["environment"]
    assert "monitor" in configuration.server.allowed_hosts
    assert configuration.server.listen == "0.0.0.0:9610"


def test_the_broker_is_the_one_that_the_tests_run_on() -> None:
    version = re.search(
        r"<artifactId>kafka_2.13</artifactId>\s*<version>([\d.]+)<",
        pom := (ROOT / "stack" / "kafka" / "pom.xml").read_text(encoding="utf-8"),
    )

    assert version, pom
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_prometheus_finds_its_rules_and_its_alertmanager(run: Run) -> None:
    file = ROOT / "config" / "prometheus.yml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["prometheus"]["volumes"])

    assert run(["promtool", "check", "config", "--syntax-only", str(file)]).returncode == 0
    assert document["rule_files"] == [f"{mounts['./alerts/rules']}/*.yml"]
    targets = [
        target
        for section in (*document["scrape_configs"], *document["alerting"]["alertmanagers"])
        for config in section["static_configs"]
        for target in config["targets"]
    ]
    assert {target.split(":")[0] for target in targets} <= {*SERVICES, "127.0.0.1"}


@pytest.mark.parametrize("source", re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M))
def test_the_image_is_made_of_what_there_is(source: str) -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()

    for name in source.split():
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed


def test_dependencies_are_those_of_the_lock_file() -> None:
    assert all("--frozen" in line for line in DOCKERFILE.splitlines() if "uv sync" in line)
    assert Path(ROOT / "uv.lock").is_file()


def test_the_documented_lines_make_all_secrets(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    block = next(it for it in re.findall(r"```sh\n(.+?)```", text, re.DOTALL) if "umask" in it)
    script = block.replace("docker-compose --profile flow up -d\n", "")

    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)

    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text(encoding="utf-8").splitlines())
    assert set(made) == set(SECRETS)
    assert made["EVENTFLOW_TOKEN_SHA256"] == hash_token(made["EVENTFLOW_TOKEN"])
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_image_is_made_with_the_uv_that_made_the_lock_file() -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)

    assert version
    assert f"ghcr.io/astral-sh/uv:{version[1]} " in DOCKERFILE
