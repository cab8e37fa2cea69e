"""Dead letters made for the purpose, each labelled with the fault that it died of.

A seeded generator writes them as seventeen frameworks and brokers do (docs/causes.md names them). The faults are
written as the libraries word them; ids, values, times, lines of code and the wrapping differ from letter to letter.
Some are meant to be hard: names of people without quotes around them, one sentence that comes up in two places, one
class for several faults, the same exception wrapped once more.
"""

import json
import random
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.conventions import read_trace
from monitor.letters import DeadMessage, Header
from monitor.model import FoundBy, Origin

Say = Callable[[random.Random], str]
Headers = list[tuple[str, str | bytes]]

_PEOPLE = ("Anna Schmidt", "Bo Li", "Carla Diaz", "Dev Patel", "Eve Nowak", "Femi Ade")


@dataclass(frozen=True)
class Labelled:
    """A letter with what it died of (`label`), and the kind that is true of it."""

    letter: DeadMessage
    framework: str
    label: str
    kind: str


@dataclass(frozen=True)
class Fault:
    """A fault of one program: what it throws, says, and where. `frames` are innermost first, `wrapped` by what."""

    label: str
    kind: str
    exception: str
    say: Say
    frames: tuple[str, ...]
    wrapped: str = ""
    rest: Say = lambda _: ""  # further lines of the message


def number(rng: random.Random) -> str:
    return str(rng.randrange(10 ** rng.randrange(1, 9)))


def order(rng: random.Random) -> str:
    return rng.choice(
        (f"ORD-{number(rng)}", f"ord_{rng.randrange(16**10):x}", str(uuid.UUID(int=rng.getrandbits(128))))
    )


def moment(rng: random.Random) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10**7))).isoformat()


def host(rng: random.Random) -> str:
    return f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}:{rng.randrange(1024, 65536)}"


def person(rng: random.Random) -> str:
    return rng.choice(_PEOPLE)


_SHOP = "com.shop.orders."
_LISTEN = ("com.shop.orders.OrderListener.onOrder", "org.springframework.messaging.handler.Invocable.invoke")
_JACKSON = ("com.fasterxml.jackson.databind.DeserializationContext.report", *_LISTEN)

