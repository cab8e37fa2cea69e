"""A Kafka 4 broker (KRaft) as a local process, from the jars that pom.xml names."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.cache import build_once, cache_directory
from stack.kafka.wire import describe_cluster
from stack.server import Program, Workshop
from stack.state import State

HERE = Path(__file__).parent
HEAP = ("-Xms64m", "-Xmx512m")
# Short-lived or idle most of the time: a quick start is worth more than the last tenth of throughput.
JVM_OPTIONS = ("-XX:+UseSerialGC", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


@dataclass(frozen=True)
class Listener:
    """An address that a broker listens on, and how one talks there."""

    name: str
    port: int
    protocol: str = "PLAINTEXT"

    @property
    def url(self) -> str:
        """Kafka's way of writing it."""
        return f"{self.name}://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class KafkaBroker:
    """One broker, which is a controller as well: with three of them, any two keep the cluster going."""

    directory: Path
    state: State
    node: int

    @property
    def name(self) -> str:
        """kafka-1, kafka-2, ..."""
        return broker_name(self.node)

    @property
    def address(self) -> str:
        """Its client listener."""
        return f"127.0.0.1:{self.state.ports[self.name]}"

    @property
    def _folder(self) -> Path:
        return self.directory / "data" / self.name

    @property
    def _configuration(self) -> Path:
        return self._folder / "server.properties"

    def prepare(self, workshop: Workshop) -> None:
        """Fetch the jars, write the configuration and format the log folder."""
        jars = _fetch_jars(workshop)
        self._folder.mkdir(parents=True)
        lines = [f"{key}={value}" for key, value in self.properties().items()]
        self._configuration.write_text("\n".join(lines) + "\n")
        # A cluster id is 16 bytes in base64; all brokers of a stack derive the same one from its identity.
        cluster_id = hashlib.md5(self.state.identity.encode(), usedforsecurity=False).hexdigest()[:22]
        arguments = ("format", "-t", cluster_id, "-c", str(self._configuration))
        workshop.run(Program(self.name, _java(jars, "kafka.tools.StorageTool", arguments), os.environ))

    def programs(self) -> Sequence[Program]:
        """The broker's JVM."""
        argv = _java(jars_folder(), "kafka.Kafka", (str(self._configuration),))
        return [Program(self.name, argv, os.environ)]

    def find_missing(self) -> str | None:
        """It serves when it sees a controller and every broker of the stack."""
        try:
            view = describe_cluster(self.state.ports[self.name])
        except OSError as error:
            return f"{self.address} does not answer ({error})"
        expected = self.state.options.kafka_brokers
        if view.controller is None or self.node not in view.brokers:
            return f"{len(view.brokers)} of {expected} brokers are registered"
        return None

    def properties(self) -> Mapping[str, str]:
        """The broker's server.properties."""
        clients = Listener("PLAINTEXT", self.state.ports[self.name])
        controllers = Listener("CONTROLLER", self.state.ports[controller_port_name(self.node)])
        return {
            **_listener_properties(self.state, self.node, clients, controllers),
            "log.dirs": str(self._folder / "log"),
            **_replication_properties(self.state.options.kafka_brokers),
            **QUICK_PROPERTIES,
        }


# Kafka's own rhythms are made for clusters that run for months; tests wait for what happens in these.
QUICK_PROPERTIES: Mapping[str, str] = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "offsets.topic.num.partitions": "10",
    "transaction.state.log.num.partitions": "10",
    "offsets.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A frozen broker loses its leaderships after 6 s instead of 9; still shorter, a busy machine loses healthy ones.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "controlled.shutdown.enable": "true",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


def _listener_properties(state: State, node: int, clients: Listener, controllers: Listener) -> Mapping[str, str]:
    nodes = range(1, state.options.kafka_brokers + 1)
    voters = ",".join(f"{other}@127.0.0.1:{state.ports[controller_port_name(other)]}" for other in nodes)
    both = (clients, controllers)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "listeners": ",".join(listener.url for listener in both),
        "advertised.listeners": clients.url,
        "listener.security.protocol.map": ",".join(f"{listener.name}:{listener.protocol}" for listener in both),
        "inter.broker.listener.name": clients.name,
        "controller.listener.names": controllers.name,
    }


def _replication_properties(brokers: int) -> Mapping[str, str]:
    replicas, in_sync = (str(brokers), "2" if brokers > 1 else "1")
    return {
        "default.replication.factor": replicas,
        # Of all topics: of the one with the groups' offsets nothing else says it. Where a topic has fewer replicas,
        # those are enough.
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def broker_name(node: int) -> str:
    """What commands call the broker with this node id."""
    return f"kafka-{node}"


def controller_port_name(node: int) -> str:
    """Under which name the state keeps the port of this node's controller."""
    return f"{broker_name(node)}-controller"


def jars_folder() -> Path:
    """Where the jars are, once a broker was prepared."""
    return cache_directory() / _jars_name()


def _jars_name() -> str:
    return f"kafka-{hashlib.sha256((HERE / 'pom.xml').read_bytes()).hexdigest()[:12]}"


def _fetch_jars(workshop: Workshop) -> Path:
    def build(folder: Path) -> None:
        # Maven may write beside the pom it is given, so it gets one of its own.
        pom = shutil.copy(HERE / "pom.xml", folder)
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
        argv = ("mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "-f", str(pom), *goal)
        workshop.run(Program("kafka-download", argv, os.environ))

    return build_once(_jars_name(), build)


def _java(jars: Path, main_class: str, arguments: Sequence[str]) -> Sequence[str]:
    logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    return ("java", *HEAP, *JVM_OPTIONS, logging, "-cp", f"{jars}/*", main_class, *arguments)
