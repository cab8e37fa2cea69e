"""Dead letters by cause, what to search for among them, where they come from: pure functions over JSON of the API."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from dashboards.components.message import in_cell, read_json, say_evidence, short_class
from dashboards.components.times import say_moment
from monitor.api.items import DeadLetterItem
from monitor.api.redrive_items import AdviceItem, ChangeItem, LetterGroup, LetterGroups, LetterItem
from monitor.words import NOT_KNOWN, say_count, say_duration, say_impact, say_schema

KINDS = {
    "schema_violation": "breaks the schema",
    "unreadable": "cannot be read",
    "unknown_type": "unknown type",
    "exception": "exception",
    "downstream": "downstream failed",
    "expired": "expired",
    "too_many_attempts": "tried too often",
    "overflow": "queue was full",
    "unroutable": "no way there",
    "duplicate": "duplicate",
    "unknown": "not known",
}
"""Why messages died, in a word or two."""

CERTAINTIES = {"certain": "", "likely": "likely ", "guessed": "perhaps ", "none": ""}
"""How sure that is."""

ADVICE = {
    "redrive": ("▶", "Redrive them"),
    "redrive_after_fix": ("⚒", "Redrive after a fix"),
    "transform_and_redrive": ("⇄", "Redrive with the patch"),
    "archive": ("▽", "Set them aside"),
    "do_not": ("✖", "Do not redrive"),
    "look_first": ("?", "Look first"),
}
"""What is advised: a shape and words."""

UNNAMED_CAUSE = "The messages do not tell why they died"
_MOST_EXAMPLES = 6
_MOST_NAMES = 4
_PLACEHOLDERS = ("<id>", "<address>", "<time>", "<text>", "<n>")
_SHORTEST_PIECE = 3
_MOST_PIECES = 4
_SURE = ("headers", "topology", "configuration")


@dataclass(frozen=True)
class Example:
    """An expression that fits what lies in the queue, and what it asks for in plain words."""

    label: str
    expression: str


def say_cause(group: LetterGroup) -> str:
    """Say a group's cause in one plain line: `MissingField: data.customer_email is missing`."""
    told = ": ".join(it for it in (short_class(group["exception"]), group["message"]) if it)
    return in_cell(told, 300) if told else UNNAMED_CAUSE


def say_kind(group: LetterGroup) -> str:
    """Say why messages of a group died, and how sure that is; nothing where the exception says all."""
    if group["kind"] in ("exception", "unknown"):
        return ""
    return CERTAINTIES.get(group["certainty"], "") + KINDS.get(group["kind"], group["kind"])


def say_advice(advice: AdviceItem) -> str:
    """Say what to do, and why: plain text."""
    shape, words = ADVICE.get(advice["action"], ("?", advice["action"]))
    return f"{shape} {words}: {advice['reason']}" if advice["reason"] else f"{shape} {words}"


def say_surroundings(group: LetterGroup) -> str:
    """Say who was involved and what changed when the first one died: plain text, empty where nothing is known."""
    parts = []
    if group["consumers"]:
        parts.append(f"failed at {', '.join(group['consumers'][:_MOST_NAMES])}")
    if group["producers"]:
        makers = [f"{it['name']} {it['version'] or ''}".strip() for it in group["producers"][:_MOST_NAMES]]
        parts.append(f"made by {', '.join(makers)}")
    if group["came_back"]:
        parts.append(f"{say_count(group['came_back'])} had been redriven before")
    if group["changes"]:
        parts.append(_say_change(group["changes"][0]))
    return in_cell(" · ".join(parts), 600) if parts else ""


def say_by_catalog(group: LetterGroup) -> str:
    """Say what the event catalog knows of a group: plain text, empty where it knows nothing."""
    held, impact = group.get("schema"), group.get("impact")
    told = [*([say_schema(held)] if held else []), *([say_impact(impact)] if impact else [])]
    return in_cell(" · ".join(told), 800) if told else ""


def _say_change(change: ChangeItem) -> str:
    seconds = change["before_seconds"]
    when = f"{say_duration(abs(seconds))} {'before' if seconds >= 0 else 'after'} the first"
    return f"{when}: {change['text']}"


def say_seen(group: LetterGroup, now: float, zone: tzinfo) -> str:
    """Say since when and until when messages of a group died."""
    first, last = group["first_at"], group["last_at"]
    if first is None or last is None:
        return "when is not told by this bus"
    if last - first < 1:
        return f"at {say_moment(first, now, zone)}, {say_duration(max(0.0, now - first))} ago"
    return f"first {say_moment(first, now, zone)}, last {say_moment(last, now, zone)} ({_ago(last, now)})"


def _ago(at: float, now: float) -> str:
    return f"{say_duration(max(0.0, now - at))} ago"


def say_looked_at(groups: LetterGroups, waiting: float | None) -> str:
    """Say how much of the queue the groups stand for."""
    looked = say_count(groups["looked_at"])
    if groups["complete"]:
        return f"All {looked} messages, by their cause."
    of = f" of {say_count(waiting)}" if waiting is not None else ""
    return f"Only the first {looked}{of} messages were looked at; the numbers are of these."


