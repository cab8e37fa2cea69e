"""A single schema from a file: Avro where it looks like Avro, otherwise JSON Schema."""

from collections.abc import Mapping
from typing import Any

from avro.errors import AvroException

from monitor.catalog.avro_schemas import parse_schema
from monitor.catalog.json_schemas import find_flaw
from monitor.catalog.model import Format, Schema
from monitor.catalog.reading import Document
from monitor.errors import ConfigurationError

_AVRO_TYPES = frozenset(("record", "enum", "fixed", "map"))


def read_schema(document: Document) -> Schema:
    """Return the schema that a document is. Raises ConfigurationError for what is none."""
    if _is_avro(document.values, document.name):
        try:
            parse_schema(document.values)
        except AvroException as error:
            raise ConfigurationError(f"is no Avro schema: {error}", place=document.name) from error
        return Schema(Format.AVRO, document.values)
    schema = Schema(Format.JSON, document.values)
    if flaw := find_flaw(schema):
        raise ConfigurationError(flaw, place=document.name)
    return schema


def _is_avro(values: Any, name: str) -> bool:
    """Avro has types of its own; what both have (`string`) is Avro in a file that is called so."""
    if name.endswith(".avsc") or isinstance(values, list):
        return True
    return isinstance(values, Mapping) and values.get("type") in _AVRO_TYPES
