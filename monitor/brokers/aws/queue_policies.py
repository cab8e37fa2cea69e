"""Whether the access policy of a queue lets SNS deliver to it: a pure function over the policy's text.

Sources: the SNS developer guide ("Subscribing an Amazon SQS queue to an Amazon SNS topic"), the SQS developer guide
("Using custom policies with the Amazon SQS access policy language") and the IAM reference of policy elements. SNS
delivers as the service `sns.amazonaws.com`, also within one account, so it always takes a statement of the queue's own.
Only what can be shown is claimed: a condition or an element that is not known here may let the topic in.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

_SERVICE = "sns."  # and what follows, since some regions have a service name of their own
_ACTION = "sqs:sendmessage"
_ARN_KEYS, _ACCOUNT_KEYS = frozenset({"aws:sourcearn"}), frozenset({"aws:sourceaccount", "aws:sourceowner"})
_EXACT = frozenset({"stringequals"})
_LIKE = frozenset({"stringlike", "arnlike", "arnequals"})  # ArnEquals takes wildcards as well


@lru_cache(maxsize=4096)
def lets_in(policy: str, queue_arn: str, topic_arn: str) -> bool:
    """Say whether messages of a topic may reach a queue, by the text of the queue's policy; empty is no policy."""
    try:
        found = json.loads(policy or "{}")
    except ValueError:
        return True  # SQS would not have taken it
    statements = _listed(found.get("Statement")) if isinstance(found, Mapping) else []
    statements = [it for it in statements if isinstance(it, Mapping)]
    refused = any(_holds(it, "Deny", queue_arn, topic_arn, doubtful=False) for it in statements)
    return not refused and any(_holds(it, "Allow", queue_arn, topic_arn, doubtful=True) for it in statements)


def _holds(statement: Mapping[str, Any], effect: str, queue_arn: str, topic_arn: str, *, doubtful: bool) -> bool:
    """Say whether a statement is about this delivery; `doubtful` is the answer where that cannot be told."""
    if statement.get("Effect") != effect:
        return False
    if any(name.startswith("Not") for name in statement):
        return doubtful
    return (
        _names_sns(statement.get("Principal"))
        and any(fnmatchcase(_ACTION, str(it).lower()) for it in _listed(statement.get("Action")))
        and any(fnmatchcase(queue_arn, str(it)) for it in _listed(statement.get("Resource", "*")))
        and all(
            _fits(operator, key, values, topic_arn, doubtful=doubtful)
            for operator, key, values in _conditions(statement)
        )
    )


def _names_sns(principal: object) -> bool:
    """Say whether it is SNS, or everybody. An account, as in the statement that each queue has, is not."""
    if isinstance(principal, Mapping):
        services = [str(it) for it in _listed(principal.get("Service"))]
        return "*" in (*services, *_listed(principal.get("AWS"))) or any(it.startswith(_SERVICE) for it in services)
    return principal == "*"


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    for operator, pairs in (statement.get("Condition") or {}).items():
        for key, values in pairs.items():
            yield operator.lower(), key.lower(), _listed(values)


def _fits(operator: str, key: str, values: list[Any], topic_arn: str, *, doubtful: bool) -> bool:
    if key not in _ARN_KEYS | _ACCOUNT_KEYS or operator not in _EXACT | _LIKE:
        return doubtful
    known = topic_arn if key in _ARN_KEYS else topic_arn.split(":")[4]
    return any(known == str(it) or (operator in _LIKE and fnmatchcase(known, str(it))) for it in values)


def _listed(value: Any) -> list[Any]:
    """Return what may stand alone or in a list as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
