"""Truth against catalog: what is seen and not written down, and what is written down and not seen. Pure.

Of a cluster that cannot be read now nothing is said, and that is told. Dead-letter and retry queues, what is the
product's own, and Kafka's internal topics need not be written down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from monitor.catalog.compatibility import can_read, worst
from monitor.catalog.markers import without_markers
from monitor.catalog.model import Action, Catalog, Channel, ChannelKind, DifferenceKind, EventName, Operation, Place
from monitor.catalog.problems import Compatibility
from monitor.catalog.sights import Sight, look_at
from monitor.model import ClusterView, Subscription, System, encode_id
from monitor.words import say_names


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: what it is about, and a sentence for people. Empty is not concerned.

    `destination` and `consumer` are as labels name them, `subscription` is the id of one that is seen.
    """

    kind: DifferenceKind
    text: str
    cluster: str = ""
    destination: str = ""
    consumer: str = ""
    service: str = ""
    event: str = ""
    subscription: str = ""


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A cluster of which nothing can be said now, and why."""

    cluster: str
    reason: str


@dataclass(frozen=True, slots=True)
class Differences:
    """All of them; what is not judged may hide more."""

    items: tuple[Difference, ...]
    not_judged: tuple[Unjudged, ...]


def find_differences(catalog: Catalog, views: Iterable[ClusterView]) -> Differences:
    """Compare a catalog with what is seen now."""
    views = list(views)
    sights = {it.cluster: it for view in views if (it := look_at(view)) is not None}
    found = [
        *(it for sight in sights.values() for it in _not_written(catalog, sight)),
        *_not_seen(catalog, sights),
        *_not_consumed(catalog),
        *_not_known(catalog),
    ]
    return Differences(tuple(found), tuple(_unjudged(catalog, views, sights)))


def _unjudged(catalog: Catalog, views: list[ClusterView], sights: dict[str, Sight]) -> Iterator[Unjudged]:
    watched = {view.health.cluster for view in views}
    for cluster in sorted(watched - sights.keys()):
        yield Unjudged(cluster, "it cannot be read now")
    written = {place.cluster for channel in catalog.channels.values() for place in channel.places}
    for cluster in sorted(written - watched):
        yield Unjudged(cluster, "no cluster of this name is configured")
    for channel in catalog.channels.values():
        if not channel.places:
            yield Unjudged("", f"the channel {channel.key} is on no server that can be watched")


# -- seen and not written down -----------------------------------------------------------------------------------------


def _not_written(catalog: Catalog, sight: Sight) -> Iterator[Difference]:
    channels_at: dict[str, list[Channel]] = {}
    for channel in catalog.channels.values():
        for place in channel.places:
            for destination in sight.covered_by(place) if place.cluster == sight.cluster else ():
                channels_at.setdefault(destination, []).append(channel)
    for destination, readers in sight.readers.items():
        channels = channels_at.get(destination, [])
        if channels:
            yield from _consumers_not_written(catalog, channels, readers)
        elif not sight.is_aside(destination):
            names = [it.subscriber for it in readers if it.subscriber != it.destination]
            read_by = f", read by {say_names(names)}" if names else ""
            told = f"{destination} is seen{read_by}, and in no channel of the catalog"
            yield Difference(DifferenceKind.DESTINATION_NOT_WRITTEN, told, sight.cluster, destination)


def _consumers_not_written(
    catalog: Catalog, channels: list[Channel], readers: Iterable[Subscription]
) -> Iterator[Difference]:
    written = [it for it in _receivers(catalog) if any(it.channel == channel.key for channel in channels)]
    for it in readers:
        if it.system is System.KAFKA:
            known = any(_names(operation, it.subscriber) for operation in written)
            told = f"{it.subscriber} reads {it.destination}, and no operation of the catalog says so"
        else:
            known = bool(written) or not it.consumers
            told = f"somebody reads {it.destination}, and no operation of the catalog says who"
        if not known:
            consumer = it.subscriber if it.system is System.KAFKA else ""
            yield Difference(
                DifferenceKind.CONSUMER_NOT_WRITTEN, told, it.cluster, it.destination, consumer, subscription=it.id
            )


def _names(operation: Operation, group: str) -> bool:
    """Say whether a group may read there: any, where none is named."""
    return not (operation.groups or operation.group_pattern) or operation.names_group(group)


# -- written down and not seen -----------------------------------------------------------------------------------------


def _not_seen(catalog: Catalog, sights: dict[str, Sight]) -> Iterator[Difference]:
    for channel in catalog.channels.values():
        for place in channel.places:
            sight = sights.get(place.cluster)
            if sight is None or place.kind not in (ChannelKind.TOPIC, ChannelKind.QUEUE):
                continue  # an exchange keeps nothing, and is not watched
            if not sight.covered_by(place):
                told = f"{place.destination} is written down as {channel.key}, and is not seen in {place.cluster}"
                yield Difference(DifferenceKind.DESTINATION_NOT_SEEN, told, place.cluster, place.destination)
            elif place.system is System.KAFKA:
                yield from _groups_not_seen(catalog, channel, place, sight)


def _groups_not_seen(catalog: Catalog, channel: Channel, place: Place, sight: Sight) -> Iterator[Difference]:
    seen = {it.subscriber for it in sight.readers.get(place.destination, ())}
    for operation in _receivers(catalog):
        for group in operation.groups if operation.channel == channel.key else ():
            if group not in seen:
                told = (
                    f"{group} of {operation.service} is written down as a reader of {place.destination}, and not seen"
                )
                id_ = encode_id(place.cluster, group, place.destination)
                service = operation.service
                yield Difference(
                    DifferenceKind.CONSUMER_NOT_SEEN,
                    told,
                    place.cluster,
                    place.destination,
                    group,
                    service,
                    subscription=id_,
                )


# -- between producers and consumers -----------------------------------------------------------------------------------


def _not_consumed(catalog: Catalog) -> Iterator[Difference]:
    received = {event.name for it in _receivers(catalog) for event in it.events}
    sent: dict[str, str] = {}
    for operation in catalog.operations:
        if operation.action is Action.SEND:
            for event in operation.events:
                sent.setdefault(event.name, operation.service)
    for name, service in sent.items():
        if name not in received:
            told = f"{service} sends {name}, and nobody receives it"
            yield Difference(DifferenceKind.EVENT_NOT_CONSUMED, told, service=service, event=name)


def _not_known(catalog: Catalog) -> Iterator[Difference]:
    """Yield the consumers that are sent a version of an event which they do not list, on a bus that both use."""
    told_already: set[tuple[str, EventName, str]] = set()
    for sender in catalog.operations:
        for event in sender.events if sender.action is Action.SEND else ():
            for reader in _receivers(catalog):
                versions = [it for it in reader.events if it.name == event.name]
                shared = sorted(_clusters(catalog, sender) & _clusters(catalog, reader))
                if not shared or not versions or event in versions:
                    continue
                if (reader.service, event, shared[0]) not in told_already:
                    told_already.add((reader.service, event, shared[0]))
                    told = (
                        f"{sender.service} sends {event}, and {reader.service} {_say_known(catalog, versions, event)}"
                    )
                    yield Difference(
                        DifferenceKind.SCHEMA_NOT_KNOWN, told, shared[0], service=reader.service, event=str(event)
                    )


def _say_known(catalog: Catalog, versions: list[EventName], sent: EventName) -> str:
    known = say_names([it.version or "it" for it in versions])
    found = [_judge(catalog, reader=it, writer=sent) for it in versions]
    if Compatibility.COMPATIBLE in found:
        return f"knows {known}: it reads the new one as that"
    if Compatibility.UNKNOWN in found:
        return f"knows {known}: whether it can read the new one cannot be told from the schemas"
    return f"knows {known}: it cannot read the new one"


def _judge(catalog: Catalog, reader: EventName, writer: EventName) -> Compatibility:
    read, written = catalog.events[reader].payload, catalog.events[writer].payload
    problems = can_read(without_markers(read, written), without_markers(written, read))
    return worst([it.compatibility for it in problems])


def _receivers(catalog: Catalog) -> list[Operation]:
    return [it for it in catalog.operations if it.action is Action.RECEIVE]


def _clusters(catalog: Catalog, operation: Operation) -> set[str]:
    return {place.cluster for place in catalog.channels[operation.channel].places}
