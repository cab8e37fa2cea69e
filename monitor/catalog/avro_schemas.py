"""Avro by Apache's own library: schemas, whether one reads what another wrote, and bodies.

The library goes through a body in Python, so that what is made to harm ends in an error and not the process; how much
it may make of a body is counted. Nothing here is fetched.
"""

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType, lookup_writer_field
from avro.errors import AvroException
from avro.io import BinaryDecoder, DatumReader
from avro.schema import ArraySchema, MapSchema, RecordSchema, UnionSchema, parse
from avro.schema import Schema as AvroSchema

from monitor.catalog.model import Schema
from monitor.catalog.problems import Compatibility, Problem, join

LARGEST_BODY_BYTES = 1 << 16
_MOST_VALUES = 20_000
_MOST_KEPT = 64
"""Schemas, and comparisons of two, that are kept: many messages have the same."""
_LONGEST_TOLD = 200


class CannotDecode(Exception):
    """A body that the schema does not lead through; `str()` says why, without quoting it."""


def parse_schema(body: Any) -> AvroSchema:
    """Return a schema as the library knows it. Raises AvroException, also for what is nested too deeply."""
    try:
        return _parse(json.dumps(body))
    except (RecursionError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise AvroException(f"it cannot be read as one ({type(error).__name__})") from error


@lru_cache(maxsize=_MOST_KEPT)
def _parse(text: str) -> AvroSchema:
    return parse(text)


def find_avro_problems(reader: Schema, writer: Schema) -> list[Problem]:
    """Return what keeps a reader from reading what a writer wrote."""
    try:
        return list(_compare(json.dumps(reader.body), json.dumps(writer.body)))
    except (RecursionError, TypeError, ValueError) as error:
        return [_incomparable(error)]


@lru_cache(maxsize=_MOST_KEPT)
def _compare(reader: str, writer: str) -> tuple[Problem, ...]:
    try:
        return tuple(dict.fromkeys(_problems(_parse(reader), _parse(writer), "", set())))
    except (AvroException, RecursionError, TypeError, ValueError, KeyError, AttributeError) as error:
        return (_incomparable(error),)


def _incomparable(error: Exception) -> Problem:
    return Problem("", Compatibility.UNKNOWN, f"cannot be compared: {str(error)[:_LONGEST_TOLD]}")


def _problems(reader: AvroSchema, writer: AvroSchema, field: str, passed: set[tuple[int, int]]) -> Iterator[Problem]:
    """Yield the places at which the library finds two schemas incompatible, the innermost ones that have a name."""
    pair = (id(reader), id(writer))
    if pair in passed:
        return
    passed.add(pair)
    found = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
    if found.compatibility is SchemaCompatibilityType.compatible:
        return
    inner = list(_inner_problems(reader, writer, field, passed))
    yield from inner or [_problem(field, "; ".join(sorted(found.messages)))]


def _inner_problems(
    reader: AvroSchema, writer: AvroSchema, field: str, passed: set[tuple[int, int]]
) -> Iterator[Problem]:
    if isinstance(reader, RecordSchema) and isinstance(writer, RecordSchema):
        for of_reader in reader.fields:
            of_writer = lookup_writer_field(writer, of_reader)
            if of_writer is not None:
                yield from _problems(of_reader.type, of_writer.type, join(field, of_reader.name), passed)
            elif not of_reader.has_default:
                yield _problem(join(field, of_reader.name), "was not written, and has no default")
    elif isinstance(reader, ArraySchema) and isinstance(writer, ArraySchema):
        yield from _problems(reader.items, writer.items, join(field, "[]"), passed)
    elif isinstance(reader, MapSchema) and isinstance(writer, MapSchema):
        yield from _problems(reader.values, writer.values, join(field, "*"), passed)
    elif isinstance(reader, UnionSchema) and isinstance(writer, UnionSchema):
        records = [[it for it in union.schemas if isinstance(it, RecordSchema)] for union in (reader, writer)]
        if len(records[0]) == len(records[1]) == 1:
            yield from _problems(records[0][0], records[1][0], field, passed)


def _problem(field: str, text: str) -> Problem:
    return Problem(field, Compatibility.INCOMPATIBLE, text[:_LONGEST_TOLD])


class _Bounded(DatumReader):
    """Counts the values that it makes: a list of a million nothings takes three bytes."""

    left = _MOST_VALUES

    def read_data(self, writers_schema: AvroSchema, readers_schema: AvroSchema, decoder: BinaryDecoder) -> Any:
        self.left -= 1
        if self.left < 0:
            raise CannotDecode(f"it holds more than {_MOST_VALUES:,} values")
        return super().read_data(writers_schema, readers_schema, decoder)

    def skip_data(self, writers_schema: AvroSchema, decoder: BinaryDecoder) -> None:
        self.left -= 1
        if self.left < 0:
            raise CannotDecode(f"it holds more than {_MOST_VALUES:,} values")
        super().skip_data(writers_schema, decoder)


def decode(body: bytes, schema: Schema) -> Any:
    """Return what a body holds that was written by a schema. Raises CannotDecode."""
    if len(body) > LARGEST_BODY_BYTES:
        raise CannotDecode(f"it is larger than {LARGEST_BODY_BYTES:,} bytes")
    stream = io.BytesIO(body)
    try:
        written = parse_schema(schema.body)
        value = _Bounded(written, written).read(BinaryDecoder(stream))
    except RecursionError:
        raise CannotDecode("it is nested too deeply") from None
    except (AvroException, ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        # The library has errors of its own for some of what cannot be read, and Python's for the rest.
        raise CannotDecode(f"it does not follow its schema ({type(error).__name__})") from error
    if stream.read(1):
        raise CannotDecode("it goes on behind what its schema says")
    return value