JAVA = (
    Fault("java-missing-email", "schema_violation", "com.fasterxml.jackson.databind.exc.MismatchedInputException",
          lambda r: "Missing required creator property 'customerEmail' (index 4)", _JACKSON, rest=lambda r:
          f'\n at [Source: (String)"{{"id":"{order(r)}"}}"; line: 1, column: {number(r)}] '
          '(through reference chain: com.shop.Order["customerEmail"])'),
    Fault("java-missing-amount", "schema_violation", "com.fasterxml.jackson.databind.exc.MismatchedInputException",
          lambda r: "Missing required creator property 'amount' (index 2)", _JACKSON),
    Fault("java-amount-text", "schema_violation", "com.fasterxml.jackson.databind.exc.InvalidFormatException",
          lambda r: f'Cannot deserialize value of type `java.math.BigDecimal` from String "{person(r)}": not a valid '
          "representation", _JACKSON,
          rest=lambda r: f"\n at [Source: UNKNOWN; byte offset: #{number(r)}] "
          f'(through reference chain: com.shop.Order["items"]->java.util.ArrayList[{number(r)}]->com.shop.Item'
          '["price"])'),
    Fault("java-no-json", "unreadable", "com.fasterxml.jackson.core.JsonParseException",
          lambda r: f"Unexpected character ('{r.choice('abcxyz')}' (code {r.randrange(97, 122)})): was expecting "
          "double-quote to start field name", _JACKSON),
    Fault("java-magic-byte", "unreadable", "org.apache.kafka.common.errors.SerializationException",
          lambda r: "Unknown magic byte!", ("io.confluent.kafka.serializers.AvroSchemaUtils.buffer", *_LISTEN[1:])),
    Fault("java-type-id", "unknown_type", "com.fasterxml.jackson.databind.exc.InvalidTypeIdException",
          lambda r: "Could not resolve type id 'OrderCreatedV9' as a subtype of `com.shop.Event`: known type ids = "
          "[OrderCreatedV1]", _JACKSON),
    Fault("java-inventory-down", "downstream", "java.net.ConnectException",
          lambda r: f"Connection refused: inventory.shop.example/{host(r)}",
          ("java.base/sun.nio.ch.Net.pollConnect", "com.shop.inventory.InventoryClient.reserve", *_LISTEN), "wrap"),
    Fault("java-payment-timeout", "downstream", "java.net.SocketTimeoutException",
          lambda r: "Read timed out",
          ("java.base/sun.nio.ch.NioSocketImpl.timedRead", "com.shop.payments.PaymentClient.charge", *_LISTEN), "wrap"),
    Fault("java-shipping-timeout", "downstream", "java.net.SocketTimeoutException",
          lambda r: "Read timed out",
          ("java.base/sun.nio.ch.NioSocketImpl.timedRead", "com.shop.shipping.ShippingClient.book", *_LISTEN), "wrap"),
    Fault("java-breaker", "downstream", "io.github.resilience4j.circuitbreaker.CallNotPermittedException",
          lambda r: "CircuitBreaker 'payments' is OPEN and does not permit further calls",
          ("io.github.resilience4j.circuitbreaker.Machine.acquire", "com.shop.payments.Guard.charge", *_LISTEN)),
    Fault("java-duplicate", "duplicate", "org.springframework.dao.DuplicateKeyException",
          lambda r: f"PreparedStatementCallback; ERROR: duplicate key value violates unique constraint "
          f'"orders_pkey" Detail: Key (id)=({order(r)}) already exists.',
          ("org.springframework.jdbc.support.Translator.translate", "com.shop.orders.OrderStore.insert", *_LISTEN)),
    Fault("java-null", "exception", "java.lang.NullPointerException",
          lambda r: 'Cannot invoke "com.shop.Customer.getEmail()" because "customer" is null',
          ("com.shop.mail.Mailer.send", *_LISTEN), "wrap"),
    Fault("java-null-2", "exception", "java.lang.NullPointerException",
          lambda r: 'Cannot invoke "com.shop.Customer.getEmail()" because "customer" is null',
          ("com.shop.invoices.Invoices.write", *_LISTEN), "wrap"),
    Fault("java-stock", "exception", "com.shop.inventory.OutOfStock",
          lambda r: f"only {number(r)} of article {number(r)} left, order {order(r)} wants {number(r)}",
          ("com.shop.inventory.Shelf.take", "com.shop.orders.OrderListener.lambda$onOrder$%d", *_LISTEN[1:])),
    Fault("java-no-customer", "exception", "com.shop.orders.CustomerNotFound",
          lambda r: f"no customer {person(r)} since {moment(r)}", ("com.shop.orders.Customers.find", *_LISTEN)),
    Fault("java-too-large", "overflow", "org.apache.kafka.common.errors.RecordTooLargeException",
          lambda r: f"The message is {1_000_000 + int(number(r))} bytes when serialized which is larger than 1048576",
          ("org.apache.kafka.clients.producer.KafkaProducer.ensure", "com.shop.orders.Outbox.publish", *_LISTEN)),
)  # fmt: skip

_HANDLE = ("Shop.Orders.OrderConsumer.Consume", "MassTransit.Middleware.ConsumeFilter.Send")

