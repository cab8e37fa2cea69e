"""Numbers and lists as people say them: one wording for commands, pages and reasons."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
NOT_KNOWN = "not known"
_NAMED = 3


def say_duration(seconds: float | None) -> str:
    """Say a duration by its largest unit, and the next one below ten: `45 s`, `3 min`, `1 h 20 min`, `2 d 4 h`."""
    if seconds is None or math.isnan(seconds):
        return NOT_KNOWN
    if math.isinf(seconds):
        return "never"
    if seconds < 1:
        return "0 s" if seconds <= 0 else "under 1 s"
    whole = round(seconds)
    for (size, unit), (smaller, smaller_unit) in pairwise(_UNITS):
        if whole >= size:
            many, rest = divmod(whole, int(size))
            few = rest // int(smaller)
            return f"{many} {unit} {few} {smaller_unit}" if many < 10 and few and unit != "min" else f"{many} {unit}"
    return f"{whole} s"


def say_count(number: float | None) -> str:
    """Say a number of things with thousands separated: `12,400`."""
    return NOT_KNOWN if number is None or math.isnan(number) else f"{number:,.0f}"


def say_rate(per_second: float | None) -> str:
    """Say a rate with as many digits as help: `0.05/s`, `3.2/s`, `1,240/s`."""
    if per_second is None or math.isnan(per_second):
        return NOT_KNOWN
    if per_second == 0 or per_second >= 100:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second:.2g}/s"


def say_age(seconds: float | None, method: str) -> str:
    """Say how old the oldest waiting message is, and how sure that is: `3 min`, `at least 3 min`, `about 3 min`."""
    if seconds is None:
        return NOT_KNOWN
    sureness = {"lower_bound": "at least ", "estimated": "about ", "interpolated": ""}.get(method, "")
    return f"{sureness}{say_duration(seconds)}"


def say_names(names: Sequence[str]) -> str:
    """Return the first of many names and how many more there are: `a, b, c and 4 more`."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


_MOST_FIELDS = 3


def say_schema(held: Mapping[str, Any]) -> str:
    """Say what the catalog says of messages (`schema` of a group in the API): version, fields, what they fit."""
    told = [f"{held['event']} {held['wrote'] or ''}".rstrip() + f", by {held['told_by']}"]
    if held["known"] and held["wrote"] not in held["known"]:
        told.append(f"the consumer lists {', '.join(held['known'])}")
    told += [
        f"{it['field'] or 'the whole'}: expected {it['expected']}, found {it['found']}"
        for it in held["violations"][:_MOST_FIELDS]
    ]
    if len(held["violations"]) > _MOST_FIELDS:
        told.append(f"and {len(held['violations']) - _MOST_FIELDS} more fields")
    told.append(f"the newest version that fits is {held['fits']}" if held["fits"] else "no version fits")
    return "; ".join(told + held["notes"])


def say_impact(impact: Mapping[str, Any]) -> str:
    """Say whom messages concern (`impact` of a group in the API): services with owners, events, and their state."""
    services = [f"{it['name']} ({it['owner']})" if it["owner"] else it["name"] for it in impact["services"]]
    events = [f"{say_count(it['messages'])} {it['name']}" for it in impact["events"]]
    states = {"waiting": "wait", "lost": "are lost as they are", "done": "were done before"}
    what = say_names(events) if events else f"{say_count(impact['messages'])} messages"
    of = f" for {say_names(services)}" if services else ""
    return f"{what} {states[impact['state']]}{of}"
