"""The two databases that the product supports: SQLite in a folder, PostgreSQL as an own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.storage.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/var/eventflow.db"
    else:
        yield str(request.getfixturevalue("empty_postgresql_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give an open database of each kind, with the newest schema."""
    opened = Database.open(database_url)
    yield opened
    opened.close()
