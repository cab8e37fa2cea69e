"""The monitor: everything wired together."""

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI

from monitor.analysis.assessment import Rules
from monitor.api.alerts import make_alert_router
from monitor.api.application import make_api
from monitor.api.catalog import make_catalog_router
from monitor.api.guard import Principal
from monitor.api.history import make_history_router
from monitor.api.marks import make_mark_router
from monitor.api.members import make_member_router
from monitor.api.mutes import make_mute_router
from monitor.api.redrives import make_redrive_router
from monitor.api.sources import Sources
from monitor.brokers.members import read_members
from monitor.brokers.redrivers import open_redriver
from monitor.brokers.registry import Collector, open_collector
from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.collecting.routine import Routine
from monitor.collecting.schedule import Schedule
from monitor.collecting.store import Occasion, Store
from monitor.config import Cluster, Configuration, DeadLetterMapping
from monitor.errors import RequestError, StorageError
from monitor.exposition.choice import EVERYTHING, Choice
from monitor.exposition.muted import muted_tables
from monitor.exposition.page import MetricsPage
from monitor.exposition.redriven import redrive_tables
from monitor.memory import Memory
from monitor.model import ClusterView, Member, Subscription, Table
from monitor.redrive.audit import Actor
from monitor.redrive.claims import Claims
from monitor.redrive.engine import Engine
from monitor.redrive.runner import Means
from monitor.redrive.service import Redrives
from monitor.redrive.stores import Stores
from monitor.redrive.totals import Totals
from monitor.shipped import find_shipped
from monitor.storage.counters import Counters
from monitor.storage.database import Database
from monitor.storage.history import History
from monitor.storage.marks import Marks
from monitor.storage.mutes import Mutes
from monitor.storage.prometheus import PrometheusHistory
from monitor.storage.shares import Shares

Opener = Callable[[Cluster, Sequence[DeadLetterMapping], Clock, Memory], Collector]

_CLUSTERS_CLOSED_WITHIN_SECONDS = 2.0
_WRITTEN_WITHIN_SECONDS = 1.0
_JOBS_HALTED_WITHIN_SECONDS = 1.5
_MINUTE = 60.0
_MEMBERS_READ_WITHIN_SECONDS = 4.0  # the dashboard waits for five
_SHARES_RENEWED_SECONDS = 0.5
_OBJECTIVES, _OBJECTIVE_LABELS = "objectives", ("id",)


