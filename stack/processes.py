"""Processes that outlive the command which started them, and that only their own stack touches.

Every process carries a mark in its environment, `EVENTFLOW_STACK_PROCESS=<folder of the stack>::<server>::<program>::`,
which its children inherit. The mark, read from /proc, is what finds a server's whole tree: it survives a new session,
a process whose parent is gone and a lost state file, and a process number that was given to somebody else does not
carry it. The functions here take beginnings of marks, so that one of them can mean a stack, a server or a program.
"""

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from stack.errors import MissingTool, StackError, StackInterrupted

MARK = "EVENTFLOW_STACK_PROCESS"
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 60  # RabbitMQ and Java name the cause well above their last line


def mark_of(directory: Path, *names: str) -> str:
    """The beginning of the marks of a stack, of one server of it, or of one program of that server."""
    return "".join(f"{part}::" for part in (directory, *names))


def spawn(argv: Sequence[str], env: Mapping[str, str], log: Path, mark: str) -> int:
    """Start a program in a session of its own, with this mark, its output appended to `log`; give its process number.

    Raises:
        MissingTool: the program is not installed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        # posix_spawn rather than Popen: nothing here waits for a broker, and a Popen warns when it is forgotten.
        return os.posix_spawnp(
            argv[0],
            list(argv),
            {**env, MARK: mark},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
        )
    except FileNotFoundError as error:
        raise MissingTool(f"{argv[0]} is not installed: `python -m stack install` gets it.") from error


def run(argv: Sequence[str], env: Mapping[str, str], log: Path, mark: str, given_up: Event) -> None:
    """Run a program to its end.

    Raises:
        StackError: it ended with another status than 0; the end of its log is in the text.
        StackInterrupted: `given_up` was set in the meantime; the program has ended.
    """
    pid = spawn(argv, env, log, mark)
    while (status := exit_status(pid)) is None:
        if given_up.wait(POLL_SECONDS):
            kill([mark])
            raise StackInterrupted(f"{Path(argv[0]).name} was given up.")
    if status != 0:
        raise StackError(f"{Path(argv[0]).name} ended with status {status}.\n{log_tail(log)}")


def exit_status(pid: int) -> int | None:
    """How a child of ours ended (negative: by which signal); None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def find_marked(marks: Iterable[str]) -> list[int]:
    """The live processes that carry one of these marks; zombies have no environment and are not among them."""
    wanted = _environment_entries(marks)
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if _carries(pid, wanted)]


def find_roots(marks: Iterable[str]) -> list[int]:
    """Those of the marked processes that `spawn` started, without what they started themselves."""
    pids = find_marked(marks)
    return [pid for pid in pids if (stat := _read_stat(pid)) and int(stat[1]) not in pids]


def is_stopped(pid: int) -> bool:
    """Whether a signal holds the process (SIGSTOP)."""
    stat = _read_stat(pid)
    return bool(stat) and stat[0] == "T"


def _environment_entries(marks: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(f"{MARK}={mark}".encode() for mark in marks)


def _carries(pid: int, wanted: tuple[bytes, ...]) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone meanwhile, or somebody else's
        return False
    return any(entry.startswith(wanted) for entry in environment)


def _read_stat(pid: int) -> list[str]:
    """State, parent and what follows them in /proc/<pid>/stat; empty when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()  # the name before it, in brackets, may hold anything


def send_signal(marks: Sequence[str], number: signal.Signals) -> int:
    """Signal every process that carries one of the marks; give how many there were."""
    return _signal(find_marked(marks), marks, number)


def _signal(pids: Iterable[int], marks: Sequence[str], number: signal.Signals) -> int:
    wanted = _environment_entries(marks)
    sent = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                # The handle pins the process: its number cannot pass to another one between this look and the signal.
                if _carries(pid, wanted):
                    signal.pidfd_send_signal(handle, number)
                    sent += 1
            finally:
                os.close(handle)
    return sent


def freeze(marks: Sequence[str], deadline_seconds: float = 5.0) -> int:
    """Hold a tree with SIGSTOP; give how many processes stand still.

    A process may fork while the others are being held, so it goes on until all that are found stand still.
    """
    end = time.monotonic() + deadline_seconds
    while True:
        pids = find_marked(marks)
        if all(is_stopped(pid) for pid in pids):
            return len(pids)
        if time.monotonic() > end:
            raise StackError("The processes did not stand still.")
        send_signal(marks, signal.SIGSTOP)
        time.sleep(POLL_SECONDS)


def stop(marks: Sequence[str], grace_seconds: float) -> None:
    """End a tree: SIGTERM, and SIGKILL for what is still there after `grace_seconds`; frozen processes too."""
    # Only to the top of each tree: a broker whose helpers are ended under it crashes instead of closing its files.
    _signal(find_roots(marks), marks, signal.SIGTERM)
    send_signal(marks, signal.SIGCONT)  # a frozen process takes the SIGTERM only when it runs again
    if not _wait_gone(marks, grace_seconds):
        kill(marks)


def kill(marks: Sequence[str], deadline_seconds: float = 10.0) -> int:
    """End a tree with SIGKILL and wait until it is gone; give how many processes there were."""
    killed = send_signal(marks, signal.SIGKILL)
    if not _wait_gone(marks, deadline_seconds, again=signal.SIGKILL):
        raise StackError(f"Processes {find_marked(marks)} do not end.")
    return killed


def _wait_gone(marks: Sequence[str], seconds: float, again: signal.Signals | None = None) -> bool:
    end = time.monotonic() + seconds
    while find_marked(marks):
        if time.monotonic() > end:
            return False
        if again is not None:
            send_signal(marks, again)
        time.sleep(POLL_SECONDS)
    return True


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The end of a log, with its name above it."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    return "\n".join([f"--- the end of {log} ---", *text.splitlines()[-lines:]])
