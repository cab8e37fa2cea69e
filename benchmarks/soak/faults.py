"""Every fault of a Kafka cluster of three under a whole monitor: is the gap told, and how soon is the truth back?

python -m benchmarks.soak faults
"""

import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from stack.control import Stack
from stack.state import Options
from tests.integration.app.running import Process, serving
from tests.integration.kafka.playground import Playground
from tests.waiting import wait_for

INTERVAL_SECONDS = 5.0
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
_FAULT_SECONDS = 15.0
_PATIENCE_SECONDS = 120.0
CONFIG = """
database_url: sqlite:///{folder}/eventflow.db
clusters:
  - {{name: faults, kind: kafka, bootstrap_servers: "{bootstrap}", interval: 5s, probe: {{}}}}
"""


@dataclass(frozen=True)
class Scene:
    """A monitor over three brokers, and a group that is 36 behind on six partitions, each on one broker only."""

    stack: Stack
    kafka: Playground
    monitor: Process
    topic: str
    group: str

    def total(self, family: str, **labels: str) -> float:
        """Return the sum of the samples of a family with these labels; NaN if there is none."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        lines = re.findall(rf"^eventflow_{family}\{{(.*)\}} (\S+)$", self.monitor.get("/metrics").text, re.MULTILINE)
        values = [float(value) for told, value in lines if all(label in told for label in wanted)]
        return sum(values) if values else float("nan")

    def tells_gap(self, errors_before: float) -> bool:
        """Say whether the monitor's own metrics show that something could not be read."""
        return self.total("collector_errors_total") > errors_before or self.total("collector_up") == 0

    def is_true(self, backlog: float) -> bool:
        """Say whether the whole backlog is told."""
        return self.total("subscription_backlog_messages", subscriber=self.group) == backlog


@contextmanager
def frozen(scene: Scene, *brokers: str) -> Iterator[None]:
    """Brokers that hang."""
    for broker in brokers:
        scene.stack.freeze(broker)
    try:
        yield
    finally:
        for broker in brokers:
            scene.stack.thaw(broker)


@contextmanager
def killed(scene: Scene, *brokers: str) -> Iterator[None]:
    """Brokers that died, and are started again at the end."""
    for broker in brokers:
        scene.stack.kill(broker)
    try:
        yield
    finally:
        # All at once where all are gone: one of three alone finds no majority to serve in.
        for broker in ("kafka",) if brokers == BROKERS else brokers:
            scene.stack.restart(broker)


@contextmanager
def remade(scene: Scene) -> Iterator[None]:
    """A topic that is deleted and made again while it is written to and read."""
    over = threading.Event()

    def work() -> None:
        load = Playground(scene.kafka.bootstrap)
        while not over.wait(0.05):
            with suppress(AssertionError, KafkaException):
                load.produce(scene.topic, 2)
                load.commit(scene.group, scene.topic, 2)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        scene.kafka.admin.delete_topics([scene.topic])[scene.topic].result(30)
        yield
    finally:
        over.set()
        thread.join()
        fill(scene.kafka, scene.topic, scene.group)


@contextmanager
def group_remade(scene: Scene) -> Iterator[None]:
    """A group that is deleted, and commits again."""
    kafka = afresh(scene.kafka)
    kafka.delete_group(scene.group)
    try:
        yield
    finally:
        kafka.commit_everywhere(scene.group, scene.topic, [4] * 6)


FAULTS: Mapping[str, Callable[[Scene], AbstractContextManager[None]]] = {
    "one of three frozen": lambda scene: frozen(scene, "kafka-1"),
    "all frozen": lambda scene: frozen(scene, *BROKERS),
    "one of three killed and restarted": lambda scene: killed(scene, "kafka-2"),
    "all killed and restarted": lambda scene: killed(scene, *BROKERS),
    "group deleted and made again": group_remade,
    "topic deleted and made again under load": remade,
}
NO_GAP = {"group deleted and made again", "topic deleted and made again under load"}
"""Faults after which everything there is can still be read: nothing is to be told as missing."""


def afresh(kafka: Playground) -> Playground:
    """Return new connections: clients that lived through a fault keep asking for what is no longer so."""
    fresh = Playground(kafka.bootstrap)
    fresh.prefix = kafka.prefix
    return fresh


def fill(kafka: Playground, topic: str, group: str) -> None:
    """Have the topic anew, with ten records in each of six partitions, and the group at the fourth of each."""
    kafka = afresh(kafka)
    if topic in kafka.admin.list_topics(timeout=30).topics:
        kafka.delete_topic(topic)
    kafka.topic("orders", partitions=6, replicas=1)
    for partition in range(6):
        kafka.produce(topic, 10, partition)
    kafka.commit_everywhere(group, topic, [4] * 6)


def main() -> int:
    """Print what each fault did; return 1 when a gap was not told or the truth came late."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", Options(kafka_brokers=3, parts=("kafka",)))
        stack.start()
        try:
            kafka = Playground(stack.endpoints.kafka)
            # A first member: commits from outside wait for ever where no group has had a coordinator yet.
            kafka.consumer(kafka.name("first"), [kafka.topic("first")]).close()
            topic, group = kafka.name("orders"), kafka.name("billing")
            fill(kafka, topic, group)
            with serving(Path(folder), CONFIG.format(folder=folder, bootstrap=stack.endpoints.kafka)) as monitor:
                monitor.wait_until_ready()
                return _try_all(Scene(stack, kafka, monitor, topic, group))
        finally:
            stack.stop()


def _try_all(scene: Scene) -> int:
    table = Table("fault", "gap told after s", "truth again after s", "intervals")
    try:
        failed = [name for name, fault in FAULTS.items() if not _survives(scene, name, fault, table)]
    finally:
        Console(width=120).print(table)
    lost, rewinds = (
        scene.total(f"kafka_consumer_group_{family}", group=scene.group)
        for family in ("unread_lost_messages_total", "rewinds_total")
    )
    Console().print(f"falsely told as lost: {lost:.0f}")
    Console().print(f"rewinds told: {rewinds:.0f}; probe: {_tell_probe(scene)}")
    return int(bool(failed) or lost > 0)


def _survives(scene: Scene, name: str, fault: Callable[[Scene], AbstractContextManager[None]], table: Table) -> bool:
    """Go through one fault, and say whether the gap was told and the truth came in time."""
    wait_for(lambda: scene.is_true(36), f"the truth before: {name}", _PATIENCE_SECONDS)
    errors, began = scene.total("collector_errors_total"), time.monotonic()
    told_after: float | None = None
    with fault(scene):
        while time.monotonic() - began < _FAULT_SECONDS:
            if told_after is None and scene.tells_gap(errors):
                told_after = time.monotonic() - began
            time.sleep(0.2)
    ended = time.monotonic()
    wait_for(lambda: scene.is_true(36), f"the truth after: {name}", _PATIENCE_SECONDS)
    seconds = time.monotonic() - ended
    gap = "nothing is missing" if told_after is None else f"{told_after:.1f}"
    table.add_row(name, gap, f"{seconds:.1f}", f"{seconds / INTERVAL_SECONDS:.1f}")
    return seconds <= 2 * INTERVAL_SECONDS and (told_after is not None or name in NO_GAP)


def _tell_probe(scene: Scene) -> str:
    outcomes = ("returned", "lost", "refused")
    return ", ".join(f"{scene.total('kafka_probe_messages_total', outcome=it):.0f} {it}" for it in outcomes)


if __name__ == "__main__":
    raise SystemExit(main())
