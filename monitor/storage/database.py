"""The database: opened once, brought to the newest schema, and asked in short transactions."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.migration
import alembic.script
import sqlalchemy as sa
from alembic.util.exc import CommandError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from monitor.errors import ConfigurationError, EventflowError, StorageError
from monitor.model import Finding

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10.0
_CONNECTED_WITHIN_SECONDS = 5
_ANSWERED_WITHIN_SECONDS = 30
# Any number will do, as long as nobody else on the same PostgreSQL takes it: this spells "evtflow".
_MIGRATION_LOCK = 0x657674666C6F77


class Database:
    """One database. Thread-safe.

    All methods raise StorageError when the database cannot be read or written; its text never holds the address, which
    may carry a password.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> "Database":
        """Connect, and bring the schema to the newest version.

        Raises ConfigurationError for an address that cannot be used, StorageError when the database does not answer or
        was written by a newer version of the product.
        """
        database = cls(_engine(_parsed(url)))
        try:
            database._migrate()
        except EventflowError:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state of the database."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection whose changes are kept together when the block ends, or not at all when it raises."""
        engine = self.engine.execution_options(eventflow_writes=True)
        with _translated(), engine.begin() as connection:
            yield connection

    def _migrate(self) -> None:
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                # Several monitors may start at once on one database; the lock goes with the transaction.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config = _migrations()
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
            except CommandError as error:
                raise StorageError(_TOO_NEW) from error


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those of the same primary key. All rows have the same columns."""
    if not rows:
        return
    statement = _insert_into(connection, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    _execute_many(connection, statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, but for those whose primary key is there already. All rows have the same columns."""
    if rows:
        _execute_many(connection, _insert_into(connection, table).on_conflict_do_nothing(), rows)


def _insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(table)


def _execute_many(connection: sa.Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    # Handed to the driver as they are: a row costs SQLAlchemy more than it costs the database.
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    order = compiled.positiontup
    values: Any = [tuple([row[name] for name in order]) for row in rows] if order else list(rows)
    connection.exec_driver_sql(str(compiled), values)


_TOO_NEW = (
    "the database was written by a newer version of Eventflow Monitor; install that version, "
    "or point database_url at another database"
)


def check_database(url: str) -> Finding:
    """Find out whether a monitor could work with a database, and leave it as it is: neither made nor migrated."""
    try:
        return Finding("database_url", ok=True, message=_look_at(_parsed(url)))
    except EventflowError as error:
        told = str(error).removeprefix("database_url: ")
        return Finding("database_url", ok=False, message=told, remedy="see database_url in the configuration")


def _look_at(url: URL) -> str:
    """Say how the database is. Raises StorageError when it cannot be written."""
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    if file and not file.exists():
        nearest = next(folder for folder in file.absolute().parents if folder.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise StorageError(f"the database cannot be made: nothing can be written into {nearest}")
        return "does not exist yet, and will be made at the start"
    with closing(Database(_engine(url))) as database, database.writing() as connection:
        version = alembic.migration.MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in alembic.script.ScriptDirectory.from_config(_migrations()).walk_revisions()}
    if version is not None and version not in known:
        raise StorageError(_TOO_NEW)
    return "can be written"


def _migrations() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # `from None`: the library's text quotes the address, password included.
        raise ConfigurationError(
            "cannot be read as an address",
            place="database_url",
            remedy="write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME",
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigurationError(
            f"{parsed.get_backend_name()} is not supported", place="database_url", remedy="use sqlite or postgresql"
        )
    return parsed


def _engine(url: URL) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return _postgresql_engine(url)
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder of the database cannot be made: {error.strerror}") from error
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql_engine(url: URL) -> sa.Engine:
    # What hangs must end: a request of the API waits for it.
    patience = f"-c statement_timeout={_ANSWERED_WITHIN_SECONDS}s"
    limits = {"connect_timeout": _CONNECTED_WITHIN_SECONDS, "options": patience}
    given = {name: value for name, value in limits.items() if name not in url.query}
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"), connect_args=given, pool_pre_ping=True, hide_parameters=True
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own idea of when a transaction begins leaves schema changes outside of it; we begin by hand.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for a writer
    cursor.execute("PRAGMA synchronous=FULL")  # what was committed stays, also when the power goes
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later can fail with "database is locked" whatever the timeout, unless
    # it takes the write lock at its beginning.
    writes = connection.get_execution_options().get("eventflow_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise StorageError(f"the database cannot be used: {_first_line(error)}") from error
    except SQLAlchemyError as error:
        raise StorageError(f"the database refused: {_first_line(error)}") from error


def _first_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0]
