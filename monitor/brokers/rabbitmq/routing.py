"""Where a message goes that is published to an exchange, by the bindings that there are. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from monitor.brokers.rabbitmq.facts import Binding, ExchangeFacts, Routes
from monitor.brokers.rabbitmq.readings import QueueKey


@dataclass(frozen=True, slots=True)
class RoutingKey:
    """A routing key, or with `pattern` all that a topic binding's key stands for."""

    text: str
    pattern: bool = False


Keys = frozenset[RoutingKey] | None
"""Routing keys that messages may have; None when they may have any."""


class Router:
    """Finds the queues behind an exchange, through other exchanges and alternate exchanges as well."""

    def __init__(self, queues: Collection[QueueKey], routes: Routes) -> None:
        self._queues = frozenset(queues)
        self._exchanges = {(exchange.vhost, exchange.name): exchange for exchange in routes.exchanges}
        self._bindings: dict[tuple[str, str], list[Binding]] = defaultdict(list)
        self._literal: dict[tuple[str, str, str], list[Binding]] = defaultdict(list)
        for binding in routes.bindings:
            self._bindings[binding.vhost, binding.source].append(binding)
            self._literal[binding.vhost, binding.source, binding.routing_key].append(binding)
        self._found: dict[tuple[str, str, Keys], frozenset[QueueKey]] = {}

    def exists(self, vhost: str, exchange: str) -> bool:
        """Say whether there is such an exchange; the default one, without a name, always is."""
        return not exchange or (vhost, exchange) in self._exchanges

    def queues_behind(self, vhost: str, exchange: str, keys: Keys) -> frozenset[QueueKey]:
        """Return the queues that messages with these keys can reach. Empty when the exchange does not exist."""
        asked = (vhost, exchange, keys)
        if asked not in self._found:
            self._found[asked] = frozenset(self._follow(vhost, exchange, keys, set()))
        return self._found[asked]

    def _follow(self, vhost: str, exchange: str, keys: Keys, visited: set[str]) -> set[QueueKey]:
        if exchange in visited:
            return set()
        visited.add(exchange)
        if not exchange:
            return {(vhost, key.text) for key in keys or () if not key.pattern} & self._queues
        facts = self._exchanges.get((vhost, exchange))
        if facts is None:
            return set()
        bindings = self._matching(facts, keys)
        reached: set[QueueKey] = set()
        for binding in bindings:
            if binding.to_queue:
                reached.add((vhost, binding.destination))
            else:
                reached |= self._follow(vhost, binding.destination, keys, visited)
        if facts.alternate is not None and not (bindings and keys is not None):
            reached |= self._follow(vhost, facts.alternate, keys, visited)
        return reached & self._queues

    def _matching(self, exchange: ExchangeFacts, keys: Keys) -> list[Binding]:
        bindings = self._bindings[exchange.vhost, exchange.name]
        # What headers a message has, or how a plugin's exchange chooses, cannot be known: all of theirs may match.
        if keys is None or exchange.type not in ("direct", "topic"):
            return bindings
        if exchange.type == "direct" and not any(key.pattern for key in keys):
            return [b for key in keys for b in self._literal[exchange.vhost, exchange.name, key.text]]
        topic = exchange.type == "topic"
        return [b for b in bindings if any(_may_match(b.routing_key, topic, key) for key in keys)]


def _may_match(binding_key: str, topic: bool, key: RoutingKey) -> bool:
    return overlaps(_words(binding_key, topic), _words(key.text, key.pattern))


def _words(text: str, pattern: bool) -> tuple[str, ...]:
    # A literal word `*` or `#` must match only itself: it is marked by a character that keys do not begin with.
    words = text.split(".") if text else []
    return tuple(word if pattern or word not in ("*", "#") else f"\0{word}" for word in words)


@lru_cache(maxsize=65_536)
def overlaps(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Say whether some routing key matches both of two topic patterns, given as words: `*` is one word, `#` any number.

    A key without wildcards is a pattern that only itself matches.
    """
    if not one or not other:
        return all(word == "#" for word in one or other)
    if one[0] == "#":
        return overlaps(one[1:], other) or overlaps(one, other[1:])
    if other[0] == "#":
        return overlaps(one, other[1:]) or overlaps(one[1:], other)
    return (one[0] == other[0] or "*" in (one[0], other[0])) and overlaps(one[1:], other[1:])


def keys_of(bindings: Iterable[Binding], exchange_types: dict[tuple[str, str], str]) -> Keys:
    """Return the routing keys of the messages that these bindings let through; None when they may be any."""
    keys = set()
    for binding in bindings:
        kind = exchange_types.get((binding.vhost, binding.source), "")
        if kind not in ("direct", "topic"):
            return None
        keys.add(RoutingKey(binding.routing_key, kind == "topic" and _has_wildcard(binding.routing_key)))
    return frozenset(keys)


def _has_wildcard(key: str) -> bool:
    return any(word in ("*", "#") for word in key.split("."))
