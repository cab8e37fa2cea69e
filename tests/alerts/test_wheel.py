"""What is installed from the built wheel, outside of the checkout, has all that it needs."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.alerts.conftest import Run
from tests.alerts.promql import ROOT

UV = str(ROOT / ".venv" / "bin" / "uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of an environment that has the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    for argv in (
        [UV, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)],
        [UV, "venv", "--quiet", str(folder / "venv")],
    ):
        subprocess.run(argv, check=True, cwd=folder)
    wheel = next(folder.glob("*.whl"))
    install = [UV, "pip", "install", "--quiet", "--python", str(folder / "venv"), str(wheel)]
    subprocess.run(install, check=True, cwd=folder)
    return folder / "venv" / "bin"


def test_it_prints_the_rules(installed: Path, run: Run) -> None:
    done = run([str(installed / "eventflow"), "rules"])

    assert done.returncode == 0, done.stderr
    names = {group["name"] for group in yaml.safe_load(done.stdout)["groups"]}
    assert {"eventflow-subscription-alerts", "eventflow-monitor-alerts"} <= names


@pytest.mark.parametrize(
    "name",
    ["alerts/rules/subscriptions.yml", "alerts/runbooks/EventflowWatchdog.md", "alerts/alertmanager.yml",
     "config/reference.yml", "config/prometheus.yml", "dashboards/grafana/provisioned/overview.json",
     "dashboards/grafana/export/overview.json"],
)  # fmt: skip
def test_files_come_along_as_they_are(installed: Path, name: str, run: Run) -> None:
    code = f"from monitor.shipped import find_shipped; print(find_shipped({name!r}))"

    done = run([str(installed / "python"), "-P", "-c", code])

    found = Path(done.stdout.strip())
    assert found.is_relative_to(installed.parent), done.stderr
    assert found.read_bytes() == (ROOT / name).read_bytes()


def test_what_did_not_come_along_is_told(installed: Path, run: Run) -> None:
    code = "from monitor.shipped import find_shipped; find_shipped('alerts/nothing')"

    done = run([str(installed / "python"), "-P", "-c", code])

    assert "alerts/nothing did not come with this installation" in done.stderr
