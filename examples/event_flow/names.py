"""Where the buses are and what everything on them is called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

CONSUMERS: Final = ("notification", "inventory")
_MECHANISM: Final = "SCRAM-SHA-512"


class EndpointsUnreadable(Exception):
    """The file that tells the addresses cannot be used; `str()` says why, in one sentence without secrets."""


@dataclass(frozen=True, slots=True)
class Security:
    """TLS and SASL, where they are switched on.

    `ca_file` holds the certificates that are trusted: with it Kafka is spoken to over TLS, and so are RabbitMQ and AWS
    where their addresses say so (amqps, https). `username` switches SASL on, for Kafka; RabbitMQ's is in its address.
    """

    ca_file: str | None = None
    username: str | None = None
    password: str = field(default="", repr=False)
    mechanism: str = _MECHANISM

    @classmethod
    def load(cls, found: object) -> Self:
        """Read `{"ca_file": FILE, "username": NAME, "password_file": FILE, "mechanism": NAME}`, all of it optional.

        Raises EndpointsUnreadable, and OSError where there is no such file of a password.
        """
        if not isinstance(found, Mapping) or not all(isinstance(it, str) for it in found.values()):
            raise EndpointsUnreadable("security is no object of texts: ca_file, username, password_file, mechanism")
        password_file = found.get("password_file")
        return cls(
            ca_file=found.get("ca_file"),
            username=found.get("username"),
            password=_read_password(Path(password_file)) if password_file else "",
            mechanism=found.get("mechanism", _MECHANISM),
        )


def _read_password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise EndpointsUnreadable(f"{path} is no text in UTF-8") from None  # the cause holds what the file holds


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the buses: `kafka` is host:port[,host:port], the others are URLs."""

    kafka: str
    amqp: str
    aws: str
    security: Security = Security()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `{"kafka": "host:port", "rabbitmq": {"amqp": URL}, "aws": URL, "security": {...}}`, the last optional.

        Raises EndpointsUnreadable.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            security = Security.load(found.get("security", {})) if isinstance(found, dict) else Security()
            return cls(str(found["kafka"]), str(found["rabbitmq"]["amqp"]), str(found["aws"]), security)
        except OSError as error:
            raise EndpointsUnreadable(
                f"{error.filename or path} cannot be read: {error.strerror}; start the brokers first"
            ) from error
        except ValueError as error:
            raise EndpointsUnreadable(f"{path} is no JSON file") from error
        except (KeyError, TypeError) as error:
            raise EndpointsUnreadable(f"{path} lacks one of kafka, rabbitmq.amqp, aws") from error

    def __repr__(self) -> str:  # the AMQP URL holds a password
        return f"Endpoints(kafka={self.kafka!r}, aws={self.aws!r}, security={self.security!r})"


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
