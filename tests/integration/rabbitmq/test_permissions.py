"""The rights that `docs/permissions.md` lists for RabbitMQ are enough, over TLS, and each that is missing is told."""

import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pika
import pytest
from pydantic import SecretStr

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.brokers.rabbitmq.redrive import RabbitRedriveBus
from monitor.clock import Clock
from monitor.config import Filter, RabbitCluster, RabbitRedrive
from monitor.letters import Held, Job, Outgoing, PlanRequest
from monitor.model import Finding, Snapshot
from tests.integration.rabbitmq.conftest import collect_surveyed, roles
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.permissions import rabbitmq_rights
from tests.waiting import wait_for

WATCHING, NAMED, REDRIVING = (
    "watching by management_url",
    "watching by amqp_url",
    "redriving by redrive.amqp_url",
)
BODIES = [b"0", b"1", b"2"]
Permissions = dict[str, str]


@dataclass(frozen=True)
class Ground:
    """A virtual host with a queue and its dead-letter queue, and users with exactly the rights of the document."""

    brokers: SecuredBrokers
    vhost: str
    password: str

    def name(self, purpose: str) -> str:
        return f"sec-{purpose.split('_')[0].replace(' ', '-')}-{self.vhost}"

    def rights(self, purpose: str) -> tuple[str, Permissions]:
        tag, permissions = rabbitmq_rights()[purpose]
        return tag, {key: value.replace("DEAD-LETTER", r"work\.dlq") for key, value in permissions.items()}

    def give(self, purpose: str, tag: str | None = None, **other: str) -> None:
        """Give a user the rights of the document, or others in their place."""
        written, permissions = self.rights(purpose)
        user, rights = self.name(purpose), {self.vhost: permissions | other}
        self.brokers.rabbitmq.make_user(user, self.password, written if tag is None else tag, rights)

    def shut_out(self, purpose: str) -> None:
        """Take a user's permissions in the virtual host away."""
        self.brokers.rabbitmq.delete(f"permissions/{self.vhost}/{self.name(purpose)}")

    def cluster(self, **urls: Any) -> RabbitCluster:
        shown = self.brokers.clients.good
        return RabbitCluster(
            name="r",
            kind="rabbitmq",
            vhosts=Filter(include=[self.vhost]),
            ca_file=str(self.brokers.authority.certificate),
            certificate_file=str(shown.certificate),
            key_file=str(shown.key),
            **urls,
        )

    def login(self, purpose: str) -> str:
        return f"{self.name(purpose)}:{self.password}"

    @property
    def watched(self) -> RabbitCluster:
        """The configuration: one user watches by the management API, another redrives by AMQP."""
        amqp = self.brokers.rabbitmq.amqps(self.login(REDRIVING)).replace("%2F", self.vhost)
        return self.cluster(
            management_url=SecretStr(self.brokers.rabbitmq.management(self.login(WATCHING))),
            redrive=RabbitRedrive(amqp_url=SecretStr(amqp)),
        )

    def check(self, purpose: str) -> Sequence[Finding]:
        opened: Any = RabbitRedriveBus if purpose == REDRIVING else RabbitCollector
        with contextlib.closing(opened(self.watched, (), Clock())) as checked:
            found = checked.check(time.monotonic() + 10)
        assert self.password not in f"{found}"
        return [finding for finding in found if not finding.ok]


@pytest.fixture(scope="module")
def ground(secured_brokers: SecuredBrokers) -> Iterator[Ground]:
    rabbitmq = secured_brokers.rabbitmq
    made = Ground(secured_brokers, f"v{secrets.token_hex(4)}", secrets.token_hex(8))
    rabbitmq.put(f"vhosts/{made.vhost}")
    rabbitmq.put(f"permissions/{made.vhost}/eventflow", {"configure": ".*", "write": ".*", "read": ".*"})
    parameters = pika.URLParameters(rabbitmq.open.endpoints.amqp)
    parameters.virtual_host = made.vhost
    with contextlib.closing(pika.BlockingConnection(parameters)) as connection:
        channel = connection.channel()
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work.dlq"}
        channel.queue_declare("work", arguments=dead)
        channel.queue_declare("work.dlq")
        for body in BODIES:
            channel.basic_publish("", "work.dlq", body)
    for purpose in (WATCHING, NAMED, REDRIVING):
        made.give(purpose)
    yield made
    rabbitmq.delete(f"vhosts/{made.vhost}")
    for purpose in (WATCHING, NAMED, REDRIVING):
        rabbitmq.delete(f"users/{made.name(purpose)}")


