"""What queues, exchanges and bindings are, apart from how full they are. Read from the management API."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.brokers.rabbitmq.readings import QueueKey

Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue. `definition` is what its policy and operator policy together define, None where that cannot be seen."""

    key: QueueKey
    type: str = "classic"
    node: str = ""
    durable: bool = True
    temporary: bool = False  # exclusive or auto-delete: gone with whoever uses it
    arguments: Definition = field(default_factory=dict)
    policy: str = ""
    operator_policy: str = ""
    definition: Definition | None = field(default_factory=dict)

    def chosen(self, name: str) -> Any:
        """Return a setting for which the argument `x-<name>` goes before the policy, as with dead-letter exchanges."""
        found = self.arguments.get(f"x-{name}")
        return (self.definition or {}).get(name) if found is None else found

    def least(self, name: str) -> float | None:
        """Return a setting for which the smaller of argument and policy holds, as with limits and times to live."""
        values = [self.arguments.get(f"x-{name}"), (self.definition or {}).get(name)]
        return min((float(value) for value in values if isinstance(value, int | float)), default=None)


@dataclass(frozen=True, slots=True)
class ExchangeFacts:
    """An exchange. `alternate` is where messages go that it cannot route."""

    vhost: str
    name: str
    type: str
    alternate: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue, or to another exchange."""

    vhost: str
    source: str
    destination: str
    to_queue: bool
    routing_key: str


@dataclass(frozen=True, slots=True)
class Routes:
    """All exchanges and bindings that can be seen."""

    exchanges: tuple[ExchangeFacts, ...] = ()
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node of the cluster. `alarms` by name, 0 or 1; empty when the node does not run."""

    name: str
    running: bool
    alarms: Mapping[str, float]


def queue_facts(row: Definition) -> QueueFacts:
    """Read one queue of the management API's list."""
    definition = row.get("effective_policy_definition")
    return QueueFacts(
        (row["vhost"], row["name"]),
        row.get("type", "classic"),
        row.get("node") or "",
        bool(row.get("durable", True)),
        bool(row.get("exclusive") or row.get("auto_delete")),
        table(row.get("arguments")),
        row.get("policy") or "",
        row.get("operator_policy") or "",
        # `[]` is how older versions write an empty definition
        table(definition) if "effective_policy_definition" in row else None,
    )


def table(value: Any) -> Definition:
    """Return a table of the management API, which writes an empty one as a list."""
    return value if isinstance(value, dict) else {}


def binding_facts(row: Definition) -> Binding:
    """Read one binding of the management API's list."""
    return Binding(
        row["vhost"], row["source"], row["destination"], row["destination_type"] == "queue", row["routing_key"]
    )


def exchange_facts(row: Definition, policies: Mapping[tuple[str, str], Definition]) -> ExchangeFacts:
    """Read one exchange of the management API's list. `policies` are definitions by virtual host and name."""
    defined = policies.get((row["vhost"], row.get("policy") or ""), {})
    arguments = table(row.get("arguments"))
    alternate = arguments.get("alternate-exchange", defined.get("alternate-exchange"))
    kind = arguments.get("x-delayed-type", row["type"])  # a delaying exchange then routes as this type does
    return ExchangeFacts(row["vhost"], row["name"], kind, alternate if isinstance(alternate, str) else None)


def node_facts(row: Definition) -> NodeFacts:
    """Read one node of the management API's list."""
    alarms = {"memory": row.get("mem_alarm"), "disk": row.get("disk_free_alarm")}
    known = {name: float(value) for name, value in alarms.items() if isinstance(value, bool)}
    return NodeFacts(row["name"], bool(row.get("running", True)), known)


def by_key(queues: Iterable[QueueFacts]) -> dict[QueueKey, QueueFacts]:
    """Index queues by key."""
    return {queue.key: queue for queue in queues}


def policy_definitions(rows: Sequence[Definition]) -> dict[tuple[str, str], Definition]:
    """Index the definitions of policies by virtual host and name."""
    return {(row["vhost"], row["name"]): table(row.get("definition")) for row in rows}
