"""Bodies that a schema decodes: by a registry's number, by the catalog, and those that cannot be read."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from avro.io import BinaryEncoder, DatumWriter

from monitor.catalog.avro_schemas import parse_schema
from monitor.catalog.bodies import Body, read_body
from monitor.catalog.registry import NoSchema, SchemaRegistry
from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.letters import DeadMessage, Header
from monitor.redrive.messages import tell_decoded
from tests.unit.catalog.documents import change, read
from tests.unit.catalog.registry import fake_registry

ORDERED = {
    "type": "record",
    "name": "Ordered",
    "fields": [{"name": "id", "type": "string"}, {"name": "pic", "type": "bytes"}],
}
PLAIN_JSON = {"type": "object", "required": ["id"]}
ANSWERS: dict[str, tuple[int, Any]] = {
    "/schemas/ids/7": (200, {"schema": json.dumps(ORDERED)}),
    "/schemas/ids/8": (200, {"schema": json.dumps(PLAIN_JSON), "schemaType": "JSON"}),
    "/schemas/ids/9": (200, {"schema": "syntax = proto3", "schemaType": "PROTOBUF"}),
    "/schemas/ids/10": (
        200,
        {"schema": json.dumps(ORDERED), "references": [{"name": "x", "subject": "y", "version": 1}]},
    ),
    "/schemas/ids/11": (200, {"schema": "{not json"}),
    "/schemas/ids/12": (503, {}),
    "/schemas/ids/13": (200, b"x" * 1_100_000),
    "/schemas/ids/14": (200, ["no", "object"]),
}


def write(value: Any) -> bytes:
    stream = io.BytesIO()
    DatumWriter(parse_schema(ORDERED)).write(value, BinaryEncoder(stream))
    return stream.getvalue()


AVRO = write({"id": "a", "pic": b"\xff\x00"})


def framed(number: int, body: bytes) -> DeadMessage:
    return DeadMessage("0:0", {}, None, b"\x00" + number.to_bytes(4, "big") + body)


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with fake_registry(ANSWERS) as (url, _):
        opened = SchemaRegistry(url, Clock())
        yield opened
        opened.close()


def test_a_framed_avro_body_is_decoded_by_the_schema_that_it_names(registry: SchemaRegistry) -> None:
    body = read_body(framed(7, AVRO), None, registry)
    assert (body.value, body.named) == ({"id": "a", "pic": "ÿ\x00"}, "schema 7 of the registry")


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ((), '{"id": "a", "pic": "ÿ\\u0000"}'),
        (("/headers/from", "/body/pic"), '{"id": "a", "pic": "***"}'),
        (("/body/*",), '{"id": "***", "pic": "***"}'),
        (("/body",), '"***"'),
        (("",), None),
    ],
)
def test_a_decoded_body_shows_what_masking_leaves(hidden: tuple[str, ...], shown: str | None) -> None:
    with fake_registry(ANSWERS) as (url, _):
        schemas = Schemas(Configuration.model_validate({"schema_registry": {"url": url}}), Clock())
        told = tell_decoded(framed(7, AVRO), hidden, schemas)
        schemas.close()
    assert told["value_decoded"] == shown


SNS = {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Message": '{"id": "a"}'}


@pytest.mark.parametrize(
    ("change", "value", "named"),
    [
        ({}, {"id": "a"}, "the notification of SNS"),
        ({"Message": "no JSON"}, SNS | {"Message": "no JSON"}, ""),
        ({"Type": "Order"}, SNS | {"Type": "Order"}, ""),
    ],
)
def test_what_sns_wraps_is_read(change: dict[str, str], value: Any, named: str) -> None:
    body = read_body(DeadMessage("0:0", {}, None, json.dumps(SNS | change).encode()), None, None)
    assert (body.value, body.named) == (value, named)


def test_of_what_sns_wraps_nothing_is_decoded_where_something_is_hidden() -> None:
    schemas, message = Schemas(Configuration(), Clock()), DeadMessage("0:0", {}, None, json.dumps(SNS).encode())
    shown = [tell_decoded(message, hidden, schemas)["value_decoded"] for hidden in ((), ("/body/Message",))]
    assert shown == ['{"id": "a"}', None]


def test_a_framed_json_body_is_read_behind_its_frame(registry: SchemaRegistry) -> None:
    body = read_body(framed(8, b'{"id": "a"}'), None, registry)
    assert (body.value, body.named) == ({"id": "a"}, "schema 8 of the registry")


@pytest.mark.parametrize(
    ("number", "value", "note"),
    [
        (7, AVRO[:1], "by schema 7 of the registry: it does not follow its schema (InvalidAvroBinaryEncoding)"),
        (7, AVRO + b"x", "by schema 7 of the registry: it goes on behind what its schema says"),
        (8, b"{", "by schema 8 of the registry: it is no JSON that can be read"),
        (8, b"[" * 100_000, "by schema 8 of the registry: it is no JSON that can be read"),
        (9, AVRO, "schema 9 is of type PROTOBUF, by which bodies are not read here"),
        (10, AVRO, "schema 10 refers to others of the registry, which are not read here"),
        (11, AVRO, "what the registry answers for schema 11 is no schema"),
        (12, AVRO, "the registry answers with status 503"),
        (13, AVRO, "the registry's answer is too large"),
        (14, AVRO, "what the registry answers for schema 14 is no schema"),
        (404, AVRO, "the registry has no schema 404"),
    ],
)
def test_what_cannot_be_decoded_is_told_why(registry: SchemaRegistry, number: int, value: bytes, note: str) -> None:
    assert read_body(framed(number, value), None, registry) == Body(note=note)


def test_without_a_registry_a_framed_body_stays_as_it_is() -> None:
    assert read_body(framed(7, AVRO), None, None) == Body(note="no schema registry is configured")


def test_a_registry_is_asked_once_for_a_schema_and_its_failures_are_kept_for_a_while() -> None:
    now = [0.0]
    with fake_registry(ANSWERS) as (url, asked):
        registry = SchemaRegistry(url, Clock(monotonic=lambda: now[0]))
        for _ in range(3):
            registry.find(7)
            with pytest.raises(NoSchema):
                registry.find(404)
        assert asked == ["/schemas/ids/7", "/schemas/ids/404"]
        now[0] = 31.0
        with pytest.raises(NoSchema):
            registry.find(404)
        assert asked[2:] == ["/schemas/ids/404"]
        registry.close()


def test_whoever_writes_numbers_cannot_have_the_registry_asked_without_end() -> None:
    with fake_registry({}) as (url, asked):
        registry = SchemaRegistry(url, Clock(monotonic=lambda: 0.0))
        for number in range(50):
            with pytest.raises(NoSchema):
                registry.find(number)
        assert len(asked) == 20
        registry.close()


def test_a_registry_that_is_not_there_is_told_without_its_address() -> None:
    registry = SchemaRegistry("http://user:secret@127.0.0.1:1", Clock())
    with pytest.raises(NoSchema, match=r"^the registry cannot be asked \(ConnectError\)$"):
        registry.find(7)
    with pytest.raises(NoSchema, match=r"^the registry did not answer just now"):
        registry.find(8)
    registry.close()


CATALOG = read(
    change(
        '{$ref: "#/components/schemas/Ordered"}',
        '{schemaFormat: "application/vnd.apache.avro;version=1.9.0", schema: ' + json.dumps(ORDERED) + "}",
    )
)


def avro_message(**headers: str) -> DeadMessage:
    told = (Header("content-type", b"avro/binary"), *(Header(name, it.encode()) for name, it in headers.items()))
    return DeadMessage("0:0", {}, None, AVRO, told)


def test_avro_without_a_frame_is_decoded_by_the_event_that_its_headers_name() -> None:
    body = read_body(avro_message(ce_type="Ordered"), CATALOG, None)
    assert (body.value, body.named) == ({"id": "a", "pic": "ÿ\x00"}, "Ordered 1 of the catalog")


def test_avro_that_no_header_names_stays_as_it_is() -> None:
    note = "it is Avro without its schema, and its headers name none of the catalog"
    assert read_body(avro_message(), CATALOG, None) == Body(note=note)


@pytest.mark.parametrize("value", [None, b"", b"\x1f\x8b\x08bomb", b"text", b"{", b"\x00\x01"])
def test_what_is_no_encoded_body_is_left_alone(value: bytes | None) -> None:
    assert not read_body(DeadMessage("0:0", {}, None, value), CATALOG, None).is_read


def test_json_is_read_as_it_is() -> None:
    assert read_body(DeadMessage("0:0", {}, None, b'{"id": null}'), None, None) == Body({"id": None})
