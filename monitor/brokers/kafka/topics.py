"""What there is in a cluster that redrives: topics, what waits in them, and the ledger."""

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from monitor.brokers.kafka.admin import EARLIEST, LATEST
from monitor.brokers.kafka.archiving import archive_name
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.ledger import Ledger, Rows, gone_before, ledger_topic
from monitor.brokers.kafka.translation import translate
from monitor.brokers.kafka.waiting import Waiting
from monitor.clock import Clock
from monitor.errors import BrokerError, Gone
from monitor.letters import LEDGER_TOPIC

_DEFAULT_MAX_BYTES = 1_048_588


class Topics:
    """The topics of one cluster, with what the ledger says of them. Thread-safe; its calls raise BrokerError."""

    def __init__(self, client: KafkaClient, settings: dict[str, Any], clock: Clock) -> None:
        self._client, self._settings = client, settings
        self._ledger = Ledger(client, settings, clock)

    def close(self) -> None:
        """Let go of the ledger's connection."""
        self._ledger.close()

    def partitions(self, deadline: float) -> dict[str, int]:
        """Return the number of partitions of each topic. To ask for one by name could make the broker create it."""
        listing = self._client.list_topics(deadline)
        return {name: len(it.partitions) for name, it in listing.topics.items() if it.error is None}

    def topic_id(self, queue: str, deadline: float) -> str:
        """Return what tells a topic from others that had its name before."""
        described = self._client.describe_topics([queue], self._client.remaining(deadline))[queue]
        if isinstance(described, BrokerError):
            raise described
        return str(described.topic_id)

    def waiting(self, queue: str, deadline: float) -> list[Waiting]:
        """Return what waits in each partition, as the ledger has it."""
        topics = self.partitions(deadline)
        if queue not in topics:
            raise Gone("there is no such topic", target=queue)
        numbers = range(topics[queue])
        starts, stables = self._offsets(queue, numbers, deadline)
        if LEDGER_TOPIC in topics:
            self._ledger.refresh(deadline)
        rows = self._ledger.rows(queue, self.topic_id(queue, deadline))
        return [Waiting(n, starts[n], stables[n], gone_before(None, rows.get(n, {}))) for n in numbers]

    def largest_messages(self, topics: Sequence[str], deadline: float) -> dict[str, int]:
        """Return how many bytes a batch may have in each topic."""
        configs = self._client.describe_topic_configs(topics, self._client.remaining(deadline))
        limits = {}
        for name, config in configs.items():
            # Without the right to read configurations the broker's own refusal has to do.
            known = not isinstance(config, BrokerError)
            limits[name] = int(config["max.message.bytes"].value) if known else _DEFAULT_MAX_BYTES
        return limits

    def rows(self, name: str, topic_id: str, deadline: float) -> Rows:
        """Return what the ledger, which must be there, has under a name."""
        self._ledger.refresh(deadline)
        return self._ledger.rows(name, topic_id)

    def marks(self, archive: str, queue: str, deadline: float) -> Rows:
        """Return what the ledger, if there is one, has of an archive."""
        if LEDGER_TOPIC in self.partitions(deadline):
            self._ledger.refresh(deadline)
        return self._ledger.rows(archive_name(archive, queue), self.topic_id(queue, deadline))

    def make_ledger(self) -> None:
        """Create the ledger, and wait until it can be seen."""
        until = time.monotonic() + 15
        topic = ledger_topic(len(self._client.list_topics(until).brokers))
        try:
            admin = AdminClient(self._settings)  # held: without it the call never comes to an end
            admin.create_topics([topic])[LEDGER_TOPIC].result(15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(error.args[0], LEDGER_TOPIC) from error
        while LEDGER_TOPIC not in self.partitions(until) and time.monotonic() < until:
            time.sleep(0.05)

    def _offsets(self, queue: str, numbers: Sequence[int], deadline: float) -> tuple[list[int], list[int]]:
        """Return where each partition's log begins, and its last stable offset."""
        results: dict[int, list[int]] = {}
        calls = [
            self._client.offsets(what, [TopicPartition(queue, number, what) for number in numbers], stable=True)
            for what in (EARLIEST, LATEST)
        ]
        for call, result in self._client.run({0: calls}, self._client.remaining(deadline)):
            if isinstance(result, BrokerError):
                raise result
            for error in result.errors.values():
                raise error
            results[call.key] = result.offsets
        return results[EARLIEST], results[LATEST]
