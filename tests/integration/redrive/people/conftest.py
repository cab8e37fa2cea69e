"""One monitor over all three buses for the people of a team, each with a token: who may what, and with whom."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.fernet import Fernet

from monitor.apiclient import ApiClient
from monitor.config import hash_token
from stack.state import Endpoints
from tests.integration.app.running import _ENVIRONMENT
from tests.integration.aws.conftest import REGION, Aws, open_aws
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard as KafkaYard
from tests.integration.redrive.rabbitmq.yard import Yard as RabbitYard
from tests.integration.redrive.server import Server, running

PEOPLE = {
    "alice": "role: operator",
    "bob": "role: operator",
    "carol": "role: operator, bodies: false",
    "victor": "role: viewer",
    "root": "role: admin",
}
"""Each is also the token of whoever has that name."""


@dataclass
class Team:
    """The people, the monitor that they share, and the brokers behind it."""

    server: Server
    kafka: KafkaYard
    rabbitmq: RabbitYard
    aws: Aws

    def __post_init__(self) -> None:
        self.alice, self.bob, self.carol, self.victor, self.root = map(self.server.client_of, PEOPLE)

    def everybody(self) -> list[ApiClient]:
        return [self.alice, self.bob, self.carol, self.victor, self.root]


@pytest.fixture(scope="package")
def team(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team, with brokers' names of its own."""
    kafka, rabbitmq = KafkaYard(Playground(endpoints.kafka)), RabbitYard(endpoints.rabbitmq)
    rabbitmq.open()
    with open_aws(endpoints.aws) as aws:
        folder = tmp_path_factory.mktemp("team")
        server = Server(
            folder, _clusters(endpoints, kafka, rabbitmq, aws), _environment(), _settings(kafka.kafka.prefix), "alice"
        )
        with running(server) as started:
            team = Team(started, kafka, rabbitmq, aws)
            yield team
            for person in team.everybody():
                person.close()
    rabbitmq.clear()
    rabbitmq.close()
    kafka.kafka.clean()


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def _clusters(endpoints: Endpoints, kafka: KafkaYard, rabbitmq: RabbitYard, aws: Aws) -> str:
    topics = f'{{include: ["{kafka.kafka.prefix}*"]}}'
    queues = f'{{include: ["{aws.prefix}*"]}}'
    every = "interval: 1s, redrive: {}"  # after three of them what is not read is not shown any more
    at = endpoints.rabbitmq
    return "\n".join(
        (
            f'  - {{name: k, kind: kafka, bootstrap_servers: "{endpoints.kafka}", topics: {topics}, {every}}}',
            f'  - {{name: r, kind: rabbitmq, amqp_url: "{at.amqp}", management_url: "{at.management}", {every},',
            f'     vhosts: {{include: ["{rabbitmq.vhost}"]}}}}',
            f'  - {{name: a, kind: aws, region: {REGION}, endpoint_url: "{endpoints.aws}", queues: {queues}, {every},',
            f"     topics: {queues}, cloudwatch: {{enabled: false}}}}\n",
        )
    )


def _settings(prefix: str) -> str:
    tokens = ", ".join(f'{{name: {name}, {about}, sha256: "{hash_token(name)}"}}' for name, about in PEOPLE.items())
    masking = f'{{queue: "k/{prefix}-masked*", hide: ["/body/card/number", "/headers/secret", "/key"]}}'
    return "\n".join(
        (
            f"server: {{tokens: [{tokens}]}}",
            f"masking: [{masking}]",
            f'approvals: {{queues: ["k/{prefix}-guarded*"], above: 500}}',
            f'archive: {{keys: ["{Fernet.generate_key().decode()}"], keep: 1h}}\n',
        )
    )
