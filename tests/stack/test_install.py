"""What the system lacks is told or installed, and no service starts. apt-get itself is replaced by a recorder here."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack import install as installing
from stack.errors import StackError
from stack.install import Requirement, install, requirements_for, services_kept_down

FORBIDDING = "#!/bin/sh\n# somebody's own\nexit 101\n"
ALLOWING = "#!/bin/sh\n# somebody's own\nexit 0\n"


class Machine:
    """A machine that lacks two things until apt-get brings them."""

    def __init__(self) -> None:
        self.lacks = {"maven", "rabbitmq-server"}
        self.commands: list[str] = []
        self.brings = True

    def requirements(self, *_: object) -> list[Requirement]:
        return [
            Requirement("Java 17", ("default-jre-headless",), lambda: True),
            Requirement("Maven", ("maven",), lambda: "maven" not in self.lacks),
            Requirement("RabbitMQ", ("rabbitmq-server",), lambda: "rabbitmq-server" not in self.lacks),
        ]

    def apt(self, _log: Path, *arguments: str) -> None:
        self.commands.append(" ".join(arguments))
        if arguments[0] == "install" and self.brings:
            self.lacks -= set(arguments)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, own_cache: Path, tmp_path: Path) -> Machine:
    machine = Machine()
    monkeypatch.setattr(installing, "requirements_for", machine.requirements)
    monkeypatch.setattr(installing, "run_apt", machine.apt)
    monkeypatch.setattr(installing, "is_index_old", lambda _: False)
    monkeypatch.setattr(installing, "services_kept_down", lambda: services_kept_down(tmp_path / "policy-rc.d"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return machine


def run(purpose: str = "demo", rabbitmq: int | None = None) -> list[str]:
    steps: list[str] = []
    install(purpose, rabbitmq, steps.append)
    return steps


def test_only_what_is_missing_is_installed_and_each_step_is_told(machine: Machine) -> None:
    assert run() == [
        "Installing maven, rabbitmq-server",
        "Maven and RabbitMQ installed; no service was started",
    ]
    assert machine.commands == ["install --yes --no-install-recommends maven rabbitmq-server"]


def test_nothing_is_done_and_nothing_said_when_all_is_there(machine: Machine) -> None:
    machine.lacks = set()
    assert run() == []
    assert machine.commands == []


def test_an_index_that_is_old_is_read_anew_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "is_index_old", lambda _: True)
    run()
    assert machine.commands[0] == "update"


def test_without_root_one_sentence_tells_what_is_missing_and_the_line_to_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError) as refused:
        run("test", 4)
    assert str(refused.value) == (
        "Maven and RabbitMQ are missing; this installs it without starting any service: "
        "sudo RABBITMQ=4 python3 -m stack install --for test"
    )
    assert machine.commands == []


def test_without_apt_the_packages_are_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "_has_program", lambda _: False)
    machine.lacks = {"maven"}
    with pytest.raises(StackError, match=r"Maven is missing, and without apt-get .* Debian calls maven by yourself"):
        run()


def test_a_tool_that_is_still_missing_afterwards_is_told(machine: Machine) -> None:
    machine.brings = False
    with pytest.raises(StackError, match="Maven and RabbitMQ cannot be found although"):
        run()


def test_apt_that_fails_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text('#!/bin/sh\nread -r answer && exit 9\necho "E: Unable to locate $DEBIAN_FRONTEND"\nexit 100\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(StackError, match=r"(?s)apt-get update ended with status 100.*Unable to locate noninteractive"):
        installing.run_apt(tmp_path / "install.log", "update")


@pytest.mark.parametrize(("purpose", "extra"), [("demo", set()), ("test", {"postgresql", "prometheus", "chromium"})])
def test_the_tests_need_more_than_the_demo(purpose: str, extra: set[str]) -> None:
    packages = {package for item in requirements_for(purpose, None) for package in item.packages}
    assert {"default-jre-headless", "maven", "rabbitmq-server"} | extra <= packages


@pytest.mark.parametrize("age_hours, old", [(1, False), (30, True)])  # noqa: PT006
def test_a_day_makes_an_index_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_hours: int, old: bool) -> None:
    monkeypatch.setattr(installing, "LISTS", tmp_path)
    (tmp_path / "partial").mkdir()
    assert installing.is_index_old(["dpkg"], now=time.time() + age_hours * 3600) is old


def test_an_index_that_is_not_there_or_does_not_know_a_package_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "LISTS", tmp_path)
    assert installing.is_index_old(["dpkg"])
    (tmp_path / "partial").mkdir()
    assert installing.is_index_old(["dpkg", "no-such-package-in-debian"])


def test_services_are_kept_down_and_no_trace_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with services_kept_down(policy):
        assert os.waitstatus_to_exitcode(os.system(str(policy))) == 101
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [FORBIDDING, ALLOWING])
def test_a_policy_of_the_machine_is_as_it_was_afterwards_also_when_the_installation_fails(
    tmp_path: Path, text: str
) -> None:
    policy = tmp_path / "policy-rc.d"
    write_policy(policy, text)
    answers = []

    def fail() -> None:
        with services_kept_down(policy):
            answers.append(os.waitstatus_to_exitcode(os.system(str(policy))))
            raise StackError("apt failed")

    with pytest.raises(StackError, match="apt failed"):
        fail()
    assert answers == [101]
    assert policy.read_text() == text
    assert names(tmp_path) == ["policy-rc.d"]


@pytest.mark.parametrize("text", [None, ALLOWING])
def test_what_a_killed_installation_left_is_put_right_by_the_next(tmp_path: Path, text: str | None) -> None:
    policy = tmp_path / "policy-rc.d"
    write_policy(policy, installing.POLICY_TEXT)
    if text is not None:
        write_policy(policy.with_name("policy-rc.d.before-eventflow"), text)
    with services_kept_down(policy):
        assert os.waitstatus_to_exitcode(os.system(str(policy))) == 101
    assert names(tmp_path) == ([] if text is None else ["policy-rc.d"])
    assert text is None or policy.read_text() == text


def write_policy(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def names(folder: Path) -> Sequence[str]:
    return [path.name for path in folder.iterdir()]
