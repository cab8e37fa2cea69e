"""Reads a RabbitMQ cluster: depths from the cheapest source that answers, everything else from those that have it."""

import re
from collections.abc import Sequence

import numpy as np

from monitor.brokers.rabbitmq.addresses import parse_address
from monitor.brokers.rabbitmq.amqp_source import AmqpSource
from monitor.brokers.rabbitmq.checks import check_sources
from monitor.brokers.rabbitmq.client import HttpClient
from monitor.brokers.rabbitmq.depths import DepthChoice, Depths, Reader, depths_of
from monitor.brokers.rabbitmq.ledger import Ledger
from monitor.brokers.rabbitmq.lookup import Lookup
from monitor.brokers.rabbitmq.management_source import ManagementSource
from monitor.brokers.rabbitmq.notes import Sources, build_notes
from monitor.brokers.rabbitmq.prometheus_source import NodeTotals, PrometheusSource
from monitor.brokers.rabbitmq.readings import READY, STREAM_LAG, QueueKey, Readings
from monitor.brokers.rabbitmq.rows import Rows
from monitor.brokers.rabbitmq.snapshots import STREAM, Names, Sight, Tables, build_dead_letters, build_subscriptions
from monitor.brokers.rabbitmq.survey import Survey, Surveyor
from monitor.brokers.rabbitmq.totals import Counts, Totals
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, RabbitCluster
from monitor.errors import BrokerError, Unreachable
from monitor.memory import FORGETFUL, Memory
from monitor.model import CollectionError, Finding, Snapshot, Table, as_floats

_PROMETHEUS_PORT = 15692
_WILDCARDS = frozenset("*?[")
_BRACKETED = re.compile(r"\[([*?[])\]")
# Between one cycle and two: what is back is used in the second, and one that hangs costs only every other its time.
_REST_INTERVALS = 1.5
_STALE_CYCLES, _STALE_SECONDS = 3, 90.0
_DEAD_LETTERED_LABELS, _UNROUTABLE_LABELS = ("reason", "strategy", "queue_type"), ("outcome",)


