"""The event catalog in words and rows. Pure functions over the API's JSON; all texts are plain."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dashboards.components.text import visible
from monitor.api.catalog_items import CatalogItem, ChangeSinceItem, DifferenceItem, DifferencesItem, EventItem
from monitor.words import NOT_KNOWN, say_count, say_names

NOT_WRITTEN, NOT_SEEN, UNHEARD = "Seen, and not written down", "Written down, and not seen", "Between services"
GROUPS = {
    NOT_WRITTEN: ("destination_not_written", "consumer_not_written"),
    NOT_SEEN: ("destination_not_seen", "consumer_not_seen"),
    UNHEARD: ("event_not_consumed", "schema_not_known"),
}
"""The kinds of differences under the headings that people look for."""

_LOOKS = {"compatible": "✔", "incompatible": "✖", "unknown": "?"}
_MOST_FIELDS = 3


def event_row(event: EventItem) -> dict[str, Any]:
    """Return a version of an event as the columns of the table."""
    return {
        "Event": visible(event["name"]),
        "Version": visible(event["version"]) or "–",
        "Sent by": _say_all(event["producers"], "nobody"),
        "Received by": _say_all(event["consumers"], "nobody"),
        "Owner": _say_all(event["owners"], "–"),
        "Schema": event["format"] or "none",
        "Against the version before": say_since(event["since"]),
        "What": visible(event["summary"] or event["title"] or ""),
    }


def say_since(since: ChangeSinceItem | None) -> str:
    """Say whether a version goes with the one before it: who can read what, and where not."""
    if since is None:
        return "–"
    both = since["backward"], since["forward"]
    if both == ("compatible", "compatible"):
        return f"{_LOOKS['compatible']} compatible both ways with {visible(since['version'])}"
    fields = list(dict.fromkeys(it["field"] or "the whole" for it in since["problems"]))[:_MOST_FIELDS]
    told = f"new readers {_LOOKS[both[0]]}, old readers {_LOOKS[both[1]]}"
    return visible(f"{told}: {', '.join(fields)}")


def name_of(event: EventItem) -> str:
    """Return how a version of an event is called in addresses and choices."""
    return f"{event['name']} {event['version']}" if event["version"] else event["name"]


def find_event(catalog: CatalogItem, name: str | None) -> EventItem | None:
    """Return the version of an event that is called so."""
    return next((it for it in catalog["events"] if name_of(it) == name), None)


def event_facts(event: EventItem) -> list[tuple[str, str]]:
    """Return what is known of a version of an event, a name and a sentence each."""
    facts = [
        ("What", event["summary"] or event["title"] or NOT_KNOWN),
        ("Sent by", _say_all(event["producers"], "nobody")),
        ("Received by", _say_all(event["consumers"], "nobody")),
        ("Owner", _say_all(event["owners"], "nobody is named")),
        ("Channels", _say_all(event["channels"], "none")),
        ("Content type", event["content_type"] or NOT_KNOWN),
        ("Schema", f"{event['format']}" if event["format"] else "none"),
    ]
    if event["data_schema"]:
        facts.append(("Address of the schema", event["data_schema"]))
    if event["since"]:
        facts.append((f"Against version {event['since']['version']}", say_since(event["since"])))
    return facts


def say_problems(since: ChangeSinceItem) -> list[str]:
    """Say what keeps readers of two versions from each other, a sentence each."""
    return [f"{_LOOKS[it['compatibility']]} {it['field'] or 'the whole'}: {it['text']}" for it in since["problems"]]


def as_json(value: Any) -> str:
    """Return a schema or an example as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def differences_of(found: DifferencesItem, heading: str) -> list[DifferenceItem]:
    """Return the differences that stand under a heading."""
    return [it for it in found["items"] if it["kind"] in GROUPS[heading]]


def say_number(found: DifferencesItem) -> str:
    """Say how many differences there are, and of how much nothing can be said."""
    number, unjudged = found["total"], _clusters(found)
    told = f"{say_count(number)} {'difference' if number == 1 else 'differences'}" if number else "Nothing differs"
    return f"{told} between the catalog and what is seen" + (f"; not judged: {say_names(unjudged)}" if unjudged else "")


def _clusters(found: DifferencesItem) -> Sequence[str]:
    return list(dict.fromkeys(it["cluster"] or it["reason"] for it in found["not_judged"]))


def _say_all(names: Iterable[str], nobody: str) -> str:
    return visible(", ".join(names)) or nobody
