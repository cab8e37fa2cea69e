"""The flow of events as Mermaid or Graphviz: who sends what where, and who receives it. Pure."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from monitor.catalog.model import Action, Catalog, Channel, ChannelKind
from monitor.words import say_names

_LONGEST = 80


class Style(StrEnum):
    """The language of a graph."""

    MERMAID = "mermaid"
    DOT = "dot"


class _Arrow(NamedTuple):
    tail: str
    head: str
    label: str


def draw(catalog: Catalog, style: Style) -> str:
    """Return the graph."""
    return _STYLES[style](catalog)


def _arrows(catalog: Catalog, names: Mapping[str, str]) -> Iterator[_Arrow]:
    for it in catalog.operations:
        service, channel = names[f"service {it.service}"], names[f"channel {it.channel}"]
        label = say_names(list(dict.fromkeys(str(event) for event in it.events)))
        yield _Arrow(service, channel, label) if it.action is Action.SEND else _Arrow(channel, service, label)


def _names(catalog: Catalog) -> dict[str, str]:
    """Return plain names for the nodes: those of the document may hold what the languages obey."""
    services = {f"service {name}": f"s{place}" for place, name in enumerate(catalog.services)}
    return services | {f"channel {key}": f"c{place}" for place, key in enumerate(catalog.channels)}


def _lines_of(channel: Channel) -> list[str]:
    where = {f"{place.destination} ({place.cluster})": None for place in channel.places}
    return [*where] or [channel.address or channel.key]


def _draw_mermaid(catalog: Catalog) -> str:
    names = _names(catalog)
    lines = ["flowchart LR"]
    lines += [f"  {names[f'service {name}']}[{_in_mermaid(name)}]" for name in catalog.services]
    for key, channel in catalog.channels.items():
        left, right = _MERMAID_SHAPES.get(_kind(channel), ("[/", "/]"))
        lines.append(f"  {names[f'channel {key}']}{left}{_in_mermaid(*_lines_of(channel))}{right}")
    for tail, head, label in _arrows(catalog, names):
        lines.append(f"  {tail} -->{f'|{_in_mermaid(label)}|' if label else ''} {head}")
    return "\n".join(lines) + "\n"


_MERMAID_SHAPES = {ChannelKind.QUEUE: ("[(", ")]"), ChannelKind.EXCHANGE: ("{{", "}}")}


def _in_mermaid(*lines: str) -> str:
    """Return lines as a text in quotes, in which nothing is obeyed: what could be is written as its number."""
    safe = (
        "".join(it if it.isalnum() or it in " -_.,()" else f"#{ord(it)};" for it in line[:_LONGEST]) for line in lines
    )
    return '"' + "<br>".join(safe) + '"'


def _draw_dot(catalog: Catalog) -> str:
    names = _names(catalog)
    lines = ["digraph {", *_DOT_LOOK]
    lines += [f"  {names[f'service {name}']} [label={_in_dot(name)} shape=box];" for name in catalog.services]
    for key, channel in catalog.channels.items():
        shape = _DOT_SHAPES.get(_kind(channel), "parallelogram")
        lines.append(f"  {names[f'channel {key}']} [label={_in_dot(*_lines_of(channel))} shape={shape}];")
    lines += [f"  {tail} -> {head} [label={_in_dot(label)}];" for tail, head, label in _arrows(catalog, names)]
    return "\n".join([*lines, "}"]) + "\n"


_DOT_LOOK = (
    '  rankdir="LR"; bgcolor="transparent";',
    '  node [fontname="sans-serif" fontsize="11" fontcolor="#222222" color="#555555" style=filled fillcolor=white];',
    '  edge [fontname="sans-serif" fontsize="10" fontcolor="#808080" color="#808080"];',
)
"""Readable on light and dark pages."""
_DOT_SHAPES = {ChannelKind.QUEUE: "cylinder", ChannelKind.EXCHANGE: "hexagon"}


def _in_dot(*lines: str) -> str:
    r"""Return lines as one string of Graphviz, in which quotes, escapes such as \N, and entities are not obeyed."""
    safe = (
        "".join(it if it.isprintable() else "?" for it in line[:_LONGEST])
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("&", "&amp;")
        for line in lines
    )
    return '"' + "\\n".join(safe) + '"'


def _kind(channel: Channel) -> ChannelKind:
    return channel.places[0].kind if channel.places else ChannelKind.OTHER


_STYLES: Mapping[Style, Callable[[Catalog], str]] = {Style.MERMAID: _draw_mermaid, Style.DOT: _draw_dot}
