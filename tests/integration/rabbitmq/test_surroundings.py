"""What a redrive plan asks about one queue of a real broker: as much as the whole survey tells of it, for less."""

import secrets
import time
from collections.abc import Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exchange_type import ExchangeType
from pydantic import SecretStr

from monitor.brokers.rabbitmq.addresses import parse_address
from monitor.brokers.rabbitmq.client import HttpClient, Query
from monitor.brokers.rabbitmq.dead_letters import Topology, resolve
from monitor.brokers.rabbitmq.management_source import ManagementSource
from monitor.brokers.rabbitmq.readings import QueueKey
from monitor.brokers.rabbitmq.survey import look_around, take_survey
from monitor.clock import Clock
from tests.integration.rabbitmq.conftest import Admin, as_user, quoted, until

USER, PASSWORD = f"it-around-{secrets.token_hex(3)}", secrets.token_hex(8)


class CountingClient(HttpClient):
    """A client that notes what it asks for."""

    asked: list[str]

    def get(self, path: str, deadline: float, query: Query | None = None) -> bytes:
        self.asked.append(path)
        return super().get(path, deadline, query)


@pytest.fixture(scope="module")
def graveyard(admin: Admin, vhost: str, channel: BlockingChannel) -> Iterator[QueueKey]:
    """A dead-letter queue behind two exchanges, with a source by argument and one by a policy."""
    channel.exchange_declare("dlx", ExchangeType("direct"))
    channel.exchange_declare("dlx.all", ExchangeType("fanout"))
    channel.exchange_bind("dlx.all", "dlx", "dead")
    channel.queue_declare("graveyard")
    channel.queue_bind("graveyard", "dlx.all")
    arguments = {"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("by-argument", arguments=arguments)
    channel.queue_declare("elsewhere", arguments=arguments | {"x-dead-letter-routing-key": "other"})
    channel.queue_declare("by-policy")
    channel.basic_consume("by-policy", lambda *_: None)
    policy = {"pattern": "^by-policy$", "definition": {"dead-letter-exchange": "dlx.all"}, "apply-to": "queues"}
    admin.put(f"policies/{quoted(vhost)}/deaths", policy)
    admin.put(f"users/{USER}", {"password": PASSWORD, "tags": "monitoring"})
    admin.put(f"permissions/{quoted(vhost)}/{USER}", {"configure": "^$", "write": "^$", "read": "^$"})
    yield vhost, "graveyard"
    admin.delete(f"users/{USER}")


def open_client(url: str) -> CountingClient:
    client = CountingClient(parse_address(SecretStr(url)), Clock(), target="management API")
    client.asked = []
    return client


def soon() -> float:
    return time.monotonic() + 10


@pytest.mark.parametrize("policies_are_seen", [True, False])
def test_all_sources_of_a_queue_are_found_as_by_the_whole_survey(
    admin: Admin, graveyard: QueueKey, policies_are_seen: bool
) -> None:
    url = admin.endpoints.management if policies_are_seen else as_user(admin.endpoints.management, USER, PASSWORD)
    client = open_client(url)
    source = ManagementSource(client, lambda key: key[0] == graveyard[0])

    def sources() -> frozenset[QueueKey]:
        around = look_around(source, graveyard, (), soon())
        seen: Topology = resolve(tuple(around.queues.values()), around.routes, {}, around.consumed)
        return seen.sources_of(graveyard)

    survey = take_survey(source, 0.0, soon(), None)
    whole = resolve(survey.queues, survey.routes, {}).sources_of(graveyard)
    assert sources() == whole == {(graveyard[0], "by-argument"), (graveyard[0], "by-policy")}
    client.close()


def test_more_queues_are_no_more_requests_and_no_statistics(
    admin: Admin, graveyard: QueueKey, channel: BlockingChannel
) -> None:
    client = open_client(admin.endpoints.management)
    source = ManagementSource(client, lambda _key: True)
    others = [(graveyard[0], "elsewhere"), ("/", "no such queue")]
    consumed = {(graveyard[0], "by-policy")}
    until(lambda: look_around(source, graveyard, others, soon()).consumed == consumed)  # the API counts now and then
    client.asked = []
    around = look_around(source, graveyard, others, soon())
    before, client.asked = len(client.asked), []
    for number in range(50):
        channel.queue_declare(f"more-{number}")
    again = look_around(source, graveyard, others, soon())
    assert len(again.queues) == len(around.queues) + 50
    assert len(client.asked) == before
    assert "/api/queues" not in client.asked
    client.close()
