"""A database of each version before is brought to the newest schema, and keeps what was in it."""

from contextlib import closing
from typing import Any

import alembic.command
import alembic.script
import pytest
import sqlalchemy as sa

from monitor.storage import database as storage
from monitor.storage.database import Database

_VERSIONS = [it.revision for it in alembic.script.ScriptDirectory.from_config(storage._migrations()).walk_revisions()]
_NEWEST, *OLDER = _VERSIONS


@pytest.mark.parametrize("version", OLDER)
def test_an_older_database_keeps_its_rows_and_gets_the_newest_schema(database_url: str, version: str) -> None:
    with closing(Database(storage._engine(storage._parsed(database_url)))) as before:
        with before.writing() as connection:
            config = storage._migrations()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, version)
        written = fill(before)

    with closing(Database.open(database_url)) as after, after.reading() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == _NEWEST
        for name, row in written.items():
            found = connection.execute(sa.select(sa.table(name, *map(sa.column, row)))).mappings().one()
            assert {key: bytes(it) if isinstance(it, memoryview) else it for key, it in found.items()} == row


def fill(database: Database) -> dict[str, dict[str, Any]]:
    """Write a row into each table that there is, and return them by table. Foreign keys fit: all ids are alike."""
    with database.writing() as connection:
        known = sa.MetaData()
        known.reflect(connection)
        tables = [table for table in known.sorted_tables if table.name != "alembic_version"]
        written = {table.name: {column.name: value_of(column.type) for column in table.columns} for table in tables}
        for table in tables:
            connection.execute(sa.insert(table).values(written[table.name]))
    assert len(written) >= 5
    return written


def value_of(kind: sa.types.TypeEngine[Any]) -> Any:
    match kind:
        case sa.LargeBinary():
            return b"x"
        case sa.String():
            return "x"
    return 1
