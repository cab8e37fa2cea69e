"""SNS filter policies: which of them can be shown to let nothing through, whatever is published.

Sources: the SNS developer guide, "Subscription filter policies" and "Message attributes". Keys are joined by AND, the
conditions of a key by OR. SNS refuses most impossible policies when they are set; what remains is little, and only that
is claimed here. A policy that merely has matched nothing so far is not told from one that never will.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_ATTRIBUTE_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.\-]{1,256}(?<!\.)")
_LOWER, _UPPER = (">", ">="), ("<", "<=")


def drops_everything(policy: object, scope: str = "MessageAttributes") -> bool:
    """Say whether no message can pass this policy.

    `scope` is MessageAttributes, or MessageBody where keys nest. An empty policy lets everything through.
    """
    if not isinstance(policy, Mapping):
        return False
    return any(_is_impossible(key, conditions, scope) for key, conditions in policy.items())


def _is_impossible(key: str, conditions: object, scope: str) -> bool:
    if key == "$or":
        return isinstance(conditions, list) and all(drops_everything(way, scope) for way in conditions)
    if isinstance(conditions, Mapping):
        return drops_everything(conditions, scope)
    if not isinstance(conditions, list) or any(_wants_absence(condition) for condition in conditions):
        return False
    if scope == "MessageAttributes" and not _ATTRIBUTE_NAME.fullmatch(key):
        return True  # no publisher can give a message an attribute of this name
    return all(_never_holds(condition) for condition in conditions)


def _wants_absence(condition: object) -> bool:
    return isinstance(condition, Mapping) and condition.get("exists") is False


def _never_holds(condition: object) -> bool:
    if not isinstance(condition, Mapping):
        return False
    numeric: Any = condition.get("numeric")
    return isinstance(numeric, Sequence) and not isinstance(numeric, str) and _is_empty_range(numeric)


def _is_empty_range(numeric: Sequence[Any]) -> bool:
    """Say whether a condition such as `[">", 5, "<=", 3]` leaves no number."""
    bounds = dict(zip(numeric[::2], numeric[1::2], strict=False))
    lower = next(((op, bounds[op]) for op in _LOWER if op in bounds), None)
    upper = next(((op, bounds[op]) for op in _UPPER if op in bounds), None)
    if lower is None or upper is None:
        return False
    low, high = lower[1], upper[1]
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    return low > high or (low == high and not (lower[0] == ">=" and upper[0] == "<="))
