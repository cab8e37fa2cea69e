"""What the system has to have, found and installed by apt-get without starting a single service.

It runs before the project's environment exists, on the system's Python, and asks nothing.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.cache import cache_directory
from stack.errors import StackError
from stack.processes import log_tail
from stack.rabbitmq.node import SERVER
from stack.rabbitmq.versions import needs_root_folder

JAVA_VERSION = 17
PYTHON_VERSION = (3, 11)
INDEX_SECONDS = 24 * 3600.0
LISTS = Path("/var/lib/apt/lists")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# eventflow: packages are being installed without starting their services\nexit 101\n"
FORBIDDEN = 101

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Requirement:
    """Something that has to be there, how to see whether it is, and the Debian packages that bring it."""

    name: str
    packages: tuple[str, ...]
    is_met: Callable[[], bool]


def requirements_for(purpose: str, rabbitmq: int | None) -> list[Requirement]:
    """What a purpose needs: `venv`, `demo` (the brokers) or `test` (what the tests use besides)."""
    python = Requirement("Python's venv module", ("python3-venv",), lambda: _has_module("ensurepip"))
    if purpose == "venv":
        return [python]
    brokers = [
        Requirement(f"Java {JAVA_VERSION}", ("default-jre-headless",), lambda: java_version() >= JAVA_VERSION),
        Requirement("Maven", ("maven",), lambda: _has_program("mvn")),
        _rabbitmq(rabbitmq),
    ]
    if purpose == "demo":
        return brokers
    return [
        *brokers,
        Requirement("PostgreSQL", ("postgresql",), lambda: any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))),
        Requirement("promtool", ("prometheus",), lambda: _has_program("promtool")),
        Requirement("amtool", ("prometheus-alertmanager",), lambda: _has_program("amtool")),
        Requirement("docker-compose", ("docker-compose",), lambda: _has_program("docker-compose")),
        Requirement("systemd-analyze", ("systemd",), lambda: _has_program("systemd-analyze")),
        Requirement("curl", ("curl",), lambda: _has_program("curl")),
        # without a font a headless browser draws no letters
        Requirement("Chromium", ("chromium", "fonts-dejavu-core"), lambda: _has_program("chromium")),
    ]


def _rabbitmq(version: int | None) -> Requirement:
    if needs_root_folder(version):
        return Requirement("debootstrap", ("debootstrap",), lambda: _has_program("debootstrap"))
    return Requirement("RabbitMQ", ("rabbitmq-server",), Path(SERVER).exists)


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _has_program(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is not None


def java_version() -> int:
    """The major version of the Java in the PATH; 0 when there is none."""
    try:
        told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    except FileNotFoundError:
        return 0
    match = re.search(r'version "(\d+)', told)
    return int(match[1]) if match else 0


def install(purpose: str, rabbitmq: int | None, progress: Progress) -> None:
    """Bring what the purpose needs and the system lacks; do nothing when all is there.

    Raises:
        StackError: it could not; the text says what is missing and the one line to run.
    """
    if sys.version_info < PYTHON_VERSION:
        raise StackError(f"This is Python {sys.version.split()[0]}; it takes 3.11 or newer: make PYTHON=python3.11 ...")
    missing = [item for item in requirements_for(purpose, rabbitmq) if not item.is_met()]
    if not missing:
        return
    _refuse_where_impossible(missing, purpose, rabbitmq)
    packages = [package for item in missing for package in item.packages]
    log = cache_directory() / "install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    with services_kept_down():
        if is_index_old(packages):
            progress("Reading the list of Debian's packages")
            run_apt(log, "update")
        progress(f"Installing {', '.join(packages)}")
        run_apt(log, "install", "--yes", "--no-install-recommends", *packages)
    left = [item.name for item in missing if not item.is_met()]
    if left:
        raise StackError(f"{_listed(left)} cannot be found although the packages are installed: is the PATH in order?")
    progress(f"{_listed([item.name for item in missing])} installed; no service was started")


def _refuse_where_impossible(missing: Sequence[Requirement], purpose: str, rabbitmq: int | None) -> None:
    names = _listed([item.name for item in missing])
    lack = f"{names} {'is' if len(missing) == 1 else 'are'} missing"
    packages = " ".join(package for item in missing for package in item.packages)
    if not _has_program("apt-get"):
        raise StackError(f"{lack}, and without apt-get you have to install what Debian calls {packages} by yourself.")
    if os.geteuid() != 0:
        chosen = f"RABBITMQ={rabbitmq} " if rabbitmq else ""
        command = f"sudo {chosen}python3 -m stack install --for {purpose}"
        raise StackError(f"{lack}; this installs it without starting any service: {command}")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def is_index_old(packages: Sequence[str], now: float | None = None) -> bool:
    """Whether apt's list of packages is older than a day, or does not know one of these.

    The lists carry the server's dates; the folder where they arrive tells when somebody last asked.
    """
    arrivals = LISTS / "partial"
    if not arrivals.exists() or (now or time.time()) - arrivals.stat().st_mtime > INDEX_SECONDS:
        return True
    told = subprocess.run(
        ["apt-cache", "policy", *packages],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    return told.count("Candidate:") < len(packages) or "Candidate: (none)" in told


def run_apt(log: Path, *arguments: str) -> None:
    """Run apt-get so that it asks nothing, its output appended to the log.

    Raises:
        StackError: it failed; the end of the log is in the text.
    """
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none", "NEEDRESTART_SUSPEND": "1"}
    keep = [f"--option=Dpkg::Options::=--force-conf{choice}" for choice in ("def", "old")]
    argv = ["apt-get", "--option=DPkg::Lock::Timeout=300", *keep, *arguments]
    with log.open("a") as output:
        # In a session of its own: a Ctrl-C must not hit dpkg between two packages.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **quiet},
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)  # ends a download; apt-get heeds it only when dpkg is through
            process.wait()
            raise
    if status != 0:
        raise StackError(f"apt-get {arguments[0]} ended with status {status}.\n{log_tail(log)}")


@contextmanager
def services_kept_down(policy: Path = POLICY) -> Iterator[None]:
    """Forbid packages to start services meanwhile (Debian's policy-rc.d), then put things back as they were.

    A policy that is there and forbids starting stays untouched; one that allows it is set aside.
    """
    aside = policy.with_name(f"{policy.name}.before-eventflow")
    if aside.exists():  # an earlier run was killed before it put it back
        aside.replace(policy)
    elif policy.exists() and policy.read_text() == POLICY_TEXT:
        policy.unlink()
    if policy.exists() and _forbids_starting(policy):
        yield
        return
    if policy.exists():
        policy.rename(aside)
    policy.write_text(POLICY_TEXT)
    policy.chmod(0o755)
    try:
        yield
    finally:
        if aside.exists():
            aside.replace(policy)
        else:
            policy.unlink(missing_ok=True)


def _forbids_starting(policy: Path) -> bool:
    answer = subprocess.run([str(policy), "rabbitmq-server", "start"], capture_output=True, check=False)
    return answer.returncode == FORBIDDEN