DOTNET = (
    Fault("net-path", "schema_violation", "System.Text.Json.JsonException",
          lambda r: f"The JSON value could not be converted to System.Int32. Path: $.quantity | LineNumber: 0 | "
          f"BytePositionInLine: {number(r)}.", ("System.Text.Json.ThrowHelper.Throw", *_HANDLE)),
    Fault("net-required", "schema_violation", "Newtonsoft.Json.JsonSerializationException",
          lambda r: f"Required property 'currency' not found in JSON. Path '', line {number(r)}, position {number(r)}.",
          ("Newtonsoft.Json.Serialization.Reader.End", *_HANDLE)),
    Fault("net-no-json", "unreadable", "System.Text.Json.JsonException",
          lambda r: f"'<' is an invalid start of a value. Path: $ | LineNumber: 0 | BytePositionInLine: {number(r)}.",
          ("System.Text.Json.ThrowHelper.Throw", *_HANDLE)),
    Fault("net-timeout", "downstream", "System.Threading.Tasks.TaskCanceledException",
          lambda r: "The request was canceled due to the configured HttpClient.Timeout of "
          f"{number(r)} seconds elapsing.",
          ("System.Net.Http.HttpClient.Send", "Shop.Payments.Gateway.<Charge>d__%d.MoveNext()", *_HANDLE), "wrap"),
    Fault("net-503", "downstream", "System.Net.Http.HttpRequestException",
          lambda r: "Response status code does not indicate success: 503 (Service Unavailable).",
          ("System.Net.Http.HttpResponseMessage.EnsureSuccess", "Shop.Stock.StockClient.Reserve", *_HANDLE), "wrap"),
    Fault("net-404", "exception", "System.Net.Http.HttpRequestException",
          lambda r: "Response status code does not indicate success: 404 (Not Found).",
          ("System.Net.Http.HttpResponseMessage.EnsureSuccess", "Shop.Stock.StockClient.Reserve", *_HANDLE), "wrap"),
    Fault("net-breaker", "downstream", "Polly.CircuitBreaker.BrokenCircuitException",
          lambda r: "The circuit is now open and is not allowing calls.",
          ("Polly.CircuitBreaker.Engine.Execute", "Shop.Payments.Gateway.Charge", *_HANDLE)),
    Fault("net-null", "exception", "System.NullReferenceException",
          lambda r: "Object reference not set to an instance of an object.",
          ("Shop.Mail.Mailer.Send", *_HANDLE), "wrap"),
    Fault("net-null-2", "exception", "System.NullReferenceException",
          lambda r: "Object reference not set to an instance of an object.", ("Shop.Invoices.Writer.Write", *_HANDLE)),
    Fault("net-rejected", "exception", "Shop.Payments.PaymentRejected",
          lambda r: f"card of {person(r)} was declined with code {number(r)} for order '{order(r)}'",
          ("Shop.Payments.Terminal.Charge", *_HANDLE)),
    Fault("net-duplicate", "duplicate", "Npgsql.PostgresException",
          lambda r: f'23505: duplicate key value violates unique constraint "ix_orders_{"number"}"',
          ("Npgsql.Internal.Connector.Read", "Shop.Orders.Store.Insert", *_HANDLE)),
)  # fmt: skip

GO = (
    Fault("go-type", "schema_violation", "",
          lambda r: "json: cannot unmarshal string into Go struct field Order.amount of type int64", ()),
    Fault("go-field", "schema_violation", "", lambda r: 'decode order: json: unknown field "couponCode"', ()),
    Fault("go-end", "unreadable", "", lambda r: "decode order: unexpected end of JSON input", ()),
    Fault("go-refused", "downstream", "",
          lambda r: f'Post "http://{host(r)}/v1/charge": dial tcp {host(r)}: connect: connection refused', ()),
    Fault("go-deadline", "downstream", "", lambda r: f"reserve {order(r)}: context deadline exceeded", ()),
    Fault("go-type-unknown", "unknown_type", "", lambda r: "unknown event type order.archived", ()),
    Fault("go-seen", "duplicate", "", lambda r: f"event {order(r)} already processed at {moment(r)}", ()),
    Fault("go-stock", "exception", "", lambda r: f"article {number(r)} out of stock in warehouse {number(r)}", ()),
)  # fmt: skip


# -- how stacks are printed --------------------------------------------------------------------------------------------


