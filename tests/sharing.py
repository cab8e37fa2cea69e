"""What the processes of a run share: servers that the first one starts and the last one stops."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from stack.cache import locked

ROOT = Path(__file__).parents[1]
_FIXTURES_WITH_SERVERS = ("secured_brokers: SecuredBrokers", "team: Team")


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the whole run; that of each process lies in it."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def shared(folder: Path, start: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """Have servers run for the time of the block, whichever process has started them; `folder` is theirs alone."""
    users = folder / "users"
    with locked(folder / "lock"):
        if not _count(users):
            start()
        users.write_text(str(_count(users) + 1))
    try:
        yield
    finally:
        with locked(folder / "lock"):
            users.write_text(str(_count(users) - 1))
            if not _count(users):
                stop()


def _count(users: Path) -> int:
    return int(users.read_text()) if users.exists() else 0


class BySharedServers(LoadFileScheduling):  # type: ignore[misc]
    """Gives whole files to the processes, and those with servers of their own in common to one of them.

    These servers cannot be shared between processes, since the tests know what is in them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _servers_of(file) or file


@cache
def _servers_of(file: str) -> str | None:
    text = (ROOT / file).read_text(encoding="utf-8")
    return next((fixture for fixture in _FIXTURES_WITH_SERVERS if fixture in text), None)
