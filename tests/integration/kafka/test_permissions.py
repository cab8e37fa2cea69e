"""The rights that `docs/permissions.md` lists for Kafka are enough, and each one that is missing is told."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.collector import KafkaCollector
from monitor.brokers.kafka.redrive import KafkaRedriveBus
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster, KafkaRedrive
from monitor.errors import AuthenticationFailed
from monitor.letters import LEDGER_TOPIC, Choose, Job, PlanRequest
from monitor.model import Finding, Snapshot
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.kafka import SecuredKafka
from tests.integration.secured.permissions import Right, kafka_rights
from tests.waiting import wait_for

WATCHING, REDRIVING = "Kafka: watching", "Kafka: redriving"
LETTERS = 3


@dataclass(frozen=True)
class Ground:
    """A topic with a reader that lags, its dead-letter topic, and users with exactly the rights of the document."""

    kafka: SecuredKafka
    playground: Playground
    target: str
    dead: str
    group: str

    @property
    def names(self) -> Mapping[str, str]:
        """What stands for what the document leaves open."""
        return {"DEAD-LETTER": self.dead, "TARGET": self.target}

    def rights(self, heading: str) -> list[Right]:
        return [right.named(self.names) for right in kafka_rights(heading)]

    @property
    def cluster(self) -> KafkaCluster:
        """The configuration: one user watches, the other redrives."""
        return KafkaCluster(
            name="k",
            kind="kafka",
            bootstrap_servers=self.kafka.sasl,
            security=self.kafka.credentials("watcher"),
            topics=Filter(include=[self.target, self.dead]),
            groups=Filter(include=[self.group]),
            redrive=KafkaRedrive(security=self.kafka.credentials("redriver")),
        )

    def make_ledger(self) -> None:
        """See to it that there is a ledger."""
        if LEDGER_TOPIC not in self.playground.admin.list_topics(timeout=30).topics:
            self.playground.admin.create_topics([NewTopic(LEDGER_TOPIC, 1, 1)])[LEDGER_TOPIC].result(30)
            wait_for(
                lambda: LEDGER_TOPIC in self.playground.admin.list_topics(timeout=30).topics, "the ledger is there"
            )

    def collect(self) -> Snapshot:
        with contextlib.closing(KafkaCollector(self.cluster, (), Clock())) as collector:
            return collector.collect(time.monotonic() + 15)

    def check(self, user: str) -> list[Finding]:
        opened: Any = KafkaCollector if user == "watcher" else KafkaRedriveBus
        with contextlib.closing(opened(self.cluster, (), Clock())) as checked:
            return list(checked.check(time.monotonic() + 15))

    def redrive(self) -> int:
        """Redrive everything, as a job does without its journal; return how many were sent."""
        with contextlib.closing(KafkaRedriveBus(self.cluster, (), Clock())) as bus:
            request = PlanRequest(f"k/{self.dead}")
            survey = bus.survey(self.dead, request, time.monotonic() + 15)
            assert (survey.blockers, survey.also_receives) == ((), (self.group,))
            job = Job("job", request, self.dead, survey.target or "", survey.bounds)
            with contextlib.closing(bus.open(job, _all)) as mover:
                sent = mover.recover(time.monotonic() + 15).moved
                while not (step := mover.step(100, time.monotonic() + 15)).finished:
                    sent += step.moved
                return sent + step.moved


_all: Choose = lambda _: None  # noqa: E731 (every message is chosen as it is)


@pytest.fixture(scope="module")
def ground(secured_brokers: SecuredBrokers) -> Iterator[Ground]:
    kafka = secured_brokers.kafka
    playground = Playground(kafka.plain)
    yard = Yard(playground)
    target, dead = yard.pair(1)
    yard.fill(dead, LETTERS, spring_headers(target))
    playground.produce(target, 2)
    made = Ground(kafka, playground, target, dead, playground.name("workers"))
    playground.commit(made.group, target, 1)
    for user, heading in (("watcher", WATCHING), ("redriver", REDRIVING)):
        kafka.grant(right.binding(user) for right in made.rights(heading))
    wait_for(lambda: all(it.ok for it in made.check("watcher")), "the rights are in force")
    yield made
    for user, heading in (("watcher", WATCHING), ("redriver", REDRIVING)):
        kafka.revoke(right.binding(user) for right in made.rights(heading))
    playground.delete_topic(LEDGER_TOPIC)
    playground.clean()


def test_the_rights_for_redriving_are_enough_and_the_credentials_that_watch_are_not_used(ground: Ground) -> None:
    missing = [finding for finding in ground.check("redriver") if not finding.ok]
    assert missing == []
    assert ground.redrive() == LETTERS
    assert [finding for finding in ground.check("redriver") if not finding.ok] == []  # now with a ledger


def test_the_rights_for_watching_are_enough(ground: Ground) -> None:
    snapshot = ground.collect()
    assert (snapshot.errors, snapshot.measured, snapshot.expected) == ((), 2, 2)
    (seen,) = snapshot.subscriptions
    # One that was there, those that were redriven, and the marker of their transaction.
    assert (seen.subscriber, seen.backlog_messages, seen.consumers) == (ground.group, 1 + LETTERS + 1, 0)
    assert seen.retention_seconds == 7 * 86_400
    (dead,) = snapshot.dead_letters
    assert dead.messages == 0  # all are redriven, as only the ledger knows


def test_who_may_read_topics_is_told_the_backlog_without_markers(ground: Ground) -> None:
    with contextlib.closing(KafkaCollector(ground.cluster, (), Clock())) as collector:

        def backlog() -> float | None:
            (seen,) = collector.collect(time.monotonic() + 15).subscriptions
            return seen.backlog_messages

        def notes() -> str:
            return " ".join(collector.collect(time.monotonic() + 15).notes)

        def tells() -> str:
            return " ".join(it.message for it in collector.check(time.monotonic() + 15))

        wait_for(lambda: "may not be read" in notes(), "the missing right is told")
        assert backlog() == 1 + LETTERS + 1
        assert f"Read is missing on {ground.target}" in tells()

    (right,) = kafka_rights("Kafka: telling records from markers")
    ground.kafka.grant([right.binding("watcher")])
    try:
        with contextlib.closing(KafkaCollector(ground.cluster, (), Clock())) as collector:
            wait_for(lambda: "Read is allowed" in tells(), "the right is in force")
            wait_for(lambda: backlog() == 1 + LETTERS, "the marker is no backlog")
            assert "may not be read" not in notes()
    finally:
        ground.kafka.revoke([right.binding("watcher")])


def test_wrong_credentials_for_redriving_are_told_and_do_not_keep_from_watching(ground: Ground) -> None:
    wrong = ground.kafka.credentials("redriver", "hunter2-is-wrong")
    cluster = ground.cluster.model_copy(update={"redrive": KafkaRedrive(security=wrong)})
    with contextlib.closing(KafkaRedriveBus(cluster, (), Clock())) as bus:
        (told,) = bus.check(time.monotonic() + 15)
        with pytest.raises(AuthenticationFailed) as raised:
            bus.survey(ground.dead, PlanRequest(f"k/{ground.dead}"), time.monotonic() + 15)
    assert (told.target, told.ok) == ("redrive: connecting", False)
    assert "credentials are refused" in told.message
    assert "hunter2-is-wrong" not in f"{told} {raised.value}"
    assert ground.collect().errors == ()


def tells(findings: list[Finding], right: Right) -> bool:
    """Say whether a finding names the operation that is missing, and on what."""
    wanted = right.name if right.resource in ("topic", "transactional id") and right.name != "*" else right.resource
    texts = [f"{it.target} {it.message} {it.remedy}" for it in findings if not it.ok]
    return any(right.operation in text and wanted in text for text in texts)


@pytest.mark.parametrize(
    ("user", "right"),
    [
        pytest.param(user, right, id=f"{user} without {right.operation} on {right.resource} {right.name}")
        for user, heading in (("watcher", WATCHING), ("redriver", REDRIVING))
        for right in kafka_rights(heading)
    ],
)
def test_a_right_that_is_taken_away_is_told_by_the_check(ground: Ground, user: str, right: Right) -> None:
    taken = right.named(ground.names)
    if right.operation == "Create":  # which is needed only as long as there is no ledger
        ground.playground.delete_topic(LEDGER_TOPIC)
    ground.kafka.revoke([taken.binding(user)])
    try:
        wait_for(lambda: tells(ground.check(user), taken), f"{taken} is told to be missing", 5)
    finally:
        ground.kafka.grant([taken.binding(user)])
        ground.make_ledger()
