"""RabbitMQ: a topic exchange, a queue a service, and a dead-letter exchange that leads to a dead-letter queue each.

A message that a service gives up on is published to the dead-letter exchange with headers that say why, confirmed, and
only then acked, as Spring AMQP's RepublishMessageRecoverer does. A plain reject would leave nothing but `x-death`,
which tells where from but not why. The queues name the dead-letter exchange all the same: the broker uses it for what
no consumer can republish, as when a message crashes its consumer over and over until the delivery limit is reached.
"""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError
from pika.exchange_type import ExchangeType
from pika.spec import Basic, BasicProperties

from examples.event_flow.buses.base import BusAway, Handle, Message
from examples.event_flow.events import ORDER_CREATED, PAYMENT_PROCESSED
from examples.event_flow.handling import Failure
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome
from examples.event_flow.running import Contact, Stop

ROUTING_KEYS: Final[Mapping[str, str]] = {ORDER_CREATED: "order.created", PAYMENT_PROCESSED: "payment.processed"}
BINDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "notification": ("order.*", "payment.*"),
    "inventory": ("order.created",),
}
QUEUE_TYPES: Final[Mapping[str, str]] = {"notification": "quorum", "inventory": "classic"}
_DELIVERY_LIMIT: Final = 20  # the default of RabbitMQ 4; before, quorum queues had none
_HEARTBEAT_SECONDS: Final = 10
_PERSISTENT: Final = 2
_PREFETCH: Final = 20
_POLL_SECONDS: Final = 0.5

# What goes wrong on a connection is told by BusAway; pika would write a traceback for each attempt besides.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def _connect(endpoints: Endpoints) -> pika.BlockingConnection:
    parameters = pika.URLParameters(endpoints.amqp)
    if parameters.ssl_options and endpoints.security.ca_file:
        context = ssl.create_default_context(cafile=endpoints.security.ca_file)
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    parameters.heartbeat = _HEARTBEAT_SECONDS
    # A broker in alarm stops reading from publishers; without this a publish would wait for ever.
    parameters.blocked_connection_timeout = 30
    parameters.socket_timeout = 3
    parameters.stack_timeout = 5
    try:
        return pika.BlockingConnection(parameters)
    except (AMQPError, AMQPConnectorException, OSError) as error:  # the second is no kind of the first
        raise _away(error) from error


def _away(error: Exception) -> BusAway:
    return BusAway(str(error) or repr(error))


def set_up(endpoints: Endpoints, names: Names) -> None:
    """Declare exchanges, queues and bindings; declaring what is there already changes nothing.

    Raises BusAway, also where a queue exists with other arguments.
    """
    connection = _connect(endpoints)
    try:
        channel = connection.channel()
        channel.exchange_declare(names.exchange, ExchangeType("topic"), durable=True)
        channel.exchange_declare(names.dead_letter_exchange, ExchangeType("direct"), durable=True)
        for service in BINDINGS:
            _declare_queue(channel, names, service)
        connection.close()
    except (AMQPError, OSError) as error:
        raise _away(error) from error


def _declare_queue(channel: BlockingChannel, names: Names, service: str) -> None:
    queue, dead_letter_queue = names.queue(service), names.dead_letter_queue(service)
    arguments: dict[str, Any] = {
        "x-queue-type": QUEUE_TYPES[service],
        "x-dead-letter-exchange": names.dead_letter_exchange,
        "x-dead-letter-routing-key": queue,
    }
    if QUEUE_TYPES[service] == "quorum":
        arguments["x-delivery-limit"] = _DELIVERY_LIMIT
    # Classic, because a quorum queue counts looks as deliveries and drops what was looked at too often.
    channel.queue_declare(dead_letter_queue, durable=True, arguments={"x-queue-type": "classic"})
    channel.queue_bind(dead_letter_queue, names.dead_letter_exchange, queue)
    channel.queue_declare(queue, durable=True, arguments=arguments)
    for binding in BINDINGS[service]:
        channel.queue_bind(queue, names.exchange, binding)


def remove(endpoints: Endpoints, names: Names) -> None:
    """Delete queues and exchanges, with what is in them. Raises BusAway."""
    connection = _connect(endpoints)
    try:
        channel = connection.channel()
        for service in BINDINGS:
            channel.queue_delete(names.queue(service))
            channel.queue_delete(names.dead_letter_queue(service))
        channel.exchange_delete(names.exchange)
        channel.exchange_delete(names.dead_letter_exchange)
        connection.close()
    except (AMQPError, OSError) as error:
        raise _away(error) from error