def java_stack(fault: Fault, message: str, rng: random.Random) -> str:
    own = "".join(
        f"\n\tat {_numbered(it, rng)}({it.split('.')[-2]}.java:{rng.randrange(1, 900)})" for it in fault.frames
    )
    root = f"{fault.exception}: {message}{own}"
    if not fault.wrapped or rng.random() < 0.2:  # as where the container is another one
        return root + "\n"
    outer = (
        "org.springframework.kafka.listener.ListenerExecutionFailedException: Listener method 'public void "
        f"com.shop.orders.OrderListener.onOrder(com.shop.Order)' threw exception; offset {number(rng)}"
        f"\n\tat org.springframework.kafka.listener.Container.decorate(Container.java:{rng.randrange(1, 3000)})"
    )
    return f"{outer}\nCaused by: {root}\n\t... {rng.randrange(5, 40)} more\n"


def dotnet_stack(fault: Fault, message: str, rng: random.Random, *, head: bool) -> str:
    own = "".join(
        f"\n   at {_call(_numbered(it, rng))} in /src/Shop/A.cs:line {rng.randrange(1, 900)}" for it in fault.frames
    )
    if not head:
        return own.lstrip("\n")
    if not fault.wrapped or rng.random() < 0.2:
        return f"{fault.exception}: {message}{own}"
    return (
        f"System.AggregateException: One or more errors occurred. ({message})\n ---> {fault.exception}: {message}{own}"
        f"\n   --- End of inner exception stack trace ---\n   at Rebus.Pipeline.Step.Process(Context c)"
    )


def _numbered(frame: str, rng: random.Random) -> str:
    return frame % rng.randrange(1, 30) if "%d" in frame else frame


def _call(frame: str) -> str:
    return frame if frame.endswith(")") else f"{frame}(Order order)"


# -- how frameworks write ----------------------------------------------------------------------------------------------


def spring_kafka(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng) + fault.rest(rng)
    stack = java_stack(fault, message, rng)
    told = message if not stack.startswith("org.springframework.kafka") else f"Listener failed; {message}"
    return [
        ("kafka_dlt-original-topic", "orders"), ("kafka_dlt-original-partition", struct.pack(">i", rng.randrange(12))),
        ("kafka_dlt-original-offset", struct.pack(">q", rng.randrange(10**6))),
        ("kafka_dlt-original-consumer-group", "billing"),
        ("kafka_dlt-exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_dlt-exception-cause-fqcn", fault.exception), ("kafka_dlt-exception-message", told),
        ("kafka_dlt-exception-stacktrace", stack),
    ]  # fmt: skip


def cloud_stream(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng) + fault.rest(rng)
    return [("x-original-topic", "orders"), ("x-exception-fqcn", fault.exception), ("x-exception-message", message),
            ("x-exception-stacktrace", java_stack(fault, message, rng))]  # fmt: skip


def connect(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng) + fault.rest(rng)
    prefix = "__connect.errors."
    return [(prefix + "topic", "orders"), (prefix + "connector.name", "sink"), (prefix + "task.id", number(rng)),
            (prefix + "exception.class.name", fault.exception), (prefix + "exception.message", message),
            (prefix + "exception.stacktrace", java_stack(fault, message, rng))]  # fmt: skip


def streams(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng) + fault.rest(rng)
    return [("__streams.errors.topic", "orders"), ("__streams.errors.exception", fault.exception),
            ("__streams.errors.message", message),
            ("__streams.errors.stacktrace", java_stack(fault, message, rng))]  # fmt: skip


def share_group(fault: Fault, rng: random.Random) -> Headers:
    return [("__dlq.errors.topic", "orders"), ("__dlq.errors.group", "billing"),
            ("__dlq.errors.delivery.count", number(rng)),
            ("__dlq.errors.message", f"{fault.exception}: {fault.say(rng)}")]  # fmt: skip


def smallrye(fault: Fault, rng: random.Random) -> Headers:
    cause = [("dead-letter-cause-class-name", fault.exception), ("dead-letter-cause", fault.say(rng) + fault.rest(rng))]
    return [
        ("dead-letter-topic", "orders"),
        ("dead-letter-exception-class-name", "java.util.concurrent.CompletionException"),
        ("dead-letter-reason", f"failed at {moment(rng)}"),
        *cause,
    ]


