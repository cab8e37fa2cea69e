"""The map of destinations, subscriptions and dead-letter queues as a graph in Graphviz' language. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dashboards.components.status import GOOD, STATUSES, look_of
from dashboards.components.text import visible
from monitor.api.items import DeadLetterItem, SubscriptionItem
from monitor.words import NOT_KNOWN, say_age, say_count, say_rate

_LONGEST_NAME = 48
_INK = "#222222"
_DEAD_HUE = "#f28e2b"
_FILLS = {"red": "#f8d0cc", "orange": "#fbdcb8", "yellow": "#f6e7a9", "blue": "#cfdff0", "green": "#cfead9",
          "violet": "#e2d7f0", "gray": "#e4e4e4"}  # fmt: skip
"""The fills of nodes by the colour of their state: light, so that dark text on them is readable in both themes."""


class Node(NamedTuple):
    """A box: its lines of text and how it is filled and shaped."""

    name: str
    lines: Sequence[str]
    fill: str
    shape: str = "box"
    frame: str = "#555555"
    style: str = "filled"


class Edge(NamedTuple):
    """An arrow between two boxes."""

    tail: str
    head: str
    label: str
    frame: str
    style: str = "solid"


class Feed(NamedTuple):
    """A topic whose messages are delivered to a queue."""

    cluster: str
    topic: str
    queue: str


def read_feeds(cluster: str, rows: Iterable[Mapping[str, Any]]) -> list[Feed]:
    """Return what SNS delivers to queues, of the rows of `sns_subscriptions`: a queue's address ends with its name."""
    return [Feed(cluster, row["topic"], row["endpoint"].rpartition(":")[2]) for row in rows if row["protocol"] == "sqs"]


def draw_map(
    subscriptions: Sequence[SubscriptionItem], queues: Sequence[DeadLetterItem], feeds: Iterable[Feed] = ()
) -> str:
    """Return the graph: topic → queue, destination → who reads it, and dashed to where its dead letters go."""
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for item in subscriptions:
        destination = _key(item["cluster"], item["destination"])
        nodes.setdefault(destination, _destination(item))
        look = look_of(item["status"])
        reader = _key(item["cluster"], item["subscriber"], "reader")
        before = nodes.get(reader)
        if before is None or _worse(item["status"], before):
            nodes[reader] = Node(reader, [_name(_reader(item)), str(look)], _FILLS[look.color], "box", look.hue)
        edges.append(Edge(destination, reader, _say_edge(item), look.hue))
    for feed in feeds:
        topic, fed = _key(feed.cluster, feed.topic), _key(feed.cluster, feed.queue)
        if fed in nodes:
            nodes.setdefault(topic, _topic(feed, topic))
            edges.append(Edge(topic, fed, "", "#808080"))
    for queue in queues:
        key = _key(queue["cluster"], queue["queue"], "dead")
        nodes[key] = _dead_node(queue)
        edges += [Edge(origin, key, "", _DEAD_HUE, "dashed") for origin in _origins(queue, nodes)]
    return _render(nodes.values(), edges)


def _destination(item: SubscriptionItem) -> Node:
    rate = f"{say_rate(item['published_per_second'])} in"
    key = _key(item["cluster"], item["destination"])
    return Node(
        key,
        [_name(item["destination"]), f"{item['cluster']} ({item['system']})", rate],
        "#ffffff",
        "box",
        style="filled,rounded",
    )


def _topic(feed: Feed, key: str) -> Node:
    return Node(key, [_name(feed.topic), f"{feed.cluster} (SNS topic)"], "#ffffff", "box", style="filled,rounded")


def _reader(item: SubscriptionItem) -> str:
    # Of a queue nobody knows who reads it: its consumers have no name.
    return "consumers" if item["subscriber"] == item["destination"] else item["subscriber"]


def _dead_node(queue: DeadLetterItem) -> Node:
    waiting = say_count(queue["messages"])
    fill = _FILLS["orange"] if queue["messages"] else _FILLS["gray"]
    key = _key(queue["cluster"], queue["queue"], "dead")
    return Node(key, [_name(queue["queue"]), f"✉ {waiting} dead letters"], fill, "folder", _DEAD_HUE)


def _origins(queue: DeadLetterItem, nodes: dict[str, Node]) -> Iterable[str]:
    keys = (_key(queue["cluster"], origin) for origin in queue["origins"])
    return [key for key in keys if key in nodes]


def _worse(status: str, before: Node) -> bool:
    order = [str(look) for look in STATUSES.values()]
    return order.index(str(look_of(status))) < order.index(before.lines[-1]) if status in STATUSES else False


def _say_edge(item: SubscriptionItem) -> str:
    if item["status"] in GOOD:
        return f"{say_rate(item['consumed_per_second'])}"
    if item["backlog_messages"] is None:
        return NOT_KNOWN
    return f"{say_count(item['backlog_messages'])} wait, {say_age(item['oldest_age_seconds'], item['age_method'])}"


def _key(*parts: str) -> str:
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def _name(text: str) -> str:
    return visible(text, _LONGEST_NAME)


def _render(nodes: Iterable[Node], edges: Iterable[Edge]) -> str:
    lines = [
        'digraph { rankdir="LR"; bgcolor="transparent"; nodesep="0.25"; ranksep="0.9";',
        f'node [fontname="sans-serif" fontsize="11" fontcolor="{_INK}"];',
        'edge [fontname="sans-serif" fontsize="10" fontcolor="#808080"];',
    ]
    lines += [
        f"{quoted(node.name)} [label={quoted(*node.lines)} shape={quoted(node.shape)} fillcolor={quoted(node.fill)} "
        f"color={quoted(node.frame)} style={quoted(node.style)}];"
        for node in nodes
    ]
    lines += [
        f"{quoted(edge.tail)} -> {quoted(edge.head)} [label={quoted(edge.label)} color={quoted(edge.frame)} "
        f"style={quoted(edge.style)}];"
        for edge in edges
    ]
    return "\n".join([*lines, "}"])


def quoted(*lines: str) -> str:
    r"""Return lines as one string of Graphviz.

    A quote would end the string, and a backslash begins an escape such as \N, which stands for the name of the node.
    What looks like an entity of HTML is read as one even in plain labels.
    """
    safe = (visible(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines)
    return '"' + "\\n".join(safe) + '"'