class RabbitCollector:
    """Watches the queues of one RabbitMQ cluster."""

    def __init__(
        self,
        config: RabbitCluster,
        dead_letters: Sequence[DeadLetterMapping],
        clock: Clock,
        memory: Memory = FORGETFUL,
    ) -> None:
        self._config, self._clock = config, clock
        self._prometheus = self._open_prometheus()
        self._management = self._open_management()
        # Apart, so that a request that is cut off here does not take a survey under way with it.
        self._single = self._open_management()
        self._amqp = self._open_amqp()
        self._surveyor = Surveyor(self._management, clock) if self._management else None
        self._depths = DepthChoice(self._readers(), clock, _REST_INTERVALS * config.interval)
        self._rows, self._ledger = Rows(), Ledger(memory)
        self._lookup, self._tables = Lookup(config.name, dead_letters), Tables()
        self._names = Names(config.name, ())
        self._dead_lettered = Totals("dead_lettered", _DEAD_LETTERED_LABELS, memory)
        self._unroutable = Totals("unroutable", _UNROUTABLE_LABELS, memory)
        self._closed = False

    def collect(self, deadline: float) -> Snapshot:
        """Read everything once. Raises BrokerError when no source tells anything."""
        if self._closed:
            raise Unreachable("the collector is closed", target=self._config.name)
        taken_at, began = self._clock.now(), self._clock.monotonic()
        depths, failures = self._depths.read(deadline)
        totals = self._read_totals(depths, deadline, failures)
        survey = depths.survey or self._look_in(depths, totals, deadline, failures)
        plugin_counts = self._speaks_for_all(depths, survey, totals)
        readings = self._rows.join(
            depths.readings, survey, began, own_counts=plugin_counts, fresh=self._is_fresh(survey)
        )
        facts, topology = self._lookup.see(readings, survey, self._prometheus.types if self._prometheus else {})
        accounts = self._ledger.enter(readings, began, taken_at)
        if self._names.keys is not readings.keys:
            self._names = Names(self._config.name, readings.keys)
        sight = Sight(self._config.name, taken_at, self._names, readings, accounts, facts, topology)
        subscriptions, parts = build_subscriptions(sight)
        return Snapshot(
            self._config.name,
            self._config.kind,
            taken_at,
            self._clock.monotonic() - began,
            subscriptions,
            build_dead_letters(sight),
            self._tables.build(sight) | self._count_tables(totals, survey),
            parts,
            expected=len(readings.keys),
            measured=int(np.count_nonzero(~np.isnan(readings.column(READY)))),
            errors=(*depths.errors, *dict.fromkeys(map(_error, failures)), *_stopped_nodes(survey)),
            notes=build_notes(self._sources(depths, survey, totals, sight, plugin_counts=plugin_counts)),
        )

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what can be reached and read, and what is missing for the rest. Raises nothing."""
        return check_sources(self._prometheus, self._management, self._amqp, deadline, self._clock)

    def close(self) -> None:
        """Cut all connections; a reading under way ends with Unreachable."""
        self._closed = True
        for source in (self._prometheus, self._management, self._single, self._amqp):
            if source is not None:
                source.close()

    # sources

    def _open_prometheus(self) -> PrometheusSource | None:
        if self._config.prometheus_url is None:
            return None
        address = parse_address(self._config.prometheus_url, _PROMETHEUS_PORT)
        client = HttpClient(address, self._clock, target="Prometheus plugin", tls=self._config)
        return PrometheusSource(client, self._is_wanted, literal(self._config.vhosts.include) or ())

    def _open_management(self) -> ManagementSource | None:
        if self._config.management_url is None:
            return None
        address = parse_address(self._config.management_url)
        client = HttpClient(address, self._clock, target="management API", tls=self._config)
        return ManagementSource(client, self._is_wanted)

    def _open_amqp(self) -> AmqpSource | None:
        if self._config.amqp_url is None:
            return None
        address = parse_address(self._config.amqp_url)
        vhosts = literal(self._config.vhosts.include) or (address.vhost,)
        names = [name for pattern in self._config.queues.include for name in literal((pattern,))]
        keys = [(vhost, name) for vhost in vhosts for name in names if self._is_wanted((vhost, name))]
        return AmqpSource(address, self._clock, keys, self._config)

    def _is_wanted(self, key: QueueKey) -> bool:
        return self._config.vhosts.matches(key[0]) and self._config.queues.matches(key[1])

    def _readers(self) -> list[Reader]:
        """Return the sources of depths that there are, the cheapest first."""
        plugin, management, surveyor, amqp = self._prometheus, self._management, self._surveyor, self._amqp
        readers: list[Reader] = []
        if plugin is not None:
            readers.append(
                lambda deadline: Depths(plugin.read(deadline, frugal=self._is_supplemented()), plugin.target)
            )
        if management is not None and surveyor is not None:
            readers.append(lambda deadline: depths_of(surveyor.fresh(deadline), management.target))
            readers.append(self._read_one_by_one)
        if amqp is not None and amqp.queues:
            readers.append(lambda deadline: Depths(amqp.read(deadline), amqp.target, errors=amqp.errors))
        return readers

    def _read_one_by_one(self, deadline: float) -> Depths:
        """Read the queues of the node that is asked, as the last survey had them, where it cannot list any more."""
        survey = self._surveyor.survey if self._surveyor is not None else None
        if self._single is None or survey is None:
            failure = self._surveyor.failure if self._surveyor is not None else None
            raise failure or Unreachable("no queue is known yet", target=self._config.name)
        own = [queue.key for queue in survey.queues if queue.node == survey.overview.node]
        readings = self._single.read_one_by_one(survey.readings.keys, own, self._clock, deadline)
        return Depths(readings, f"{self._single.target}, queue by queue, since it lists none")

    def _look_in(
        self, depths: Depths, totals: NodeTotals | None, deadline: float, failures: list[BrokerError]
    ) -> Survey | None:
        """Return what the management API knows, beside depths that came from elsewhere."""
        if self._surveyor is None:
            return None
        complete = self._speaks_for_all(depths, self._surveyor.survey, totals)
        survey = self._surveyor.latest(depths.readings.keys, deadline, eager=not complete)
        if self._surveyor.failure is not None:
            failures.append(self._surveyor.failure)
        return survey

    def _uses_plugin(self, depths: Depths) -> bool:
        return self._prometheus is not None and depths.target == self._prometheus.target

    def _speaks_for_all(self, depths: Depths, survey: Survey | None, totals: NodeTotals | None) -> bool:
        """Say whether the plugin's counters of queues hold for the cluster.

        Counters stand on the node that the publisher or consumer is connected to: where there are several, one node's
        are a part.
        """
        plugin = self._prometheus
        if plugin is None or not self._uses_plugin(depths) or not plugin.counts:
            return False
        others = (survey.node_names - {plugin.node}) if survey is not None else frozenset()
        return not others and (totals is None or not totals.peers)

    def _is_supplemented(self) -> bool:
        """Say whether the management API tells sizes and timestamps, so that the plugin need not."""
        survey = self._surveyor.survey if self._surveyor is not None else None
        return survey is not None and survey.overview.stats and self._is_fresh(survey)

    def _is_fresh(self, survey: Survey | None) -> bool:
        # A survey is as rare as it is costly. Where the next ones fail, its numbers end as all old values do: a node
        # that hangs keeps the API from answering at all, and its queues would look alive meanwhile.
        failing = self._surveyor is not None and self._surveyor.failure is not None
        longest = max(_STALE_CYCLES * self._config.interval, 0.0 if failing else _STALE_SECONDS)
        return survey is not None and self._clock.monotonic() - survey.taken_at <= longest

    def _read_totals(self, depths: Depths, deadline: float, failures: list[BrokerError]) -> NodeTotals | None:
        if self._prometheus is None or not self._uses_plugin(depths):
            return None
        try:
            return self._prometheus.read_totals(deadline)
        except BrokerError as error:
            failures.append(error)
            return None

    # what it amounts to

    def _count_tables(self, totals: NodeTotals | None, survey: Survey | None) -> dict[str, Table]:
        tables = {}
        if totals is not None and totals.dead_lettered:
            counts = self._dead_lettered.enter(totals.node, totals.dead_lettered)
            tables["dead_lettered"] = self._tables.build_counts(
                "dead_lettered", "rabbitmq_dead_lettered_total", _DEAD_LETTERED_LABELS, counts
            )
        source, unroutable = _unroutable(totals, survey)
        if unroutable:
            counts = self._unroutable.enter(source, unroutable)
            tables["unroutable"] = self._tables.build_counts(
                "unroutable", "rabbitmq_unroutable_total", _UNROUTABLE_LABELS, counts
            )
        alarms = _alarms(totals, survey)
        if alarms:
            tables["node_alarms"] = self._tables.build_counts(
                "node_alarms", "rabbitmq_node_alarm", ("node", "alarm"), alarms
            )
        if survey is not None and survey.blocked is not None:
            tables["publishers"] = Table((), {"rabbitmq_publishers_blocked": as_floats([survey.blocked])})
        return tables

    def _sources(
        self, depths: Depths, survey: Survey | None, totals: NodeTotals | None, sight: Sight, *, plugin_counts: bool
    ) -> Sources:
        uses_plugin = self._uses_plugin(depths)
        streams = [row for row, key in enumerate(sight.readings.keys) if sight.facts[key].type == STREAM]
        return Sources(
            depth=depths.target,
            management=self._management.target if self._management else "",
            plugin=self._prometheus is not None,
            plugin_node=self._prometheus.node if self._prometheus and uses_plugin else "",
            plugin_counts=plugin_counts,
            survey=survey,
            peers=totals.peers if totals is not None else frozenset(),
            hidden_vhosts=hidden_vhosts(sight.readings, survey),
            unread_streams=bool(np.isnan(sight.readings.column(STREAM_LAG)[streams]).any()),
            frugal=uses_plugin and self._prometheus is not None and self._prometheus.is_frugal,
            only_named=self._amqp is not None and depths.target == self._amqp.target,
            ambiguous=sight.names.ambiguous,
        )


def literal(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names that patterns stand for when each stands for just one, as `a[*]` does for `a*`; else nothing."""
    if any(_WILDCARDS & set(_BRACKETED.sub("", pattern)) for pattern in patterns):
        return ()
    return tuple(_BRACKETED.sub(r"\1", pattern) for pattern in patterns)


