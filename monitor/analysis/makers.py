"""Who made a message and who took it, where its headers tell: producers, versions, types and consumers. Pure."""

from collections.abc import Mapping

from monitor.letters import DeadMessage

# Of several names for one thing the first that is there counts; CloudEvents first, which says it in one way everywhere.
_PRODUCERS = (
    "ce_source", "ce-source", "cloudevents:source", "cloudevents_source", "x-producer", "producer", "x-source-service",
    "x-service-name", "service.name", "x-app-id", "app-id", "app_id", "nservicebus.originatingendpoint",
    "mt-source-address", "rbs2-sender-address", "x-source", "source",
)  # fmt: skip
_VERSIONS = (
    "x-producer-version", "producer-version", "producer_version", "service.version", "x-app-version", "app-version",
    "app_version", "x-version",
)  # fmt: skip
_SCHEMAS = (
    "ce_dataschema", "ce-dataschema", "cloudevents:dataschema", "schema-version", "schema_version", "x-schema-version",
    "event-version", "event_version", "x-event-version",
)  # fmt: skip
_TYPES = (
    "ce_type", "ce-type", "cloudevents:type", "x-event-type", "event-type", "event_type", "__typeid__",
    "nservicebus.enclosedmessagetypes", "rbs2-msg-type", "message-type", "type",
)  # fmt: skip
_CONSUMERS = (
    "kafka_dlt-original-consumer-group", "kafka_original-consumer-group", "__dlq.errors.group",
    "__connect.errors.connector.name", "nservicebus.processingendpoint", "mt-fault-consumertype", "handler_poisoned",
    "consumer_group",
)  # fmt: skip
_LONGEST = 200


def find_makers(message: DeadMessage, headers: Mapping[str, str]) -> dict[str, str]:
    """Return what is told: `producer`, `version`, `schema`, `type`, `consumer`; what is not told is left out.

    `headers` are the texts by their names in lower case.
    """
    known = {**{name.lower(): str(value) for name, value in message.properties.items() if value}, **headers}
    sought = (
        ("producer", _PRODUCERS),
        ("version", _VERSIONS),
        ("schema", _SCHEMAS),
        ("type", _TYPES),
        ("consumer", _CONSUMERS),
    )
    found = {key: next((known[name] for name in names if known.get(name)), "") for key, names in sought}
    return {key: _short(value) for key, value in found.items() if value}


def _short(value: str) -> str:
    """Cut what assemblies add to the name of a type, and what is too long."""
    return value.partition(", ")[0][:_LONGEST]
