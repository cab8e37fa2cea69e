"""Which monitor reads which cluster, where several share a PostgreSQL: held by its session-level advisory locks.

PostgreSQL alone is asked and believed. A lock ends with the session that holds it, so with the process; who is there,
and who holds what, are read from the server's own views. Nothing is written.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.errors import StorageError
from monitor.storage.database import Database
from monitor.storage.locks import CLUSTERS, PRESENT, number_of

_UNSIGNED = 0xFFFFFFFF

_PATIENCE_ROUNDS = 5
"""After so many rounds in which nobody took a free cluster, a monitor takes it that has more than others already: they
may have a configuration that does not know it."""

_LOCKS = sa.text(
    "SELECT l.classid::bigint AS space, l.objid::bigint AS number, l.pid, coalesce(a.application_name, '') AS address "
    "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid IN (:clusters, :present) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is there: the sessions of all monitors, what each cluster's lock is held by, and which session is ours."""

    ours: int
    present: Set[int]
    holders: Mapping[str, int]
    addresses: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moves:
    """The clusters to try to take, and those to hand over."""

    take: Sequence[str]
    hand_over: Sequence[str]


def choose(wanted: Sequence[str], scene: Scene, waited: Mapping[str, int], settled: Collection[str]) -> Moves:
    """Decide what to take and what to hand over, so that all hold about the same number.

    A free cluster is taken by whoever holds the fewest; when nothing is free and somebody holds two less than this
    monitor, half of the difference is handed over. `waited` counts the rounds that a cluster has been free, `settled`
    are those that are not handed over, since nobody else wanted them.
    """
    counts = Counter(dict.fromkeys(scene.present, 0))
    counts.update(scene.holders.values())
    mine = counts.pop(scene.ours, 0)
    least = min(counts.values(), default=len(wanted))
    free = [name for name in wanted if name not in scene.holders]
    take = []
    for name in free:
        if mine <= least or waited.get(name, 0) >= _PATIENCE_ROUNDS:
            take.append(name)
            mine += 1
    movable = [name for name in wanted if scene.holders.get(name) == scene.ours and name not in settled]
    surplus = 0 if free else max(0, (mine - least) // 2)
    return Moves(take, movable[len(movable) - min(surplus, len(movable)) :])


class Shares:
    """This monitor's share of the clusters. `renew` is called again and again in one thread; the rest returns at once.

    While the database does not answer, every monitor goes on with what it holds: to be watched twice for a moment is
    better than not at all. `address` is what the others tell of this monitor.
    """

    def __init__(self, database: Database, address: str, clusters: Sequence[str]) -> None:
        self._engine, self._address = database.engine, address
        self._lock = threading.Lock()
        self._clusters = tuple(clusters)
        self._session: sa.Connection | None = None
        self._held: frozenset[str] = frozenset()
        self._leaving: frozenset[str] = frozenset()
        self._elsewhere: Mapping[str, str] = {}
        self._waited: dict[str, int] = {}
        self._settled: dict[str, Set[int]] = {}

    def want(self, clusters: Sequence[str]) -> None:
        """Share these clusters from now on."""
        with self._lock:
            self._clusters = tuple(clusters)

    def read_by(self, cluster: str) -> str | None:
        """Return the address of the monitor that reads a cluster, empty while none is known to; None for this one."""
        with self._lock:
            if cluster in self._held and cluster not in self._leaving:
                return None
            return self._elsewhere.get(cluster, "")

    def renew(self, before_leaving: Callable[[], object] = lambda: None) -> None:
        """Look who is there, take what is to be taken, and begin to hand over what is to be handed over.

        `before_leaving` is called before a cluster is handed over. Raises StorageError when the database does not
        answer.
        """
        try:
            session = self._session or self._begin()
            scene = self._look(session)
            moves = self._decide(scene)
            if moves.hand_over:
                before_leaving()
            taken = [name for name in moves.take if _try_lock(session, name)]
        except SQLAlchemyError as error:
            self._drop_session()
            raise StorageError("the database cannot be asked which monitor reads which cluster") from error
        self._settle(scene, taken)
        with self._lock:
            ours = {name for name, pid in scene.holders.items() if pid == scene.ours}
            self._held = frozenset(ours | set(taken))
            self._leaving = (self._leaving & self._held) | frozenset(moves.hand_over)
            others = {name: pid for name, pid in scene.holders.items() if pid != scene.ours}
            self._elsewhere = {name: scene.addresses.get(pid, "") for name, pid in others.items()}
        for name in ours - set(self._clusters):
            self.let_go(name)

    def let_go(self, cluster: str) -> None:
        """Unlock a cluster that is no longer read here; nothing happens for one that is not held."""
        with self._lock:
            session, held = self._session, cluster in self._held
            self._held -= {cluster}
            self._leaving -= {cluster}
        if session is not None and held:
            try:
                session.execute(sa.select(sa.func.pg_advisory_unlock(CLUSTERS, number_of(cluster))))
            except SQLAlchemyError:
                self._drop_session()  # and with it every lock; the next round takes again what is still free

    def close(self) -> None:
        """Let go of everything."""
        self._drop_session()

    def _begin(self) -> sa.Connection:
        """Open the session that holds the locks, and take again what was held by the one before it."""
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._session = session
        session.execute(sa.select(sa.func.set_config("application_name", self._address[:63], False)))
        session.execute(sa.select(sa.func.pg_advisory_lock_shared(PRESENT, 0)))
        for name in self._held:
            _try_lock(session, name)
        return session

    def _look(self, session: sa.Connection) -> Scene:
        rows = session.execute(_LOCKS, {"clusters": CLUSTERS, "present": PRESENT}).all()
        ours = int(session.execute(sa.select(sa.func.pg_backend_pid())).scalar_one())
        names = {number_of(name) & _UNSIGNED: name for name in {*self._clusters, *self._held}}
        held = [row for row in rows if row.space == CLUSTERS and row.number in names]
        return Scene(
            ours,
            frozenset(row.pid for row in rows if row.space == PRESENT),
            {names[row.number]: row.pid for row in held},
            {row.pid: row.address for row in rows},
        )

    def _decide(self, scene: Scene) -> Moves:
        settled = {name for name, present in self._settled.items() if present == scene.present}
        return choose(self._clusters, scene, self._waited, settled)

    def _settle(self, scene: Scene, taken: Sequence[str]) -> None:
        for name in taken:
            if self._waited.get(name, 0) >= _PATIENCE_ROUNDS:
                self._settled[name] = scene.present
        free = [name for name in self._clusters if name not in scene.holders and name not in taken]
        self._waited = {name: self._waited.get(name, 0) + 1 for name in free}

    def _drop_session(self) -> None:
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            # Not back into the pool: there the session would go on, and its locks with it.
            session.invalidate()
            session.close()


def _try_lock(session: sa.Connection, cluster: str) -> bool:
    return bool(session.execute(sa.select(sa.func.pg_try_advisory_lock(CLUSTERS, number_of(cluster)))).scalar_one())
