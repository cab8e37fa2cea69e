"""The running monitor: everything wired together, and how it ends."""

import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from monitor.analysis.assessment import Rules
from monitor.api.application import make_api
from monitor.api.guard import Principal
from monitor.api.history import make_history_router
from monitor.api.mutes import make_mute_router
from monitor.api.redrives import make_redrive_router
from monitor.api.sources import Sources
from monitor.brokers.redrivers import open_redriver
from monitor.brokers.registry import Collector, open_collector
from monitor.clock import Clock
from monitor.collecting.routine import Routine
from monitor.collecting.schedule import Schedule
from monitor.collecting.store import Occasion, Store
from monitor.config import Cluster, Configuration, DeadLetterMapping, split_address
from monitor.errors import EventflowError, StorageError
from monitor.exposition.muted import muted_tables
from monitor.exposition.page import MetricsPage
from monitor.exposition.redriven import redrive_tables
from monitor.memory import Memory
from monitor.model import ClusterView, Table
from monitor.redrive.audit import Actor
from monitor.redrive.claims import Claims
from monitor.redrive.engine import Engine
from monitor.redrive.runner import Means
from monitor.redrive.service import Redrives
from monitor.redrive.stores import Stores
from monitor.redrive.totals import Totals
from monitor.storage.counters import Counters
from monitor.storage.database import Database
from monitor.storage.history import History
from monitor.storage.mutes import Mutes
from monitor.storage.prometheus import PrometheusHistory

Opener = Callable[[Cluster, Sequence[DeadLetterMapping], Clock, Memory], Collector]

_LOG = logging.getLogger(__name__)
_ANSWERS_FINISHED_WITHIN_SECONDS = 1
_CLUSTERS_CLOSED_WITHIN_SECONDS = 2.0
_WRITTEN_WITHIN_SECONDS = 1.0
_JOBS_HALTED_WITHIN_SECONDS = 1.5
_MINUTE = 60.0
_OBJECTIVES, _OBJECTIVE_LABELS = "objectives", ("id",)
_KEPT_ALIVE_SECONDS = 75  # longer than a scrape interval, so that Prometheus keeps its connection
_BACKLOG = 128


class Monitor:
    """All parts, from the clusters to the app that answers. Nothing runs before `start`."""

    def __init__(
        self, configuration: Configuration, database: Database, clock: Clock, opener: Opener = open_collector
    ) -> None:
        self._configuration, self._database, self._clock = configuration, database, clock
        self._counters = Counters(database, clock)
        self._counters.load([cluster.name for cluster in configuration.clusters])
        self._mutes = Mutes(database, clock)
        stores = Stores.of(database, configuration, clock)
        self.audit = stores.audit
        self._history = _make_history(configuration, database, clock)
        self._page = MetricsPage(further=self._tell_further)
        self.store = Store(configuration.clusters, clock)
        self.store.subscribe(self._render)
        self._schedule = Schedule(
            configuration.clusters,
            lambda cluster: opener(cluster, configuration.dead_letters, clock, self._counters.memory_of(cluster.name)),
            self.store,
            self._rules_of,
            clock,
        )
        self.redrives = Redrives(
            configuration,
            stores,
            self.store.views,
            lambda cluster: open_redriver(cluster, configuration.dead_letters, clock),
            clock,
        )
        self._totals = Totals(stores.journal)
        redrives = self.redrives
        self._engine = Engine(Means(stores, Claims(database), redrives.buses.of, redrives.surroundings, clock))
        self.redrives.attach(self._engine)
        # Others that share the database may have muted something.
        jobs = {"mutes": self._mutes.load, "history": self._write_history, "counters": self._save_counters}
        jobs["archive"] = redrives.shelf.expire
        self.routine = Routine(_MINUTE, jobs, clock)

    def make_app(self) -> FastAPI:
        """Return the ASGI app that answers from this monitor."""
        sources = Sources(self.store.views, self._page.page, self._page.series, self._clock, self._mutes.find)
        mutes = make_mute_router(self._mutes, self.store.views, self._record, self._clock)
        history = make_history_router(self._history, self._clock)
        return make_api(sources, self._configuration.server, [mutes, history, make_redrive_router(self.redrives)])

    def start(self) -> None:
        """Begin to read all clusters, and return. Raises StorageError when the database cannot be read."""
        self._mutes.load()
        self.routine.start()
        for view in self.store.views():
            self._page.update(view, cycle_ended=False)
        self._schedule.start()
        self._engine.start()

    def stop(self) -> None:
        """End all reading and writing, also what hangs; takes five seconds at most."""
        self._engine.stop(_JOBS_HALTED_WITHIN_SECONDS)
        self.redrives.close()
        self._schedule.stop(_CLUSTERS_CLOSED_WITHIN_SECONDS)
        self.routine.stop(_WRITTEN_WITHIN_SECONDS)

    def _tell_further(self, view: ClusterView) -> Mapping[str, Table]:
        redriven = redrive_tables(self._totals.messages(view.health.cluster))
        return {**muted_tables(view, self._mutes.find), **redriven}

    def _write_history(self) -> None:
        try:
            self._history.write(self.store.views())
        except StorageError:
            self._page.count_history_failure()
            raise

    def _save_counters(self) -> None:
        for view in self.store.views():
            if view.snapshot:
                judged = zip(view.snapshot.subscriptions, view.verdicts, strict=True)
                lifetimes = [((it.id,), verdict.objective_lifetime) for it, verdict in judged]
                kept = [(row, lifetime) for row, lifetime in lifetimes if lifetime is not None]
                columns = {name: [lifetime[name] for _, lifetime in kept] for name in ("met", "missed")}
                table = Table.of_rows(_OBJECTIVE_LABELS, [row for row, _ in kept], columns)
                self._counters.memory_of(view.health.cluster).keep(_OBJECTIVES, table)
        self._counters.save()

    def _record(self, principal: Principal, address: str, operation: str, **told: object) -> None:
        self.audit.write(Actor(principal.name, principal.role, address), operation, "allowed", **told)

    def _rules_of(self, cluster: Cluster) -> Rules:
        owners, objectives = self._configuration.owners, self._configuration.objectives
        left = self._counters.memory_of(cluster.name).recall(_OBJECTIVES, _OBJECTIVE_LABELS)
        seconds = {id_: (kept.get("met", 0.0), kept.get("missed", 0.0)) for (id_,), kept in left.items()}
        return Rules.of(cluster.interval, owners, objectives, cluster.counters_every, seconds)

    def _render(self, view: ClusterView, occasion: Occasion) -> None:
        self._totals.read()
        self._page.tell_jobs(self._totals.states())
        self._page.update(view, cycle_ended=occasion in (Occasion.SUCCESS, Occasion.FAILURE))


