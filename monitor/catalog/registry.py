"""A schema registry that answers as Confluent's does, asked for schemas by their number.

Its address comes from the configuration alone; what messages name is a number, so that nobody can have anything else
fetched. Answers are kept, failures for half a minute, and new numbers are asked for at a bounded rate, since whoever
writes messages chooses them.
"""

import json
import ssl
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import httpx
from avro.errors import AvroException

from monitor.catalog.avro_schemas import parse_schema
from monitor.catalog.json_schemas import find_flaw
from monitor.catalog.model import Format, Schema
from monitor.clock import Clock

_TIMEOUT_SECONDS = 2.0
_LARGEST_ANSWER_BYTES = 1_000_000
_MOST_KEPT = 500
_FAILURE_KEPT_SECONDS = 30.0
_MOST_ASKED, _ASKED_WITHIN_SECONDS = 20, 10.0
_FORMATS = {"AVRO": Format.AVRO, "JSON": Format.JSON}


class NoSchema(Exception):
    """A schema that cannot be had now; `str()` says why."""


@dataclass(frozen=True, slots=True)
class _Kept:
    found: Schema | NoSchema
    until: float | None


class SchemaRegistry:
    """One registry. Thread-safe."""

    def __init__(self, url: str, clock: Clock, tls: ssl.SSLContext | None = None) -> None:
        self._clock = clock
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/",
            timeout=_TIMEOUT_SECONDS,
            verify=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # without files: at http nobody asks it
            follow_redirects=False,
            trust_env=False,
        )
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._asked: deque[float] = deque()
        self._away_until = float("-inf")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def find(self, number: int) -> Schema:
        """Return a schema by its number. Raises NoSchema."""
        now = self._clock.monotonic()
        with self._lock:  # one at a time: a page of messages names few schemas, and each is asked for once
            kept = self._kept.get(number)
            if kept is None or (kept.until is not None and kept.until <= now):
                kept = self._ask(number, now)
        if isinstance(kept.found, NoSchema):
            raise kept.found
        return kept.found

    def _ask(self, number: int, now: float) -> _Kept:
        if now < self._away_until:
            return _Kept(NoSchema("the registry did not answer just now; look again later"), now)
        while self._asked and self._asked[0] <= now - _ASKED_WITHIN_SECONDS:
            self._asked.popleft()
        if len(self._asked) >= _MOST_ASKED:
            return _Kept(NoSchema("the registry was asked for many others just now; look again later"), now)
        self._asked.append(now)
        try:
            kept = _Kept(self._fetch(number), None)
        except NoSchema as error:
            kept = _Kept(error, now + _FAILURE_KEPT_SECONDS)
        self._kept[number] = kept
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _fetch(self, number: int) -> Schema:
        try:
            with self._http.stream("GET", f"schemas/ids/{number}") as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise NoSchema(f"the registry has no schema {number}")
                if answer.status_code != httpx.codes.OK:
                    raise NoSchema(f"the registry answers with status {answer.status_code}")
                body = self._read(answer)
        except (httpx.HTTPError, TimeoutError, RuntimeError) as error:  # the last of a client that a reload has closed
            # One that does not answer costs its timeout once, and not for each schema of a page.
            self._away_until = self._clock.monotonic() + _FAILURE_KEPT_SECONDS
            # Without the library's text, which may quote an address with credentials.
            raise NoSchema(f"the registry cannot be asked ({type(error).__name__})") from error
        return _schema_of(body, number)

    def _read(self, answer: httpx.Response) -> bytes:
        """Return the body, in time as a whole: the library's own limit is on each piece of it."""
        until = self._clock.monotonic() + _TIMEOUT_SECONDS
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_ANSWER_BYTES:
                raise NoSchema("the registry's answer is too large")
            if self._clock.monotonic() > until:
                raise TimeoutError
        return b"".join(pieces)


def _schema_of(body: bytes, number: int) -> Schema:
    try:
        told: Any = json.loads(body)
        kind, text = told.get("schemaType") or "AVRO", told["schema"]
        if kind not in _FORMATS:
            raise NoSchema(f"schema {number} is of type {str(kind)[:40]}, by which bodies are not read here")
        if told.get("references"):
            raise NoSchema(f"schema {number} refers to others of the registry, which are not read here")
        found = Schema(_FORMATS[kind], json.loads(text), str(kind))
        if found.format is Format.AVRO:
            parse_schema(found.body)
        elif flaw := find_flaw(found):
            raise NoSchema(f"schema {number} {flaw}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AvroException) as error:
        raise NoSchema(f"what the registry answers for schema {number} is no schema") from error
    return found
