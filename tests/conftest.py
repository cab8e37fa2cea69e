"""What all tests share: one stack of real brokers for the whole run, and one PostgreSQL."""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from stack.control import Stack
from stack.ports import reserve_ports
from stack.state import Endpoints, read_endpoints
from tests.sharing import BySharedServers, run_folder, shared

# The same examples in every run, and a machine under load is no failure.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharedServers | None:
    """Choose which process gets which files."""
    return BySharedServers(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take back what a command that ran within a test has set up, which would silence the logs of later ones."""
    loggers = (logging.getLogger(), logging.getLogger("monitor"))
    handlers, levels = loggers[0].handlers[:], [logger.level for logger in loggers]
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Addresses of real brokers: those of a stack that runs already (EVENTFLOW_TEST_ENDPOINTS), or of one for this run.

    A broker that cannot be had fails every test that needs it.
    """
    running = os.environ.get("EVENTFLOW_TEST_ENDPOINTS")
    if running:
        yield read_endpoints(Path(running))
        return
    folder = run_folder(tmp_path_factory) / "shared-stack"
    stack = Stack(folder / "stack")
    with shared(folder, stack.start, stack.stop):
        yield stack.endpoints


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run PostgreSQL from Debian's package on a free port for the whole run."""
    folder = run_folder(tmp_path_factory) / "shared-postgresql"
    data, port = folder / "data", folder / "port"
    with shared(folder, partial(_start_postgresql, data, port), partial(_stop_postgresql, data)):
        yield f"postgresql+psycopg://eventflow@127.0.0.1:{port.read_text()}/postgres"


@pytest.fixture
def empty_postgresql_url(postgresql_url: str) -> Iterator[str]:
    """Give the address of an empty database in the session's PostgreSQL."""
    engine = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    name = f"t{os.urandom(6).hex()}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield postgresql_url.removesuffix("postgres") + name
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


def _start_postgresql(data: Path, port: Path) -> None:
    folder = data.parent
    port.write_text(str(reserve_ports(["postgresql"], folder)["postgresql"]))
    _let_pass(folder)
    shutil.chown(folder, *_owner())
    _run(["initdb", "-D", str(data), "-U", "eventflow", "-A", "trust", "--no-sync"])
    options = f"-p {port.read_text()} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _run(["pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start"])


def _stop_postgresql(data: Path) -> None:
    _let_pass(data.parent)
    _run(["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"])


def _let_pass(folder: Path) -> None:
    """Let the server's user through to a folder: pytest closes the one of all runs whenever one begins."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o755)


def _owner() -> tuple[str, str]:
    return ("postgres", "postgres") if os.geteuid() == 0 else (str(os.geteuid()), str(os.getegid()))


def _run(argv: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs, which refuse to be run by root."""
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    command = [str(newest / argv[0]), *argv[1:]]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