def _make_history(configuration: Configuration, database: Database, clock: Clock) -> History | PrometheusHistory:
    wanted = configuration.history
    if wanted.prometheus_url:
        kinds = {cluster.name: cluster.kind for cluster in configuration.clusters}
        return PrometheusHistory(wanted.prometheus_url.get_secret_value(), kinds, clock)
    return History(database, clock, wanted.keep, wanted.series)


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the app: its own handlers would raise them again after the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(configuration: Configuration, clock: Clock) -> None:
    """Watch and answer until SIGTERM or SIGINT, then end within five seconds, whatever hangs.

    To be called from the main thread. Raises EventflowError when the address cannot be listened on, or the database
    cannot be used.
    """
    with open_listener(configuration.server.listen) as listener, closing(_open_database(configuration)) as database:
        monitor = Monitor(configuration, database, clock)
        server = _QuietServer(_server_settings(monitor.make_app()))
        with _ending_on_signals(server):
            monitor.start()
            try:
                _LOG.info("listening on %s", address_of(listener), extra={"clusters": len(configuration.clusters)})
                server.run(sockets=[listener])
            finally:
                monitor.stop()
    _LOG.info("ended")


def _open_database(configuration: Configuration) -> Database:
    try:
        return Database.open(configuration.database_url.get_secret_value())
    except StorageError as error:
        raise StorageError(f"{error}; see database_url in the configuration") from error


def _server_settings(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # believed, they would let anybody on this machine say who asks
        timeout_keep_alive=_KEPT_ALIVE_SECONDS,
        timeout_graceful_shutdown=_ANSWERS_FINISHED_WITHIN_SECONDS,
    )


@contextmanager
def _ending_on_signals(server: uvicorn.Server) -> Iterator[None]:
    """Make SIGTERM and SIGINT end the server; it looks ten times a second."""

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_listener(address: str) -> socket.socket:
    """Return a socket that listens on `host:port`. Raises EventflowError with a sentence that says what to do."""
    host, port = split_address(address)
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # With the protocol named, asyncio switches off the delay that holds back the end of a short answer for 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise EventflowError(f"cannot listen on {address}: {error.strerror}; choose another by --listen") from error
    try:
        # A monitor that has just ended leaves connections behind that would keep its successor from the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise EventflowError(f"cannot listen on {address}: {_why(error)}; choose another by --listen") from error
    return listener


def _why(error: OSError) -> str:
    return "another program listens there" if error.errno == errno.EADDRINUSE else str(error.strerror)


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
