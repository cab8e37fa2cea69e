"""A first catalog from what is seen: servers, channels, who receives. The rest is left to people. Pure."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from monitor.catalog.sights import Sight, look_at
from monitor.model import ClusterView, Subscription

_PROTOCOLS = {"kafka": "kafka", "rabbitmq": "amqp", "sqs": "sqs", "sns": "sns"}
_HEAD = """\
# A first catalog, drafted from what is seen on the buses. It says which destinations there are and who receives from
# them; what events they carry, how these are written and who sends them nobody can see: write that down under
# components/messages, refer to it from the channels, and add operations with `action: send`.
# `eventflow catalog check FILE` tells mistakes with their places, docs/catalog.md what the x- extensions mean.
"""


def draft_as_yaml(views: Iterable[ClusterView]) -> str:
    """Return a draft as people go on with it."""
    return _HEAD + yaml.safe_dump(draft(views), sort_keys=False, allow_unicode=True)


def draft(views: Iterable[ClusterView]) -> dict[str, Any]:
    """Return an AsyncAPI 3 document."""
    servers: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for sight in (it for view in views if (it := look_at(view)) is not None):
        for destination in sight.readers:
            if not sight.is_aside(destination):
                _draft_destination(sight, destination, servers, channels, operations)
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Event flow", "version": "0.1.0"},
        "servers": servers,
        "channels": channels,
        "operations": operations,
    }
    return {key: it for key, it in document.items() if it}


def _draft_destination(
    sight: Sight, destination: str, servers: dict[str, Any], channels: dict[str, Any], operations: dict[str, Any]
) -> None:
    readers = sight.readers[destination]
    system = readers[0].system.value if readers else ("sns" if sight.kind == "aws" else sight.kind)
    server = _draft_server(sight, system, servers)
    key = _free_key(f"{sight.cluster}-{destination}", channels)
    channel: dict[str, Any] = {"address": destination, "servers": [{"$ref": f"#/servers/{server}"}]}
    if system == "rabbitmq":
        queue = {"name": readers[0].scope.get("queue", destination), "vhost": readers[0].scope.get("vhost", "/")}
        channel["bindings"] = {"amqp": {"is": "queue", "queue": queue}}
    channels[key] = channel
    for reader in readers:
        name = _free_key(f"{reader.subscriber}-receives-{destination}", operations)
        operations[name] = _draft_operation(reader, key)


def _draft_server(sight: Sight, system: str, servers: dict[str, Any]) -> str:
    """Name the server as the cluster where it is one; an account of AWS is two, by their protocols."""
    key = _plain(f"{sight.cluster}-{system}" if sight.kind == "aws" else sight.cluster)
    if key not in servers:
        servers[key] = {"host": "host.invalid", "protocol": _PROTOCOLS[system]}
        if key != sight.cluster:
            servers[key]["x-cluster"] = sight.cluster
    return key


def _draft_operation(reader: Subscription, channel: str) -> dict[str, Any]:
    service = re.sub(r"[-_.](group|queue|consumer|service)$", "", reader.subscriber, flags=re.IGNORECASE)
    operation: dict[str, Any] = {
        "action": "receive",
        "x-service": service,
        "channel": {"$ref": f"#/channels/{channel}"},
    }
    if reader.subscriber != reader.destination:
        operation["bindings"] = {"kafka": {"groupId": {"type": "string", "enum": [reader.subscriber]}}}
    return operation


def _free_key(wanted: str, taken: dict[str, Any]) -> str:
    plain = _plain(wanted)
    return plain if plain not in taken else f"{plain}-{len(taken)}"


def _plain(text: str) -> str:
    """Return a key that AsyncAPI takes: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-") or "unnamed"
