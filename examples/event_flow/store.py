"""SQLite as the database of a service: a file each, and one transaction for what belongs together."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_SECONDS = 10.0

_one_at_a_time = threading.Lock()  # to switch a new file to WAL takes it whole, and waits for nobody


def open_store(path: Path, tables: str) -> sqlite3.Connection:
    """Open a database, made where it is missing; `tables` is SQL that changes nothing when it is run again.

    A connection is used by one thread at a time. What is committed outlives a crash of the process; WAL without a sync
    at each commit gives up only the last moments before a loss of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time:
        db = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(tables)
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit all of what is written inside, or nothing where it raises."""
    db.execute("BEGIN IMMEDIATE")  # to upgrade a reading transaction fails where another one writes meanwhile
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
