"""Which monitor runs which job: held by what ends with the process, so that another goes on when it dies.

On PostgreSQL that is a session's advisory lock, of which the server lets go when the connection breaks; on SQLite,
whose file is one machine's, the lock of a file beside it.
"""

import fcntl
import threading
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.storage.database import Database
from monitor.storage.locks import JOBS, number_of


class Claims:
    """The jobs that this process has claimed. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._lock = threading.Lock()
        self._sessions: dict[str, sa.Connection] = {}
        self._file: IO[str] | None = None

    def take(self, job: str) -> bool:
        """Claim a job; False when another process has it, or the database cannot say."""
        with self._lock:
            if self._engine.dialect.name == "postgresql":
                return job in self._sessions or self._take_session(job)
            return self._take_file()

    def holds(self, job: str) -> bool:
        """Say whether the claim still stands: a broken connection has let go of it."""
        with self._lock:
            if self._engine.dialect.name != "postgresql":
                return self._file is not None or self._is_in_memory()
            session = self._sessions.get(job)
            if session is None:
                return False
            try:
                session.execute(sa.select(1))
            except SQLAlchemyError:
                self._drop(job)
                return False
            return True

    def release(self, job: str) -> None:
        """Let go of a job."""
        with self._lock:
            self._drop(job)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for job in list(self._sessions):
                self._drop(job)
            if self._file is not None:
                self._file.close()
                self._file = None

    def _take_session(self, job: str) -> bool:
        try:
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            taken = session.execute(sa.select(sa.func.pg_try_advisory_lock(JOBS, number_of(job)))).scalar_one()
        except SQLAlchemyError:
            return False
        if taken:
            self._sessions[job] = session
        else:
            session.close()
        return bool(taken)

    def _take_file(self) -> bool:
        if self._file is not None:
            return True
        if self._is_in_memory():
            return True
        path = self._engine.url.database
        file = Path(f"{path}.jobs.lock").open("w", encoding="utf-8")  # noqa: SIM115 (kept open: the lock is the open file's)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def _is_in_memory(self) -> bool:
        return self._engine.url.database in (None, "", ":memory:")

    def _drop(self, job: str) -> None:
        session = self._sessions.pop(job, None)
        if session is not None:
            # Not back into the pool: there the session would go on, and the lock with it.
            session.invalidate()
            session.close()
