"""The shapes of the event catalog in the API, shared with the client: nothing in here knows the framework."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from monitor.catalog.model import Action, DifferenceKind, Format
from monitor.catalog.problems import Compatibility
from monitor.model import System


class ProblemItem(TypedDict):
    """What keeps readers of a schema from reading what another wrote."""

    field: str
    compatibility: Compatibility
    text: str


class ChangeSinceItem(TypedDict):
    """How a version stands to the one before: whether its readers can read that, and the other way round."""

    version: str
    backward: Compatibility
    forward: Compatibility
    problems: list[ProblemItem]


class ServiceItem(TypedDict):
    """A service of the catalog."""

    name: str
    owner: str | None
    summary: str | None


class EventItem(TypedDict):
    """A version of an event."""

    name: str
    version: str
    title: str | None
    summary: str | None
    content_type: str | None
    format: Annotated[Format | None, Field(description="of the payload's schema; null where it has none")]
    payload: Annotated[Any, Field(description="the schema, standing alone; null where there is none")]
    headers: Any
    data_schema: Annotated[str | None, Field(description="the URI by which CloudEvents name its schema")]
    examples: list[Any]
    deprecated: bool
    producers: list[str]
    consumers: list[str]
    owners: Annotated[list[str], Field(description="the teams of its producers")]
    channels: list[str]
    since: Annotated[ChangeSinceItem | None, Field(description="against the version before; null for the first")]


class PlaceItem(TypedDict):
    """Where a channel is."""

    cluster: str
    system: System
    kind: str
    destination: Annotated[str, Field(description="of an address with parameters, the one with their defaults")]
    pattern: Annotated[str | None, Field(description="what fits all destinations of an address with parameters")]


class ChannelItem(TypedDict):
    """A channel of the catalog, with the places that its servers and bindings give it."""

    key: str
    address: str
    summary: str | None
    places: list[PlaceItem]
    events: list[str]


class OperationItem(TypedDict):
    """What a service does at a channel."""

    key: str
    action: Action
    service: str
    channel: str
    events: list[str]
    groups: list[str]
    group_pattern: Annotated[str | None, Field(description="what fits the names of other groups that may read")]


class CatalogItem(TypedDict):
    """The event catalog."""

    title: str
    version: str
    services: list[ServiceItem]
    events: list[EventItem]
    channels: list[ChannelItem]
    operations: list[OperationItem]


class DifferenceItem(TypedDict):
    """A difference between what is seen and what is written down."""

    kind: DifferenceKind
    text: str
    cluster: str | None
    destination: str | None
    consumer: str | None
    service: str | None
    event: str | None
    subscription: Annotated[str | None, Field(description="the id of one that is seen")]


class UnjudgedItem(TypedDict):
    """What nothing can be said of now."""

    cluster: str | None
    reason: str


class DifferencesItem(TypedDict):
    """All differences; what is not judged may hide more."""

    items: list[DifferenceItem]
    next: str | None
    total: Annotated[int, Field(description="of all, also where fewer are told")]
    not_judged: list[UnjudgedItem]