def test_the_rights_for_watching_are_enough(ground: Ground) -> None:
    assert [finding for finding in ground.check(WATCHING) if finding.required] == []
    with contextlib.closing(RabbitCollector(ground.watched, (), Clock())) as collector:
        snapshot: Snapshot = collect_surveyed(collector)
    assert snapshot.errors == ()
    assert roles(snapshot) == {"work": "work", "work.dlq": "dead_letter"}
    assert not any("hidden" in note for note in snapshot.notes)


def test_the_rights_for_watching_named_queues_by_amqp_are_enough(ground: Ground) -> None:
    url = ground.brokers.rabbitmq.amqps(ground.login(NAMED)).replace("%2F", ground.vhost)
    cluster = ground.cluster(amqp_url=SecretStr(url), queues=Filter(include=["work", "work.dlq"]))
    with contextlib.closing(RabbitCollector(cluster, (), Clock())) as collector:
        snapshot = collector.collect(time.monotonic() + 10)
    assert (snapshot.errors, snapshot.measured) == ((), 2)


def test_the_rights_for_redriving_are_enough_and_the_credentials_that_watch_are_not_used(ground: Ground) -> None:
    assert ground.check(REDRIVING) == []
    with contextlib.closing(RabbitRedriveBus(ground.watched, (), Clock())) as bus:
        label = f"{ground.vhost}/work.dlq"
        request = PlanRequest(f"r/{label}", target=f"{ground.vhost}/work")
        survey = bus.survey(label, request, time.monotonic() + 10)
        assert (survey.count, survey.blockers) == (len(BODIES), ())
        job = Job("job", request, label, survey.target or "", survey.bounds)
        held = bus.open(job, lambda _: None)
        assert isinstance(held, Held)
        messages = held.take(10, time.monotonic() + 10)
        assert [message.value for message in messages] == BODIES
        sent = held.send([Outgoing(it, f"id-{it.position}", 1) for it in messages], time.monotonic() + 10)
        assert [result.confirmed for result in sent] == [True] * len(BODIES)
        assert all(held.remove(messages, time.monotonic() + 10))
        held.close()
    wait_for(lambda: ground.check(REDRIVING) == [], "the check is content with an empty queue too", 5)


@pytest.mark.parametrize(
    ("permission", "told", "remedy"),
    [
        ("read", "read is missing on .*work.dlq", "permission read of the user match work.dlq"),
        ("write", "write is missing on the default exchange", "amq.default"),
    ],
)
def test_a_permission_to_redrive_that_is_missing_is_told_by_the_check(
    ground: Ground, permission: str, told: str, remedy: str
) -> None:
    ground.give(REDRIVING, **{permission: "^$"})
    (missing,) = ground.check(REDRIVING)
    ground.give(REDRIVING)
    assert re.search(told, missing.message)
    assert remedy in missing.remedy
    assert missing.required


def test_being_shut_out_of_the_virtual_host_is_told_for_each_user(ground: Ground) -> None:
    ground.shut_out(REDRIVING)
    (missing,) = ground.check(REDRIVING)
    ground.give(REDRIVING)
    assert f"virtual host {ground.vhost}" in missing.message
    assert "permissions there" in missing.remedy
    ground.shut_out(WATCHING)
    told = ground.check(WATCHING)
    ground.give(WATCHING)
    assert any(ground.vhost in finding.message and "permissions" in finding.remedy for finding in told)


def test_a_missing_tag_is_told_by_the_check(ground: Ground) -> None:
    ground.give(WATCHING, tag="management")
    (nodes,) = (finding for finding in ground.check(WATCHING) if "nodes" in finding.target)
    assert "monitoring" in nodes.remedy
    ground.give(WATCHING, tag="")
    (management,) = (finding for finding in ground.check(WATCHING) if "management API" in finding.target)
    ground.give(WATCHING)
    assert "monitoring" in management.remedy