class Monitor:
    """All parts, from the clusters to the app that answers. Nothing runs before `start`.

    `address` is where this monitor is found by those who learn from another one that it reads a cluster.
    """

    def __init__(
        self,
        configuration: Configuration,
        database: Database,
        clock: Clock,
        opener: Opener = open_collector,
        address: str = "",
    ) -> None:
        self._configuration, self._database, self._clock = configuration, database, clock
        self._schemas = Schemas(configuration, clock)
        self._counters = Counters(database, clock)
        self._counters.load([cluster.name for cluster in configuration.clusters])
        self._mutes = Mutes(database, clock)
        self._marks = Marks(database, clock)
        stores = Stores.of(database, configuration, clock)
        self.audit = stores.audit
        self._history = _make_history(configuration, database, clock)
        self._page = MetricsPage(further=self._tell_further, choice_of=self._choice_of)
        self.store = Store(configuration.clusters, clock)
        self.store.subscribe(self._render)
        self._shares = _make_shares(configuration, database, address)
        self._schedule = Schedule(
            configuration.clusters,
            lambda cluster: self._open_collector(opener, cluster),
            self.store,
            self._rules_of,
            clock,
            self._shares.read_by if self._shares else _nobody_else,
        )
        self.redrives = Redrives(
            configuration,
            stores,
            self.store.views,
            lambda cluster: open_redriver(cluster, self._configuration.dead_letters, clock),
            clock,
            self._history,
            self._marks,
            self._schemas,
        )
        self._totals = Totals(stores.journal)
        redrives = self.redrives
        self._engine = Engine(Means(stores, Claims(database), redrives.buses.to_redrive, redrives.surroundings, clock))
        self.redrives.attach(self._engine)
        # Others that share the database may have muted something.
        jobs = {"mutes": self._mutes.load, "history": self._write_history, "counters": self._save_counters}
        jobs["redrive"] = redrives.expire
        self.routine = Routine(_MINUTE, jobs, clock)
        self._sharing = Routine(_SHARES_RENEWED_SECONDS, {"shares": self._renew_shares}, clock)

    def make_app(self) -> FastAPI:
        """Return the ASGI app that answers from this monitor."""
        sources = Sources(
            self.store.views, self._page.page, self._page.series, self._clock, self._mutes.find, self._page.dropped
        )
        mutes = make_mute_router(self._mutes, self.store.views, self._record, self._clock)
        history = make_history_router(self._history, self._clock)
        runbooks = find_shipped("alerts/runbooks")
        alerts = make_alert_router(lambda: self._configuration.alerts, sources, runbooks, self._record)
        marks = make_mark_router(self._marks, self._record, self._clock)
        members = make_member_router(sources, self._read_members)
        catalog = make_catalog_router(lambda: self._schemas.catalog, sources)
        further = [mutes, marks, history, alerts, members, catalog, make_redrive_router(self.redrives)]
        return make_api(sources, lambda: self._configuration.server, further, self._note_refused)

    def _note_refused(self, address: str, path: str, error: RequestError) -> None:
        self.redrives.refusals.note(Actor("unknown", "none", address), "request", path, error)

    def _read_members(self, subscription: Subscription) -> Sequence[Member] | None:
        cluster = next(it for it in self._configuration.clusters if it.name == subscription.cluster)
        return read_members(cluster, subscription, self._clock, _MEMBERS_READ_WITHIN_SECONDS)

    def start(self) -> None:
        """Begin to read all clusters, and return. Raises StorageError when the database cannot be read."""
        self.tell_reload(successful=True)
        self._mutes.load()
        self._renew_shares()
        self.routine.start()
        self._sharing.start()
        for view in self.store.views():
            self._page.update(view, cycle_ended=False)
        self._schedule.start()
        self._engine.start()

    def stop(self) -> None:
        """End all reading and writing, also what hangs; takes five seconds at most."""
        self._engine.stop(_JOBS_HALTED_WITHIN_SECONDS)
        self.redrives.close()
        self._schemas.close()
        self._schedule.stop(_CLUSTERS_CLOSED_WITHIN_SECONDS)
        self.routine.stop(_WRITTEN_WITHIN_SECONDS)
        self._sharing.stop(_WRITTEN_WITHIN_SECONDS)
        if self._shares:
            self._shares.close()

    def reconfigure(self, configuration: Configuration) -> None:
        """Go on by another configuration: what is the same in both is not disturbed.

        What only a new start can change (where to listen, which database) stays as it was. Raises ConfigurationError,
        with nothing changed, for a catalog with mistakes.
        """
        self._schemas.reconfigure(configuration)
        before, self._configuration = self._configuration, configuration
        self.redrives.reconfigure(configuration)
        if self._shares:
            self._shares.want([cluster.name for cluster in configuration.clusters])
        self.store.replace(configuration.clusters)
        mapped_anew = before.dead_letters != configuration.dead_letters
        self._schedule.replace(configuration.clusters, anew=lambda _: mapped_anew)

    def tell_reload(self, *, successful: bool) -> None:
        """Tell in the metrics how reading the configuration again has gone."""
        self._page.tell_reload(successful=successful, at=self._clock.now())

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

    def _open_collector(self, opener: Opener, cluster: Cluster) -> Collector:
        memory = self._counters.memory_of(cluster.name)
        return opener(cluster, self._configuration.dead_letters, self._clock, memory)

    def _renew_shares(self) -> None:
        if self._shares:
            self._shares.renew(before_leaving=self._save_counters)

    def _leave(self, cluster: str, kind: str) -> None:
        """Forget a cluster that is not read here any more, and only then let another monitor have it."""
        self._page.forget(cluster, kind)
        try:
            self._counters.save()
        finally:
            self._counters.forget(cluster)
            if self._shares:
                self._shares.let_go(cluster)

    def _choice_of(self, cluster: str) -> Choice:
        known = (it for it in self._configuration.clusters if it.name == cluster)
        return next((Choice(it.families, it.max_series) for it in known), EVERYTHING)

    def _render(self, view: ClusterView, occasion: Occasion) -> None:
        if occasion is Occasion.LEFT:
            self._leave(view.health.cluster, view.health.kind)
            return
        self._totals.read()
        self._page.tell_jobs(self._totals.states())
        self._page.update(view, cycle_ended=occasion in (Occasion.SUCCESS, Occasion.FAILURE))


def _make_history(configuration: Configuration, database: Database, clock: Clock) -> History | PrometheusHistory:
    wanted = configuration.history
    if wanted.prometheus_url:
        kinds = {cluster.name: cluster.kind for cluster in configuration.clusters}
        return PrometheusHistory(wanted.prometheus_url.get_secret_value(), kinds, clock)
    return History(database, clock, wanted.keep, wanted.series)


def _make_shares(configuration: Configuration, database: Database, address: str) -> Shares | None:
    """Return how the clusters are shared with other monitors; None on SQLite, which is one monitor's own."""
    if database.engine.dialect.name != "postgresql":
        return None
    return Shares(database, address, [cluster.name for cluster in configuration.clusters])


def _nobody_else(cluster: str) -> str | None:
    return None
