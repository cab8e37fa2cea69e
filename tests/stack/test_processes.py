"""Processes are found, held and ended by their mark, with all their children, and no others are."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from stack import processes
from stack.errors import MissingTool, StackError, StackInterrupted
from stack.processes import mark_of
from tests.stack.conftest import Until

PARENT_WITH_CHILD = ("sh", "-c", "sleep 60 & wait")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A mark of this test; whatever still carries it afterwards is ended."""
    mark = mark_of(tmp_path, "server", "program")
    yield mark
    processes.kill([mark_of(tmp_path)])


def start(argv: tuple[str, ...], tmp_path: Path, mark: str) -> int:
    return processes.spawn(argv, os.environ, tmp_path / "log", mark)


def test_a_tree_is_found_by_its_mark_and_only_its_root_was_started_by_us(
    tmp_path: Path, mark: str, until: Until
) -> None:
    pid = start(PARENT_WITH_CHILD, tmp_path, mark)
    until(lambda: len(processes.find_marked([mark])) == 2, "the child")
    assert processes.find_roots([mark]) == [pid]
    assert len(processes.find_marked([mark_of(tmp_path)])) == 2
    assert len(processes.find_marked([mark_of(tmp_path, "server")])) == 2


def test_a_child_in_a_session_of_its_own_whose_parent_is_gone_is_still_found(
    tmp_path: Path, mark: str, until: Until
) -> None:
    pid = start(("sh", "-c", "setsid sleep 60 & exit 0"), tmp_path, mark)
    until(lambda: processes.exit_status(pid) == 0, "the parent's end")
    until(lambda: len(processes.find_marked([mark])) == 1, "the orphan")
    processes.kill([mark])
    assert processes.find_marked([mark]) == []


def test_a_stack_whose_folder_has_a_longer_name_is_not_touched(tmp_path: Path, mark: str) -> None:
    other = mark_of(tmp_path.with_name(tmp_path.name + "-other"), "server", "program")
    pid = start(("sleep", "60"), tmp_path, other)
    assert processes.kill([mark_of(tmp_path)]) == 0
    assert processes.find_marked([other]) == [pid]
    processes.kill([other])


def test_a_server_whose_name_is_longer_is_not_touched(tmp_path: Path, mark: str) -> None:
    other = mark_of(tmp_path, "server-1", "program")
    pid = start(("sleep", "60"), tmp_path, other)
    assert processes.kill([mark_of(tmp_path, "server")]) == 0
    assert processes.find_marked([other]) == [pid]


def test_a_frozen_tree_stands_still_and_goes_on_when_it_is_thawed(tmp_path: Path, mark: str, until: Until) -> None:
    start(PARENT_WITH_CHILD, tmp_path, mark)
    until(lambda: len(processes.find_marked([mark])) == 2, "the child")
    assert processes.freeze([mark]) == 2
    assert all(processes.is_stopped(pid) for pid in processes.find_marked([mark]))
    assert processes.send_signal([mark], signal.SIGCONT) == 2
    until(lambda: not any(processes.is_stopped(pid) for pid in processes.find_marked([mark])), "the thaw")


def test_stopping_ends_a_frozen_process_too(tmp_path: Path, mark: str, until: Until) -> None:
    pid = start(("sleep", "60"), tmp_path, mark)
    processes.freeze([mark])
    processes.stop([mark], grace_seconds=10)
    until(lambda: processes.exit_status(pid) == -signal.SIGTERM, "its end by SIGTERM")


def test_a_process_that_does_not_heed_sigterm_is_killed_after_its_grace(
    tmp_path: Path, mark: str, until: Until
) -> None:
    pid = start(DEAF, tmp_path, mark)
    until(lambda: (tmp_path / "log").read_text() == "1\n", "the handler")
    processes.stop([mark], grace_seconds=0.2)
    until(lambda: processes.exit_status(pid) == -signal.SIGKILL, "its end by SIGKILL")


def test_a_program_that_fails_tells_the_end_of_its_log(tmp_path: Path, mark: str) -> None:
    with pytest.raises(StackError, match=r"(?s)sh ended with status 3.*no such topic"):
        processes.run(("sh", "-c", "echo no such topic; exit 3"), os.environ, tmp_path / "log", mark, Event())


def test_a_program_that_is_given_up_has_ended(tmp_path: Path, mark: str, until: Until) -> None:
    given_up, refusals = Event(), []

    def run() -> None:
        try:
            processes.run(PARENT_WITH_CHILD, os.environ, tmp_path / "log", mark, given_up)
        except StackInterrupted as interrupted:
            refusals.append(str(interrupted))

    thread = Thread(target=run)
    thread.start()
    until(lambda: len(processes.find_marked([mark])) == 2, "the program and its child")
    given_up.set()
    thread.join()
    assert refusals == ["sh was given up."]
    assert processes.find_marked([mark]) == []


def test_a_program_that_is_not_installed_is_named(tmp_path: Path, mark: str) -> None:
    with pytest.raises(MissingTool, match=r"no-such-broker is not installed: `python -m stack install` gets it\."):
        start(("no-such-broker",), tmp_path, mark)


def test_the_log_of_a_program_can_be_read_by_its_owner_alone(tmp_path: Path, mark: str) -> None:
    start(("true",), tmp_path, mark)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