def spring_amqp(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng) + fault.rest(rng)
    return [("x-original-exchange", "orders"), ("x-original-routingKey", "eu"), ("x-exception-message", message),
            ("x-exception-stacktrace", java_stack(fault, message, rng))]  # fmt: skip


def wolverine(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng)
    return [("original-destination", "rabbitmq://queue/orders"), ("exception-type", fault.exception),
            ("exception-message", message), ("exception-stack", dotnet_stack(fault, message, rng, head=False)),
            ("attempts", number(rng))]  # fmt: skip


def masstransit(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng)
    return [("MT-Reason", "fault"), ("MT-Fault-InputAddress", "rabbitmq://host/orders"),
            ("MT-Fault-ExceptionType", fault.exception), ("MT-Fault-Message", message),
            ("MT-Fault-StackTrace", dotnet_stack(fault, message, rng, head=False))]  # fmt: skip


def nservicebus(fault: Fault, rng: random.Random) -> Headers:
    message, prefix = fault.say(rng), "NServiceBus.ExceptionInfo."
    return [
        ("NServiceBus.FailedQ", "orders@machine"),
        (prefix + "ExceptionType", fault.exception),
        (prefix + "Message", message),
        (prefix + "StackTrace", dotnet_stack(fault, message, rng, head=True)),
    ]


def rebus(fault: Fault, rng: random.Random) -> Headers:
    message = fault.say(rng)
    return [("rbs2-source-queue", "orders"), ("rbs2-error-details", dotnet_stack(fault, message, rng, head=True))]


def watermill(fault: Fault, rng: random.Random) -> Headers:
    return [("topic_poisoned", "orders"), ("handler_poisoned", "billing"), ("reason_poisoned", fault.say(rng))]


FRAMEWORKS: tuple[tuple[str, tuple[Fault, ...], Callable[[Fault, random.Random], Headers]], ...] = (
    ("Spring Kafka", JAVA, spring_kafka),
    ("Spring Cloud Stream", JAVA, cloud_stream),
    ("Kafka Connect", JAVA, connect),
    ("Kafka Streams", JAVA, streams),
    ("share group", JAVA, share_group),
    ("SmallRye", JAVA, smallrye),
    ("Spring AMQP", JAVA, spring_amqp),
    ("Wolverine", DOTNET, wolverine),
    ("MassTransit", DOTNET, masstransit),
    ("NServiceBus", DOTNET, nservicebus),
    ("Rebus", DOTNET, rebus),
    ("Watermill", GO, watermill),
)

