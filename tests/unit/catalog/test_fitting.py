"""Which event a body is, whether it fits, and the patch that would make it fit."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonpatch import apply_patch

from monitor.catalog.fitting import Fit, Fitter
from monitor.catalog.identifying import Letter, Where
from monitor.catalog.json_schemas import Violation
from monitor.catalog.loading import load_catalog
from monitor.catalog.model import Catalog, EventName
from tests.unit.catalog.documents import PLAIN, change, read

CATALOG = load_catalog(Path(__file__).parents[3] / "config" / "catalog.yml")
HERE = Where("orders", "order-events", "inventory-group")
ONE, TWO = (CATALOG.events[EventName("OrderCreated", it)] for it in ("1", "2"))


def fit(catalog: Catalog, value: Any, told: dict[str, str], where: Where) -> Fit | None:
    return Fitter(catalog).fit(Letter(value, told, where))


def body(version: int = 1) -> Any:
    return deepcopy((ONE if version == 1 else TWO).examples[0])


def look(value: Any, where: Where = HERE, **told: str) -> Fit:
    found = fit(CATALOG, value, told, where)
    assert found is not None
    return found


def test_what_fits_is_told_as_such() -> None:
    found = look(body())
    assert (found.wrote, found.violations, found.fits, found.patch) == (ONE.id, (), ONE.id, None)
    assert found.told_by == "type and schema_version of the body"
    assert found.known == (ONE.id,)


def test_a_missing_field_is_named_and_what_cannot_be_mended_gets_no_patch() -> None:
    value = body()
    del value["data"]["customer_email"]
    found = look(value)
    assert found.violations == (Violation("data.customer_email", "a value", "nothing"),)
    assert (found.fits, found.patch) == (None, None)


def test_a_wrong_type_is_named_with_what_was_found() -> None:
    value = body()
    value["data"]["items"][0]["quantity"] = "three"
    assert look(value).violations == (Violation("data.items.0.quantity", "integer", "string"),)


def test_a_version_that_the_reader_does_not_know_is_mapped_to_the_one_it_knows() -> None:
    found = look(body(2))
    assert (found.wrote, found.read_as, found.fits) == (TWO.id, ONE.id, TWO.id)
    assert [it.field for it in found.violations] == ["data.customer_email", "data.currency", "data.total_cents"]
    assert found.patch is not None
    patched = apply_patch(body(2), found.patch)
    assert look(patched).violations == ()
    assert look(patched).wrote == ONE.id
    assert {"op": "move", "from": "/data/customer/email", "path": "/data/customer_email"} in found.patch


def test_the_reader_is_known_by_an_address_and_groups_with_parameters() -> None:
    found = look(body(2), Where("orders", "some-flow-order-events", "some-flow-inventory-group"))
    assert (found.wrote, found.read_as, found.known) == (TWO.id, ONE.id, (ONE.id,))


def test_a_version_that_nobody_has_written_down_is_told_by_its_number() -> None:
    value = body()
    value["schema_version"] = 7
    found = look(value)
    assert found.wrote == EventName("OrderCreated", "7")
    assert found.fits == ONE.id
    assert found.patch == ({"op": "replace", "path": "/schema_version", "value": 1},)


@pytest.mark.parametrize("value", [None, 1, "text", [], {}, {"type": "Other"}, {"type": ["OrderCreated"]}])
def test_what_is_no_event_of_the_catalog_is_not_judged(value: Any) -> None:
    assert fit(CATALOG, value, {}, HERE) is None


SHOP = Where("orders", "orders")


def test_headers_name_the_event_where_the_body_does_not() -> None:
    found = fit(read(PLAIN), {"id": 7}, {"type": "Ordered"}, SHOP)
    assert found is not None
    assert found.told_by == "its headers"
    assert found.violations == (Violation("id", "string", "integer"),)


def test_the_address_of_its_schema_names_the_event_and_is_not_fetched() -> None:
    uri = "https://127.0.0.1:1/schemas/ordered-1"
    text = change("      payload:", f"      x-dataschema: {uri}\n      payload:")
    found = fit(read(text), {"id": "a"}, {"schema": uri}, SHOP)
    assert found is not None
    assert (found.wrote, found.told_by, found.violations) == (
        EventName("Ordered", "1"),
        "the address of its schema",
        (),
    )


@pytest.mark.parametrize(
    ("properties", "value", "patch"),
    [
        ("note: {type: string, default: none}", {"id": "a"}, [{"op": "add", "path": "/note", "value": "none"}]),
        ("note: {type: string, x-renamed-from: /remark}", {"id": "a", "remark": "x"},
         [{"op": "move", "from": "/remark", "path": "/note"}]),
        ("note: {type: object, required: [text], properties: {text: {type: string, x-renamed-from: /remark}}}",
         {"id": "a", "remark": "x"},
         [{"op": "add", "path": "/note", "value": {}}, {"op": "move", "from": "/remark", "path": "/note/text"}]),
        ("note: {type: string}", {"id": "a", "remark": "x"}, None),
        ("note: {type: string, default: 7}", {"id": "a"}, None),
    ],
)  # fmt: skip
def test_only_what_schemas_say_is_mended(properties: str, value: Any, patch: list[Any] | None) -> None:
    text = change("required: [id]", "required: [id, note]").replace(
        "id: {type: string}", f"id: {{type: string}}\n        {properties}"
    )
    found = fit(read(text), value, {"type": "Ordered"}, SHOP)
    assert found is not None
    assert found.patch == (tuple(patch) if patch else None)


def test_a_field_that_is_not_allowed_any_more_is_removed() -> None:
    text = change("required: [id]", "required: [id]\n      additionalProperties: false")
    found = fit(read(text), {"id": "a", "old": 1}, {"type": "Ordered"}, SHOP)
    assert found is not None
    assert found.patch == ({"op": "remove", "path": "/old"},)


def test_what_stands_where_the_schema_is_false_is_told_and_takes_nothing_else_with_it() -> None:
    text = change("id: {type: string}", "id: {type: string}\n        note: {type: object, properties: {old: false}}")
    found = fit(read(text), {"id": "a", "note": {"old": 1, "new": 2}}, {"type": "Ordered"}, SHOP)
    assert found is not None
    assert found.violations == (Violation("note", "nothing where the schema is false", "integer"),)
    assert found.patch is None


def test_a_body_or_schema_that_goes_too_deep_is_not_judged() -> None:
    text = change("id: {type: string}", 'id: {$ref: "#/components/schemas/Ordered"}').replace(
        "type: object\n", "allOf: [{$ref: '#/components/schemas/Ordered'}]\n"
    )
    found = fit(read(text), {"id": "a"}, {"type": "Ordered"}, SHOP)
    assert found is not None
    assert found.unjudged == "the schema, or the body, goes too deep"