def hidden_vhosts(readings: Readings, survey: Survey | None) -> tuple[str, ...]:
    """Return the virtual hosts of queues that have numbers, but are not in the survey."""
    known = frozenset(survey.readings.keys) if survey else frozenset(readings.keys)
    return tuple(sorted({vhost for vhost, name in readings.keys if (vhost, name) not in known}))


def _error(error: BrokerError) -> CollectionError:
    return CollectionError(error.reason, error.target, str(error))


def _stopped_nodes(survey: Survey | None) -> tuple[CollectionError, ...]:
    nodes = survey.nodes if survey is not None and survey.nodes is not None else ()
    return tuple(
        CollectionError(
            Unreachable.reason, node.name, "the node does not run or is cut off; what lives on it may not be measured"
        )
        for node in nodes
        if not node.running
    )


def _unroutable(totals: NodeTotals | None, survey: Survey | None) -> tuple[str, Counts]:
    """Return who counts unroutable messages, and what by outcome.

    The management API counts only the virtual hosts of a user who may not see the nodes.
    """
    if totals is not None and totals.unroutable:
        return totals.node, totals.unroutable
    if survey is not None and survey.nodes is not None and survey.overview.unroutable is not None:
        return "management", survey.overview.unroutable
    return "", {}


def _alarms(totals: NodeTotals | None, survey: Survey | None) -> Counts:
    nodes = survey.nodes if survey is not None and survey.nodes is not None else ()
    alarms: dict[tuple[str, ...], float] = {
        (node.name, alarm): value for node in nodes for alarm, value in node.alarms.items()
    }
    if totals is not None:  # newer than what the survey has of this node
        alarms |= {(totals.node, alarm): value for alarm, value in totals.alarms.items()}
    return alarms