class RabbitPublisher:
    """Publishes events to the exchange: persistent, mandatory, each confirmed."""

    def __init__(self, endpoints: Endpoints, names: Names) -> None:
        self._exchange = names.exchange
        self._connection = _connect(endpoints)
        try:
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        except (AMQPError, OSError) as error:
            raise _away(error) from error

    def publish(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        """Publish one by one, each waiting for its confirm. Raises BusAway, also where no queue takes a message."""
        for message in batch:
            properties = BasicProperties(
                message_id=message.event_id,
                type=message.type,
                content_type="application/json",
                delivery_mode=_PERSISTENT,
            )
            try:
                # An unroutable message is confirmed all the same; mandatory makes pika raise UnroutableError.
                self._channel.basic_publish(
                    self._exchange, ROUTING_KEYS[message.type], message.body, properties, mandatory=True
                )
            except (AMQPError, OSError) as error:
                raise _away(error) from error
            confirmed(message)

    def rest(self) -> None:
        """Serve the heartbeat, which pika does only while it is called. Raises BusAway."""
        try:
            self._connection.process_data_events(0)
        except (AMQPError, OSError) as error:
            raise _away(error) from error

    def close(self) -> None:
        """Close the connection."""
        _close(self._connection)


class RabbitConsumer:
    """Consumes the queue of one service; acks after handling."""

    def __init__(self, endpoints: Endpoints, names: Names, service: str, stop: Stop, contact: Contact) -> None:
        self._queue, self._dead_letter_exchange = names.queue(service), names.dead_letter_exchange
        self._stop, self._contact = stop, contact
        self._connection = _connect(endpoints)
        try:
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
            self._channel.basic_qos(prefetch_count=_PREFETCH)
        except (AMQPError, OSError) as error:
            raise _away(error) from error

    def run(self, handle: Handle, report: Callable[[Outcome], None]) -> None:
        """Consume until the end is asked for. Raises BusAway."""
        try:
            for delivery, properties, body in self._channel.consume(self._queue, inactivity_timeout=_POLL_SECONDS):
                self._contact.made()
                if delivery is not None and properties is not None and body is not None:
                    report(self._settle(delivery, properties, body, handle))
                if self._stop.requested:
                    self._channel.cancel()  # gives back what was delivered but not handled
                    return
        except (AMQPError, OSError) as error:
            raise _away(error) from error
        raise BusAway("the broker has cancelled the consumer")  # as it does when the queue is deleted

    def _settle(self, delivery: Basic.Deliver, properties: BasicProperties, body: bytes, handle: Handle) -> Outcome:
        verdict = handle(body, self._pause)
        if isinstance(verdict, Failure):
            self._bury(delivery, properties, body, verdict)
            return Outcome.DEAD_LETTERED
        if verdict is Outcome.ABANDONED:
            self._channel.basic_nack(_tag(delivery), requeue=True)
        else:
            self._channel.basic_ack(_tag(delivery))
        return verdict

    def _pause(self, seconds: float) -> bool:
        self._connection.sleep(seconds)  # unlike time.sleep, this goes on answering heartbeats
        return not self._stop.requested

    def _bury(self, delivery: Basic.Deliver, properties: BasicProperties, body: bytes, failure: Failure) -> None:
        properties.headers = dead_letter_headers(properties.headers, self._queue, delivery, failure)
        properties.delivery_mode = _PERSISTENT
        # Where no queue takes it, this raises, and the message goes back to its queue with the connection. A reject
        # would take the same way through the exchange, and be dropped by the broker without a word.
        self._channel.basic_publish(self._dead_letter_exchange, self._queue, body, properties, mandatory=True)
        self._channel.basic_ack(_tag(delivery))

    def close(self) -> None:
        """Close the connection."""
        _close(self._connection)


def _tag(delivery: Basic.Deliver) -> int:
    if delivery.delivery_tag is None:  # never so in a delivery; and 0 in its place would mean all of them
        raise BusAway("a delivery came without a tag")
    return delivery.delivery_tag


def _close(connection: pika.BlockingConnection) -> None:
    try:
        if connection.is_open:
            connection.close()
    except (AMQPError, OSError):
        logging.getLogger("event_flow").debug("the connection was gone before it could be closed")


def dead_letter_headers(
    headers: Mapping[str, Any] | None, queue: str, delivery: Basic.Deliver, failure: Failure
) -> dict[str, Any]:
    """Return the headers of a dead letter, by the convention of Spring AMQP's RepublishMessageRecoverer.

    Its four headers do not say which queue a message died in, of which class the exception was, nor after how many
    attempts; `x-original-queue`, `x-exception-fqcn` (as Spring Cloud Stream calls it) and `x-attempts` do.
    Other headers of the message stay.
    """
    return {
        **(headers or {}),
        "x-original-exchange": delivery.exchange,
        "x-original-routingKey": delivery.routing_key,
        "x-exception-message": failure.message,
        "x-exception-stacktrace": failure.stacktrace,
        "x-exception-fqcn": failure.cause_class_name or failure.class_name,
        "x-original-queue": queue,
        "x-attempts": failure.attempts,
    }
