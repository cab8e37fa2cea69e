"""The two databases that the product supports: SQLite in a folder, PostgreSQL as an own process."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.storage.database import Database
from stack.ports import reserve_ports


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run PostgreSQL from Debian's package on a free port for the session; it refuses to run as root."""
    folder = tmp_path_factory.mktemp("postgresql")
    port = reserve_ports(["postgresql"], folder)["postgresql"]
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o777 == 0o700:  # as pytest makes its own: the server's user could not pass
            parent.chmod(0o755)
    shutil.chown(folder, *_owner())
    data = folder / "data"
    _run(["initdb", "-D", str(data), "-U", "eventflow", "-A", "trust", "--no-sync"])
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _run(["pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start"])
    yield f"postgresql+psycopg://eventflow@127.0.0.1:{port}/postgres"
    _run(["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"])


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/var/eventflow.db"
        return
    url = str(request.getfixturevalue("postgresql_url"))
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    name = f"t{os.urandom(6).hex()}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url.removesuffix("postgres") + name
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give an open database of each kind, with the newest schema."""
    opened = Database.open(database_url)
    yield opened
    opened.close()


def _owner() -> tuple[str, str]:
    return ("postgres", "postgres") if os.geteuid() == 0 else (str(os.geteuid()), str(os.getegid()))


def _run(argv: Sequence[str]) -> None:
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    command = [str(newest / argv[0]), *argv[1:]]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
