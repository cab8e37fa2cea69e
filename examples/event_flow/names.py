"""Where the buses are and what everything on them is called."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self


class EndpointsUnreadable(Exception):
    """The file that tells the addresses cannot be used; `str()` says why, in one sentence without secrets."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the buses: `kafka` is host:port[,host:port], the others are URLs."""

    kafka: str
    amqp: str
    aws: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `{"kafka": "host:port", "rabbitmq": {"amqp": URL}, "aws": URL}`.

        Raises EndpointsUnreadable.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(found["kafka"]), str(found["rabbitmq"]["amqp"]), str(found["aws"]))
        except OSError as error:
            raise EndpointsUnreadable(f"{path} cannot be read: {error.strerror}; start the brokers first") from error
        except ValueError as error:
            raise EndpointsUnreadable(f"{path} is no JSON file") from error
        except (KeyError, TypeError) as error:
            raise EndpointsUnreadable(f"{path} lacks one of kafka, rabbitmq.amqp, aws") from error

    def __repr__(self) -> str:  # the AMQP URL holds a password
        return f"Endpoints(kafka={self.kafka!r}, aws={self.aws!r})"


@dataclass(frozen=True, slots=True)
class Names:
    """Every name on the buses. A prefix keeps two flows on one broker apart."""

    prefix: str = ""

    def _name(self, name: str) -> str:
        return f"{self.prefix}{name}"

    @property
    def kafka_topic(self) -> str:
        """The topic of all events, keyed by order id."""
        return self._name("order-events")

    @property
    def kafka_dead_letter_topic(self) -> str:
        """The topic for what no consumer could handle."""
        return self._name("order-events.dlq")

    def kafka_group(self, service: str) -> str:
        """Return the consumer group of `service`."""
        return self._name(f"{service}-group")

    @property
    def exchange(self) -> str:
        """The RabbitMQ topic exchange that both publishers use."""
        return self._name("order-events")

    @property
    def dead_letter_exchange(self) -> str:
        """The RabbitMQ direct exchange that leads each queue's dead letters to its dead-letter queue."""
        return self._name("order-events.dlx")

    def queue(self, service: str) -> str:
        """Return the RabbitMQ queue of `service`."""
        return self._name(f"{service}-queue")

    def dead_letter_queue(self, service: str) -> str:
        """Return the RabbitMQ queue for what `service` could not handle."""
        return f"{self.queue(service)}.dlq"

    @property
    def sns_topic(self) -> str:
        """The SNS topic of all events."""
        return self._name("OrderEvents")

    @property
    def sqs_queue(self) -> str:
        """The SQS queue of Notification."""
        return self._name("NotificationQueue")

    @property
    def sqs_dead_letter_queue(self) -> str:
        """The SQS queue for what was received too often."""
        return self._name("NotificationDLQ")
