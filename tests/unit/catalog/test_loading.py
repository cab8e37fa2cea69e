"""What is read of an AsyncAPI document, and how its mistakes are told."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.event_flow.events import Event, Item, OrderCreated, event_id, to_document
from monitor.catalog.json_schemas import find_violations
from monitor.catalog.loading import load_catalog
from monitor.catalog.model import Action, ChannelKind, EventName, Format, Place
from monitor.catalog.reading import Document, read_document
from monitor.errors import ConfigurationError
from monitor.model import System
from tests.unit.catalog.documents import PLAIN, change, read

SHIPPED = Path(__file__).parents[3] / "config" / "catalog.yml"


def test_the_shipped_catalog_tells_the_reference_flow() -> None:
    catalog = load_catalog(SHIPPED)
    assert [str(it) for it in catalog.events] == [
        "OrderCreated 1",
        "OrderCreated 2",
        "PaymentProcessed 1",
    ]
    assert {it.service for it in catalog.operations if it.action is Action.RECEIVE} == {"notification", "inventory"}
    assert catalog.services["inventory"].owner == "warehouse"
    queue = catalog.channels["notificationQueueOnSqs"].places
    assert queue == (Place("aws", System.SQS, ChannelKind.QUEUE, "NotificationQueue", ".*NotificationQueue"),)


@pytest.mark.parametrize(
    ("parameters", "default", "meant", "not_meant"),
    [
        ("shop: {default: main}", "main-orders", "other-orders", "main-orders.dlq"),
        ("shop: {enum: [a.b, c]}", "{shop}-orders", "a.b-orders", "axb-orders"),
        ("other: {default: x}", "{shop}-orders", "{shop}-orders", "main-orders"),
    ],
)
def test_an_address_with_parameters_is_every_destination_that_these_allow(
    parameters: str, default: str, meant: str, not_meant: str
) -> None:
    text = change("address: orders", f'address: "{{shop}}-orders"\n    parameters: {{{parameters}}}')
    (place,) = read(text).channels["orders"].places
    assert place.destination == default
    assert place.covers(meant)
    assert not place.covers(not_meant)


def test_consumer_groups_may_be_told_by_a_pattern() -> None:
    operation = next(it for it in load_catalog(SHIPPED).operations if it.key == "inventoryReceivesOnKafka")
    assert operation.groups == ("inventory-group",)
    names = ("inventory-group", "slow-1-inventory-group", "myinventory-group")
    assert [operation.names_group(it) for it in names] == [True, True, False]


def test_an_event_has_its_version_from_the_key_of_its_message() -> None:
    assert list(read(PLAIN).events) == [EventName("Ordered", "1")]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Ordered", ("Ordered", "")),
        ("ordered_v12", ("ordered", "12")),
        ("OrderedV2", ("Ordered", "2")),
        ("v2", ("v2", "")),
    ],
)
def test_versions_are_read_from_the_end_of_names(key: str, name: tuple[str, str]) -> None:
    assert list(read(PLAIN.replace("Ordered.v1", key)).events) == [EventName(*name)]


def test_what_a_schema_refers_to_comes_with_it() -> None:
    text = change("id: {type: string}", 'next: {$ref: "#/components/schemas/Ordered"}')
    payload = read(text).events[EventName("Ordered", "1")].payload
    assert payload is not None
    assert payload.format is Format.JSON
    assert payload.body["properties"]["next"] == {"$ref": "#/$defs/Ordered"}
    assert payload.body["$defs"]["Ordered"]["properties"]["next"] == {"$ref": "#/$defs/Ordered"}


def test_avro_stands_in_a_schema_with_its_format() -> None:
    avro = '{schemaFormat: "application/vnd.apache.avro;version=1.9.0", schema: {type: record, name: O, fields: []}}'
    payload = read(change('{$ref: "#/components/schemas/Ordered"}', avro)).events[EventName("Ordered", "1")].payload
    assert payload is not None
    assert payload.format is Format.AVRO


def test_rabbitmq_queues_are_named_with_their_virtual_host() -> None:
    bindings = "    bindings: {amqp: {is: queue, queue: {name: q, vhost: shop}}}\n    messages:"
    text = change("    messages:", bindings).replace("protocol: kafka", "protocol: amqp")
    assert read(text).channels["orders"].places[0].destination == "shop/q"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("3.0.0", "2.6.0", "catalog.yml:1: /asyncapi: is a version of AsyncAPI that is not read here"),
        ("asyncapi: 3.0.0", "openapi: 3.0.0", "is no AsyncAPI document"),
        ("action: send", "action: sends", "catalog.yml:12: /operations/sendOrders/action: 'sends' is not one of"),
        ("address: orders", "adress: orders", "catalog.yml:6: /channels/orders: has keys that are not known here: ad"),
        ("/messages/Ordered.v1\"", "/messages/Gone\"", ":9: /channels/orders/messages/Ordered.v1/$ref: there is"),
        ("#/components/schemas/Ordered", "file:///etc/passwd", "is outside of this document, and is not fetched"),
        ("#/components/schemas/Ordered", "http://127.0.0.1:1/x", "is outside of this document, and is not fetched"),
        ("type: string", "type: text", "/components/schemas/Ordered/properties/id"),
        ("type: object\n", "$ref: '#/components/schemas/Ordered'\n", "refers to itself and to nothing else"),
        ("action: send", "action: send\n    action: send", ":13: /operations/sendOrders/action: stands twice"),
        ("title: Shop", "title: [Shop", "is neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_place(old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=r"catalog\.yml") as raised:
        read(change(old, new))
    assert told in str(raised.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = change("action: send", "action: sends").replace("address: orders", "adress: orders")
    with pytest.raises(ConfigurationError) as raised:
        read(text)
    assert len(str(raised.value).splitlines()) == 2


def test_a_schema_that_is_no_avro_is_told() -> None:
    schema = "{type: record, name: O, fields: [{name: a, type: Nobody}]}"
    avro = f'{{schemaFormat: "application/vnd.apache.avro;version=1.9.0", schema: {schema}}}'
    with pytest.raises(ConfigurationError, match="is no Avro schema"):
        read(change('{$ref: "#/components/schemas/Ordered"}', avro))


def test_json_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps({"asyncapi": "3.0.0", "info": {"title": "Shop", "version": "1"}}, indent=1))
    assert load_catalog(file).title == "Shop"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "is nested more than 60 levels deep"),
        ("a: &a [x]\nb: &b [*a, *a]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(1, 12)
        ), "more than 60,000 values"),
        ("a: &a {b: *a}", "contains itself"),
        ("n: " + "9" * 5_000, "cannot be read as what it looks like"),
    ],
)  # fmt: skip
def test_what_is_made_to_harm_is_refused_in_bounded_time(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(text)
    assert told in str(raised.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yml"
    file.write_bytes(b"# " * 600_000)
    with pytest.raises(ConfigurationError, match="is larger than"):
        read_document(file)


def test_lines_are_told_of_what_is_nearest() -> None:
    assert Document("a:\n  b: 1\n", "f").place("/a/b/c") == "f:2: /a/b/c"


def test_the_examples_of_the_shipped_catalog_fit_their_schemas() -> None:
    told = [(it.id, example, it.payload) for it in load_catalog(SHIPPED).events.values() for example in it.examples]
    assert len(told) == 3
    assert [find_violations(payload, example) for _, example, payload in told if payload] == [[], [], []]


def test_the_reference_flow_writes_what_the_shipped_catalog_says() -> None:
    catalog, now = load_catalog(SHIPPED), datetime(2026, 1, 31, tzinfo=UTC)
    order = OrderCreated(
        order_id="1", customer_email="a@example.org", currency="EUR", total_cents=1,
        items=[Item(sku="s", quantity=1, unit_price_cents=1)],
    )  # fmt: skip
    document = to_document(Event(event_id("1", "OrderCreated"), "OrderCreated", 1, now, order))
    payload = catalog.events[EventName("OrderCreated", "1")].payload
    assert payload is not None
    assert find_violations(payload, document) == []
    del document["data"]["customer_email"]
    assert [it.field for it in find_violations(payload, document)] == ["data.customer_email"]
