"""The database on SQLite and PostgreSQL: migrations, transactions, refusals."""

import threading
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

from monitor.errors import ConfigurationError, StorageError
from monitor.storage.database import Database, check_database
from monitor.storage.tables import COUNTERS, METADATA

ROW = {"cluster": "c", "family": "f", "labels": "{}", "value": 1.0, "settled_until": 0.0}


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.reading() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, METADATA) == []


def test_opening_again_keeps_what_was_written(database_url: str) -> None:
    first = Database.open(database_url)
    with first.writing() as connection:
        connection.execute(sa.insert(COUNTERS).values(ROW))
    first.close()
    second = Database.open(database_url)
    with second.reading() as connection:
        assert connection.execute(sa.select(COUNTERS.c.value)).scalar_one() == 1.0
    second.close()


def test_a_block_that_raises_leaves_nothing_behind(database: Database) -> None:
    def fail_in_the_middle() -> None:
        with database.writing() as connection:
            connection.execute(sa.insert(COUNTERS).values(ROW))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(COUNTERS)).scalar_one() == 0


def test_several_monitors_may_start_at_once_on_an_empty_database(database_url: str) -> None:
    opened: list[Database] = []
    threads = [threading.Thread(target=lambda: opened.append(Database.open(database_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for database in opened:
        database.close()


def test_writers_wait_for_each_other_instead_of_failing(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.insert(COUNTERS).values(ROW))

    def add() -> None:
        for _ in range(20):
            with database.writing() as connection:
                row = sa.select(COUNTERS.c.value).with_for_update()
                value = connection.execute(row).scalar_one()
                connection.execute(sa.update(COUNTERS).values(value=value + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert connection.execute(sa.select(COUNTERS.c.value)).scalar_one() == 81.0


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    database = Database.open(database_url)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(StorageError, match="newer version"):
        Database.open(database_url)


@pytest.mark.parametrize(
    ("url", "told"),
    [("no address", "cannot be read as an address"), ("mysql://u:geheim@h/d", "mysql is not supported")],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        Database.open(url)
    assert "geheim" not in str(raised.value)


def test_a_server_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(StorageError) as raised:
        Database.open("postgresql+psycopg://u:geheim@127.0.0.1:1/d")
    assert "geheim" not in str(raised.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "eventflow.db").write_bytes(b"something else" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Database.open(f"sqlite:///{tmp_path}/eventflow.db")


def test_checking_a_database_neither_makes_nor_changes_it(database_url: str) -> None:
    found = check_database(database_url)
    assert found.ok, found.message
    if database_url.startswith("sqlite"):
        assert not Path(database_url.removeprefix("sqlite:///")).exists()
    else:
        engine = sa.create_engine(database_url)
        assert sa.inspect(engine).get_table_names() == []
        engine.dispose()
    Database.open(database_url).close()
    assert check_database(database_url).message == "can be written"


def test_checking_tells_a_database_that_cannot_be_used(tmp_path: Path, database_url: str) -> None:
    database = Database.open(database_url)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert "newer version" in check_database(database_url).message
    (tmp_path / "other.db").write_bytes(b"something else" * 100)
    assert "not a database" in check_database(f"sqlite:///{tmp_path}/other.db").message
    found = check_database("postgresql+psycopg://u:geheim@127.0.0.1:1/d")
    assert not found.ok
    assert "geheim" not in found.message
