"""Which policy holds for a queue, for brokers that do not say it themselves. Pure.

Of the policies whose pattern matches and which apply to this type of queue, the one with the highest priority holds,
and one operator policy beside it. Where both define a limit, the smaller holds; else the operator's.
(rabbitmq.com/docs/parameters; the API's `effective_policy_definition` is this very thing, and goes before it.)
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from monitor.brokers.rabbitmq.facts import Definition, QueueFacts, table

_APPLIES_TO = {"classic": "classic_queues", "quorum": "quorum_queues", "stream": "streams"}


def with_policies(queue: QueueFacts, policies: Sequence[Definition], operators: Sequence[Definition]) -> QueueFacts:
    """Return the facts of a queue with the policies that hold for it."""
    policy, operator = _holding(queue, policies), _holding(queue, operators)
    definition = merged(table(policy.get("definition")), table(operator.get("definition")))
    return replace(
        queue, policy=policy.get("name", ""), operator_policy=operator.get("name", ""), definition=definition
    )


def merged(policy: Definition, operator: Definition) -> Definition:
    """Return what a policy and an operator policy define together."""
    result = dict(policy)
    for name, value in operator.items():
        other = policy.get(name)
        both_limit = isinstance(value, int | float) and isinstance(other, int | float)
        result[name] = min(value, other) if both_limit else value
    return result


def _holding(queue: QueueFacts, policies: Sequence[Definition]) -> Definition:
    matching = (policy for policy in policies if _matches(queue, policy))
    return max(matching, key=lambda policy: policy.get("priority", 0), default={})


def _matches(queue: QueueFacts, policy: Definition) -> bool:
    vhost, name = queue.key
    if policy.get("vhost") != vhost:
        return False
    if policy.get("apply-to", "all") not in ("all", "queues", _APPLIES_TO.get(queue.type, "")):
        return False
    try:
        return re.search(policy.get("pattern", ""), name) is not None
    except re.error:  # the broker's patterns are PCRE; what Python cannot read is left out rather than guessed
        return False
