"""What a plan has to say of a dead-letter queue, out of what was found. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.brokers.rabbitmq.dead_letters import DeadLetters, message_ttl
from monitor.brokers.rabbitmq.facts import QueueFacts
from monitor.brokers.rabbitmq.held import EACH_ORIGIN, Target
from monitor.brokers.rabbitmq.messages import dropped_headers
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.routing import Router, RoutingKey
from monitor.brokers.rabbitmq.standing import QUORUM, STREAM, Standing, possible_keys
from monitor.letters import ARCHIVED, Action, DeadMessage, Guarantee, PlanRequest, Survey
from monitor.model import FoundBy

_EXCHANGE = "exchange:"
_SURE = (FoundBy.HEADERS, FoundBy.TOPOLOGY, FoundBy.CONFIGURATION)
_RESERVED_QUEUES = "amq."  # by AMQP 0.9.1: names that the broker gives, for queues that end with their connection
_RESERVED_EXCHANGES = "amq.rabbitmq."  # the broker's own traces, logs and events; amq.topic and the like are anybody's
_DEFAULT_EXCHANGE = "amq.default"  # what permissions call the exchange without a name


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a survey has read. `permissions` are those of the user who redrives, None where hidden."""

    standing: Standing
    ready: int
    queues: Mapping[QueueKey, QueueFacts]
    router: Router
    dead_letters: DeadLetters | None
    samples: Sequence[DeadMessage] = ()
    looked: bool = False
    user: str = ""
    permissions: Mapping[str, str] | None = None
    blocked_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Where messages would go, by which evidence, and what stands against it."""

    target: Target | None
    evidence: tuple[Mapping[str, Any], ...] = ()
    blockers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)


def build_survey(found: Findings, request: PlanRequest, cluster: str) -> Survey:
    """Say what would happen."""
    if request.action == Action.ARCHIVE:
        choice = Choice(Target(found.standing.key[0], label=ARCHIVED), _evidence(found))
    else:
        choice = choose_target(found, request, cluster)
    standing, target = found.standing, choice.target
    blockers = [*_blockers(found), *choice.blockers]
    receivers: tuple[str, ...] = ()
    if target is not None and target.label != ARCHIVED:
        blockers += _target_blockers(found, target)
        receivers = _also_receives(found, target)
    bounds = {
        "count": found.ready,
        "vhost": standing.key[0],
        "queue": standing.key[1],
        "target": target.as_bounds() if target else None,
    }
    return Survey(
        found.ready,
        True,  # of what was ready just now; others may consume from the queue, which is said among the warnings
        bounds,
        target.label if target else None,
        Guarantee.AT_LEAST_ONCE,
        standing.window,
        choice.evidence,
        receivers,
        _ordering(standing),
        (*choice.warnings, *_warnings(found)),
        tuple(blockers),
        tuple(found.samples),
    )


def choose_target(found: Findings, request: PlanRequest, cluster: str) -> Choice:
    """Return the target asked for, else where the messages came from."""
    evidence = _evidence(found)
    vhost = found.standing.key[0]
    if request.target is not None:
        return _asked_target(found, request.target, cluster, evidence)
    sure = list(dict.fromkeys(item["origin"] for item in evidence if item["found_by"] in _SURE))
    if len(sure) == 1:
        return Choice(_queue_target(vhost, sure[0]), evidence)
    if sure and (not found.looked or all(message.origin is not None for message in found.samples)):
        warning = f"The messages go back each to its own origin, among them {', '.join(sure[:5])}."
        unsure = "" if found.looked else " Of which that is, each message's headers are read when its turn comes."
        return Choice(Target(vhost, label=EACH_ORIGIN), evidence, warnings=(warning + unsure,))
    if sure:
        names = ", ".join(sure)
        return Choice(None, evidence, (f"Several queues may be the origin ({names}) and not every message says which",))
    if evidence:
        name = evidence[0]["origin"]
        return Choice(None, evidence, (f"Only the name says that {name} is the origin: name the target yourself",))
    return Choice(None, evidence, ("Nothing says where these messages came from: name the target",))


def _evidence(found: Findings) -> tuple[Mapping[str, Any], ...]:
    named = Counter(message.origin.name for message in found.samples if message.origin is not None)
    evidence: list[Mapping[str, Any]] = [
        {"origin": name, "found_by": FoundBy.HEADERS, "messages": count, "of": len(found.samples)}
        for name, count in named.most_common()
    ]
    others = found.dead_letters.origins if found.dead_letters is not None else ()
    return (*evidence, *({"origin": it.name, "found_by": it.found_by} for it in others))


def _asked_target(found: Findings, name: str, cluster: str, evidence: tuple[Mapping[str, Any], ...]) -> Choice:
    vhost = found.standing.key[0]
    if name == EACH_ORIGIN:
        return Choice(Target(vhost, label=EACH_ORIGIN), evidence)
    if name.startswith(_EXCHANGE):
        exchange, _, routing_key = name.removeprefix(_EXCHANGE).partition(":")
        return Choice(Target(vhost, exchange, routing_key or None, name), evidence)
    for key in ((vhost, name), *possible_keys(cluster, name)):
        if key in found.queues:
            if key[1].startswith(_RESERVED_QUEUES):
                return Choice(None, evidence, (f"The name of {name} is the broker's own: it ends with who reads it",))
            return Choice(Target(key[0], "", key[1], label_of(key)), evidence)
    return Choice(None, evidence, (f"The target {name} does not exist",))


def _queue_target(vhost: str, label: str) -> Target:
    return Target(vhost, "", label.removeprefix(label_of((vhost, ""))), label)


def _blockers(found: Findings) -> list[str]:
    standing, blockers = found.standing, []
    if standing.facts.type == STREAM:
        blockers.append("A stream cannot be drained: its messages stay where they are, whoever reads them")
    if not standing.limits_known:
        blockers.append("Policies are hidden from this user: an interruption might remove messages")
    if standing.delivery_limit == 0:
        blockers.append("This queue removes each message that comes back (delivery-limit 0)")
    if found.permissions is not None and not _allows(found.permissions.get("read", ""), standing.key[1]):
        blockers.append(f"The user {found.user} may not read from {standing.label}")
    return blockers


def _target_blockers(found: Findings, target: Target) -> list[str]:
    blockers = []
    if found.permissions is not None and not _allows(
        found.permissions.get("write", ""), target.exchange or _DEFAULT_EXCHANGE
    ):
        blockers.append(f"The user {found.user} may not write to the exchange {target.exchange or _DEFAULT_EXCHANGE}")
    if target.each_origin:
        return blockers
    if target.exchange:
        return blockers + _exchange_blockers(found, target)
    key = (target.vhost, target.routing_key or "")
    if key == found.standing.key:
        blockers.append("The target is the source")
    elif key not in found.queues:
        blockers.append(f"The target {target.label} does not exist")
    return blockers


def _exchange_blockers(found: Findings, target: Target) -> list[str]:
    if target.exchange.startswith(_RESERVED_EXCHANGES):
        return [f"The exchange {target.exchange} is the broker's own"]
    if not found.router.exists(target.vhost, target.exchange):
        return [f"The exchange {target.exchange} does not exist"]
    reached = _reached(found, target)
    if not reached:
        return [f"No queue is bound to the exchange {target.exchange} for these messages"]
    return ["The target leads back to the source"] if found.standing.key in reached else []


def _reached(found: Findings, target: Target) -> frozenset[QueueKey]:
    keys = None if target.routing_key is None else frozenset({RoutingKey(target.routing_key)})
    return found.router.queues_behind(target.vhost, target.exchange, keys)


def _also_receives(found: Findings, target: Target) -> tuple[str, ...]:
    if not target.exchange:
        return ()  # the default exchange reaches the one queue of that name
    return tuple(sorted(map(label_of, _reached(found, target))))


def _allows(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # the broker's patterns are PCRE; what Python cannot read is not held against anybody
        return True


def _ordering(standing: Standing) -> str:
    back = "What is not sent goes back to its place."
    if standing.facts.type == QUORUM:
        back = "What is not sent goes back to the front of the queue, in its order."
    return f"Messages are sent in the order of the queue, and arrive after newer ones of the target. {back}"


def _warnings(found: Findings) -> list[str]:
    standing = found.standing
    warnings = []
    limit, ttl = standing.delivery_limit, message_ttl(standing.facts)
    if standing.facts.type == QUORUM:
        warnings.append(_quorum_warning(limit))
    else:
        warnings.append("Messages that are taken and not sent are marked as redelivered.")
        warnings.append(
            "Should a node crash, this queue can forget what was acknowledged last (a quorum queue does not): such "
            "messages are sent again, and may be more than are said for other interruptions."
        )
    if standing.consumers:
        warnings.append(f"{standing.consumers} consumers take messages from this queue as well: there may be fewer.")
    if ttl is not None:
        warnings.append(f"Messages of this queue expire {ttl:g} s after they came: there may be fewer.")
    if found.blocked_by:
        warnings.append(f"The broker blocks publishers now ({', '.join(found.blocked_by)}): the job would wait.")
    return warnings + _sample_warnings(found)


def _quorum_warning(limit: int | None) -> str:
    if limit is None:
        return "Messages that are taken and not sent have a higher delivery count afterwards; no limit acts on it."
    return (
        f"Each interruption raises the delivery count of messages that were taken and not sent; beyond {limit}, this "
        "queue's delivery limit, the broker would remove them. They are not looked at for this plan."
    )


def _sample_warnings(found: Findings) -> list[str]:
    names = {header.name for message in found.samples for header in message.headers}
    dropped = dropped_headers(names)
    warnings = []
    if not found.looked and found.ready:
        warnings.append("The messages were not looked at, so that this plan has no samples and origins by topology.")
    if dropped:
        warnings.append(f"The headers {', '.join(dropped)} are left out: the broker, not the sender, is to set them.")
    users = {str(message.properties.get("user_id")) for message in found.samples} - {"None", found.user}
    if users:
        warnings.append("The property user_id is left out, since the broker accepts none but the sender's own.")
    if any(message.properties.get("expiration") for message in found.samples):
        warnings.append("Some messages have an expiration of their own: it begins anew in the target.")
    return warnings