def say_share(group: LetterGroup, groups: LetterGroups) -> str:
    """Say how many messages a group has, and what share that is of what was looked at."""
    share = group["messages"] / groups["looked_at"] if groups["looked_at"] else 0.0
    return f"{say_count(group['messages'])} ({share:.0%})"


# -- expressions -------------------------------------------------------------------------------------------------------


def quote_text(text: str) -> str:
    """Return text as a JMESPath literal, whatever is in it: JSON between backticks."""
    return "`" + json.dumps(text, ensure_ascii=True).replace("`", "\\u0060") + "`"


def select_text(text: str) -> str:
    """Return the expression that finds a text in body, key, cause or position; empty text finds everything."""
    literal = quote_text(text)
    fields = ("text", "key", "exception_message", "exception", "position")
    return " || ".join(f"contains({field} || '', {literal})" for field in fields)


def select_group(group: LetterGroup) -> str:
    """Return an expression that selects the messages of a group.

    Its message has placeholders where numbers, ids and quoted texts were; what stands between them is asked for.
    """
    parts = [f"exception == {quote_text(group['exception'] or '')}"]
    pieces = _pieces(group["message"] or "")
    if not pieces:
        return parts[0]
    parts += [f"contains(exception_message, {quote_text(piece)})" for piece in pieces[:_MOST_PIECES]]
    return " && ".join(parts)


def _pieces(message: str) -> list[str]:
    for placeholder in _PLACEHOLDERS:
        message = message.replace(placeholder, "\0")
    found = [piece.strip() for piece in message.split("\0")]
    return sorted((piece for piece in found if len(piece) >= _SHORTEST_PIECE), key=len, reverse=True)


def make_examples(items: Sequence[LetterItem]) -> list[Example]:
    """Return expressions that fit these messages, so that nobody has to learn the language first."""
    examples = [Example("older than an hour", "age_seconds > `3600`")]
    for item in items:
        if item["exception"]:
            name = short_class(item["exception"])
            examples.append(Example(f"died of {name}", f"exception == {quote_text(item['exception'])}"))
            break
    examples += _field_examples(items) + _header_examples(items)
    if any((item["attempts"] or 0) > 1 for item in items):
        examples.append(Example("tried more than once", "attempts > `1`"))
    return examples[:_MOST_EXAMPLES]


def _field_examples(items: Sequence[LetterItem]) -> list[Example]:
    """Return an example for a text and one for a number that the bodies have."""
    body = next((it for item in items if isinstance(it := read_json(item["value"]), dict)), {})
    leaves = list(_leaves(body, ()))
    texts = [leaf for leaf in leaves if isinstance(leaf[1], str) and len(leaf[1]) <= 40]
    numbers = [leaf for leaf in leaves if isinstance(leaf[1], int | float) and not isinstance(leaf[1], bool)]
    found = [Example(f"{path[-1]} is {value}", f"{_path(path)} == {quote_text(value)}") for path, value in texts[-1:]]
    return found + [
        Example(f"{path[-1]} above {value}", f"{_path(path)} > `{json.dumps(value)}`") for path, value in numbers[-1:]
    ]


def _leaves(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping) and len(path) < 3:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif path and not isinstance(value, Mapping | list):
        yield path, value


def _path(path: Sequence[str]) -> str:
    return ".".join(["body", *(json.dumps(name, ensure_ascii=True) for name in path)])


def _header_examples(items: Sequence[LetterItem]) -> list[Example]:
    for item in items:
        for header in item["headers"]:
            value = header["value"]
            if value and header["encoding"] == "utf-8" and value.isprintable() and len(value) <= 40:
                name = json.dumps(header["name"], ensure_ascii=True)
                told = f"header {header['name']} is {value}"
                return [Example(told, f"headers.{name} == {quote_text(value)}")]
    return []


# -- the queue ---------------------------------------------------------------------------------------------------------


def say_origins(item: DeadLetterItem) -> str:
    """Say where a queue's dead letters come from, and by which evidence: plain text."""
    evidence = item["origin_evidence"]
    if not evidence:
        return "not known"
    return ", ".join(f"{it['origin']} ({say_evidence(it['found_by'])})" for it in evidence)


def say_expiry(item: DeadLetterItem, now: float) -> str:
    """Say when the first message is lost, at worst."""
    expires = item["expiry_timestamp_seconds"]
    if not item["messages"]:
        return "–"
    if expires is None:
        return "never, as far as known" if item["retention_seconds"] is None else NOT_KNOWN
    return "now" if expires <= now else f"in {say_duration(expires - now)}"


def is_guessed(item: DeadLetterItem) -> bool:
    """Say whether where the messages belong is known by names alone, so that a redrive asks for a target."""
    return not any(it["found_by"] in _SURE for it in item["origin_evidence"])