BROKERS: tuple[tuple[str, str, str, Callable[[random.Random], tuple[Headers, bytes, dict[str, str], str]]], ...] = (
    ("RabbitMQ", "amqp-expired", "expired", lambda r: (_x_death("expired", r), _order(r), {}, "expired")),
    ("RabbitMQ", "amqp-full", "overflow", lambda r: (_x_death("maxlen", r), _order(r), {}, "maxlen")),
    ("RabbitMQ", "amqp-limit", "too_many_attempts",
     lambda r: (_x_death("delivery_limit", r), _order(r), {}, "delivery_limit")),
    ("RabbitMQ", "amqp-rejected", "exception", lambda r: (_x_death("rejected", r), _order(r), {}, "rejected")),
    ("RabbitMQ", "amqp-cut", "unreadable",
     lambda r: (_x_death("rejected", r), _order(r)[: -r.randrange(1, 20)], {}, "rejected")),
    ("SQS", "sqs-attempts", "too_many_attempts", lambda r: ([], _order(r), _received(r), "")),
    ("SQS", "sqs-cut", "unreadable", lambda r: ([], _order(r)[: -r.randrange(1, 20)], _received(r), "")),
    ("EventBridge", "eb-permission", "unroutable", lambda r: (
        [("RULE_ARN", "arn:r"), ("TARGET_ARN", "arn:t"), ("ERROR_CODE", "NO_PERMISSIONS"),
         ("ERROR_MESSAGE", f"User {order(r)} is not authorized to perform: sqs:SendMessage")], _order(r), {}, "")),
    ("EventBridge", "eb-throttled", "downstream", lambda r: (
        [("RULE_ARN", "arn:r"), ("TARGET_ARN", "arn:t"), ("ERROR_CODE", "THROTTLING"),
         ("ERROR_MESSAGE", f"Rate exceeded (Request ID: {uuid.UUID(int=r.getrandbits(128))})")], _order(r), {}, "")),
    ("Lambda", "lambda-timeout", "downstream", lambda r: (
        [("RequestID", order(r)), ("ErrorCode", "200"),
         ("ErrorMessage", f"{moment(r)} {order(r)} Task timed out after {number(r)}.0 seconds")],
        _order(r), {}, "")),
    ("Lambda", "lambda-key", "schema_violation", lambda r: (
        [("RequestID", order(r)), ("ErrorCode", "200"), ("ErrorMessage", "'customerEmail' is a required property")],
        _order(r), {}, "")),
    ("Karafka", "karafka", "unknown", lambda r: (
        [("source_topic", "orders"), ("source_partition", "3")], _order(r), {}, "")),
)  # fmt: skip


def _order(rng: random.Random) -> bytes:
    return json.dumps({"id": order(rng), "customer": person(rng), "amount": rng.randrange(10**4)}).encode()


def _x_death(reason: str, rng: random.Random) -> Headers:
    deaths = [{"count": rng.randrange(1, 9), "reason": reason, "queue": "orders", "time": rng.randrange(10**9)}]
    return [("x-death", json.dumps(deaths)), ("x-first-death-reason", reason), ("x-first-death-queue", "orders")]


def _received(rng: random.Random) -> dict[str, str]:
    return {"ApproximateReceiveCount": str(rng.randrange(3, 9)), "DeadLetterQueueSourceArn": "arn:aws:sqs:r:1:orders"}


def make_letters(seed: int, each: int = 4) -> list[Labelled]:
    """Return `each` letters of every fault in every convention, shuffled."""
    rng = random.Random(seed)
    made = [*_make_framework_letters(rng, each), *_make_broker_letters(rng, each)]
    rng.shuffle(made)
    return made


def _make_framework_letters(rng: random.Random, each: int) -> Iterator[Labelled]:
    for framework, faults, write in FRAMEWORKS:
        for fault in faults:
            for _ in range(each):
                yield Labelled(letter_of(write(fault, rng), _order(rng), place=rng.randrange(10**9)), framework,
                               fault.label, fault.kind)  # fmt: skip


def _make_broker_letters(rng: random.Random, each: int) -> Iterator[Labelled]:
    for framework, label, kind, write in BROKERS:
        for _ in range(each):
            headers, body, properties, reason = write(rng)
            letter = letter_of(headers, body, properties, reason, place=rng.randrange(10**9))
            yield Labelled(letter, framework, label, kind)


def letter_of(
    headers: Headers,
    body: bytes | None = b"{}",
    properties: dict[str, str] | None = None,
    reason: str = "",
    place: int = 1,
    at: float = 1_760_000_000.0,
) -> DeadMessage:
    """Return a letter as the buses read one: what headers say is taken from them by their convention."""
    kept = tuple(Header(name, it.encode() if isinstance(it, str) else it) for name, it in headers)
    trace = read_trace((header.name, header.value) for header in kept)
    return DeadMessage(
        position=f"0:{place}",
        coordinates={"partition": 0, "offset": place},
        key=None,
        value=body,
        headers=kept,
        properties=properties or {},
        enqueued_at=at,
        origin=Origin(trace.origin or "orders", FoundBy.HEADERS),
        origin_detail=dict(trace.detail),
        exception=trace.exception or reason,
        exception_message=trace.message,
        attempts=trace.attempts,
    )
