"""Which kind of fault an exception is: by its class where that says it, else by the wording of its message. Pure.

The wordings are those of the validators, parsers, drivers and clients that consumers are made of (Jackson, Gson,
System.Text.Json, Newtonsoft.Json, encoding/json, jsonschema, networknt, everit, ajv, Pydantic, Avro, Protobuf,
Confluent's serializers, JDBC and HTTP clients, Resilience4j, Polly). The first rule that fits counts, so what is more
special stands first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from monitor.analysis.stacks import Fault

_LONGEST_DETAIL = 100
_MOST_REMEMBERED = 4_096


class Kind(StrEnum):
    """Why a message died."""

    SCHEMA = "schema_violation"
    UNREADABLE = "unreadable"
    UNKNOWN_TYPE = "unknown_type"
    EXCEPTION = "exception"
    DOWNSTREAM = "downstream"
    EXPIRED = "expired"
    ATTEMPTS = "too_many_attempts"
    OVERFLOW = "overflow"
    UNROUTABLE = "unroutable"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How sure a cause is."""

    CERTAIN = "certain"  # the broker, or the class of the exception, says it
    LIKELY = "likely"  # the wording of a message, or what the body looks like
    GUESSED = "guessed"  # what else is said fits it
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a fault is taken for. `subject` is the field, or the type, that it is about; empty is not said."""

    kind: Kind
    certainty: Certainty
    subject: str = ""
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: Kind
    pattern: re.Pattern[str]
    certainty: Certainty = Certainty.LIKELY


def _classes(kind: Kind, *names: str) -> _Rule:
    return _Rule(kind, re.compile("|".join(rf"(?:{name})$" for name in names)), Certainty.CERTAIN)


def _wording(kind: Kind, *patterns: str) -> list[_Rule]:
    return [_Rule(kind, re.compile(pattern, re.IGNORECASE)) for pattern in patterns]


_CLASSES = (
    _classes(
        Kind.DUPLICATE,
        r"Duplicate\w{0,30}(?:Exception|Error)?",
        r"UniqueViolation\w{0,20}",
        r"UniqueConstraint\w{0,30}",
        r"AlreadyProcessed\w{0,20}",
        r"AlreadyExists\w{0,20}",
    ),
    _classes(
        Kind.UNKNOWN_TYPE,
        r"InvalidTypeIdException",
        r"ClassNotFoundException",
        r"UnknownEvent\w{0,30}",
        r"UnknownMessage\w{0,30}",
        r"UnsupportedVersion\w{0,20}",
        r"UnsupportedEvent\w{0,30}",
        r"UnsupportedSchema\w{0,20}",
        r"UnknownVersion\w{0,20}",
        r"UnknownType\w{0,20}",
        r"NoHandler\w{0,30}",
        r"UnknownSchema\w{0,20}",
    ),
    _classes(
        Kind.SCHEMA,
        r"UnrecognizedPropertyException",
        r"MismatchedInputException",
        r"InvalidFormatException",
        r"InvalidNullException",
        r"ValueInstantiationException",
        r"JsonSchema\w{0,20}Exception",
        r"ConstraintViolationException",
        r"MethodArgumentNotValidException",
        r"AvroTypeException",
        r"AvroMissingFieldException",
        r"MissingField\w{0,20}",
        r"MissingFieldException",
        r"ValidationException",
        r"ValidationError",
        r"SchemaValidation\w{0,20}",
        r"UnmarshalTypeError",
        r"UnexpectedNullValueException",
        r"DataException",
        r"SchemaParseException",
        r"SchemaException",
        r"ZodError",
    ),
    _classes(
        Kind.UNREADABLE,
        r"JsonParseException",
        r"JsonEOFException",
        r"JsonReaderException",
        r"JSONDecodeError",
        r"MalformedJson\w{0,20}",
        r"EOFException",
        r"UnicodeDecodeError",
        r"CharacterCodingException",
        r"MalformedInputException",
        r"InvalidProtocolBufferException",
        r"DecodeError",
        r"StreamCorruptedException",
        r"ZipException",
        r"BadGzipFile",
        r"InvalidDataException",
        r"DecoderFallbackException",
        r"SAXParseException",
        r"XmlException",
        r"ParserError",
        r"json\.SyntaxError",
    ),
    _classes(
        Kind.DOWNSTREAM,
        r"\w{0,40}Time(?:d)?[Oo]ut\w{0,20}",
        r"ConnectException",
        r"\w{1,40}ConnectionException",
        r"ConnectionRefused\w{0,20}",
        r"ConnectionReset\w{0,20}",
        r"UnknownHostException",
        r"NoRouteToHostException",
        r"CallNotPermittedException",
        r"BrokenCircuitException",
        r"CircuitBreaker\w{0,20}",
        r"ServiceUnavailable\w{0,20}",
        r"ResourceAccessException",
        r"CannotGetJdbcConnectionException",
        r"SQLTransientConnectionException",
        r"HttpServerErrorException\w{0,40}",
        r"ConnectionError",
        r"MaxRetryError",
        r"OperationalError",
        r"TooManyRequests\w{0,20}",
        r"SocketException",
        r"ServerError",
        r"BulkheadFullException",
        r"RequestNotPermitted",
        r"Throttling\w{0,20}",
    ),
    _classes(Kind.OVERFLOW, r"RecordTooLargeException", r"MessageTooLarge\w{0,20}", r"RecordBatchTooLargeException"),
    _classes(Kind.EXPIRED, r"MessageExpired\w{0,20}", r"EventExpired\w{0,20}", r"StaleMessage\w{0,20}"),
    _classes(
        Kind.ATTEMPTS,
        r"RetriesExhausted\w{0,20}",
        r"MaxRetries\w{0,20}",
        r"RetryExhausted\w{0,20}",
        r"RetryLimitExceeded\w{0,20}",
    ),
)

_FIELD = r"[\"'`«\[]?(?P<subject>[\w$.\[\]/-]{1,100}?)[\"'`»\]]?"
_WORD = r"[\"'`]?(?P<{0}>[\w.<>]{{1,80}})[\"'`]?"
_EXPECTED, _FOUND = _WORD.format("expected"), _WORD.format("found")

_WORDINGS = (
    *_wording(
        Kind.DUPLICATE,
        r"duplicate (?:key|entry|message|event)",
        r"unique (?:constraint|violation|index)",
        r"already (?:been )?processed",
        r"primary key (?:constraint|violation)",
        r"\bORA-00001\b",
        r"E11000",
    ),
    *_wording(
        Kind.UNKNOWN_TYPE,
        r"could not resolve type id [\"'](?P<subject>[\w.$-]{1,100})[\"']",
        r"(?:unknown|unsupported|unexpected|unrecogni[sz]ed) (?:event|message|command)(?: |-)?(?:type|name|kind)?:? "
        r"[\"'`]?(?P<subject>[\w.$/-]{1,100})",
        r"(?:unknown|unsupported) (?:schema |event |message )?version:? [\"'`]?(?P<subject>[\w.-]{1,50})",
        r"version [\"'`]?(?P<subject>[\w.-]{1,50})[\"'`]? (?:of \S{1,100} )?is not supported",
        r"no (?:handler|consumer|listener|mapping|converter|deseriali[sz]er)s? (?:was |were |is )?"
        r"(?:found |registered |known |configured )?for(?: message| event)?(?: type)? "
        r"[\"'`]?(?P<subject>[\w.$/-]{1,100})",
        r"(?:the )?class [\"'`](?P<subject>[\w.$]{1,150})[\"'`] is not in the trusted packages",
        r"(?:schema|subject)(?: \S{1,80})? not found",
        r"could not find (?:any )?(?:type|class)",
        r"error code: 4040[123]",
        r"class (?:was )?not found",
    ),
    *_wording(
        Kind.SCHEMA,
        rf"unrecogni[sz]ed (?:field|property) {_FIELD}(?:\s|,|$)",
        rf"unknown (?:field|property) {_FIELD}(?:\s|,|:|$)",
        r"additional properties are not allowed \([\"'](?P<subject>[\w$.-]{1,100})[\"']",
        rf"must have required property {_FIELD}(?:\s|,|$)",
        r"missing required (?:creator )?(?:property|field|key|attribute|header)s?:? [\"'`]?(?P<subject>[\w$.-]{1,100})",
        rf"required (?:property|key|field|attribute) {_FIELD} (?:is |was )?(?:not found|not present|missing|absent)",
        r"[\"'](?P<subject>[\w$.-]{1,100})[\"'] is a required property",
        r"null value in column [\"'](?P<subject>[\w$.-]{1,100})[\"']",
        r"cannot unmarshal (?P<found>\w{1,30}) (?:\S{1,50} )?into Go (?:struct field (?P<subject>[\w.]{1,100})|value) "
        r"of type (?P<expected>[\w.\[\]*]{1,80})",
        rf"cannot deserialize value of type {_EXPECTED} from (?P<found>[\w]{{1,30}})(?: value)?",
        rf"could not be converted to {_EXPECTED}\.? Path: (?P<subject>[\w$.\[\]]{{1,100}})",
        r"could not convert (?P<found>\w{1,30}) to (?P<expected>\w{1,30})[:.]? .{0,200}Path "
        r"[\"'](?P<subject>[\w.\[\]]{1,100})[\"']",
        r"(?P<subject>[#$][\w$./\[\]]{0,100}): expected type: (?P<expected>\w{1,30}), found: (?P<found>\w{1,30})",
        r"(?P<subject>[$][\w$.\[\]]{0,100}): (?P<found>\w{1,30}) found, (?P<expected>\w{1,30}) expected",
        r"(?P<subject>[$][\w$.\[\]]{0,100}): (?:is missing|must not|does not)",
        rf"is not of type {_EXPECTED}",
        rf"found {_FOUND}, expecting {_EXPECTED}(?:, missing required field (?P<subject>\w{{1,100}}))?",
        rf"field {_FIELD} (?:\S{{1,80}} )?(?:is |was |must be |has )?(?:required|missing|not set|null|not present)",
        rf"{_FIELD} (?:must be|should be|expected) (?:an? )?(?P<expected>\w{{1,30}}),? (?:but |got |was |found |not )"
        r"{1,2}(?:an? )?(?P<found>\w{1,30})",
        rf"expected {_EXPECTED},? (?:but )?(?:got|found|was) {_FOUND}(?: (?:for|at|in) (?:field )?{_FIELD}(?:\s|,|$))?",
        rf"{_FIELD} is (?:missing|required|mandatory)",
        rf"{_FIELD} (?:must not be|may not be|cannot be|must be not) (?:null|blank|empty)",
        rf"missing field {_FIELD}(?:\s|,|$)",
        rf"{_FIELD} must be (?:an? )?(?P<expected>string|number|integer|boolean|array|object|null)\b",
        r"\d{1,4} validation errors? for",
        r"does not match (?:the )?schema",
        r"schema validation failed",
    ),
    *_wording(
        Kind.UNREADABLE,
        r"unexpected (?:character|token|end[ -]of[ -](?:input|file|stream|json))",
        r"unknown magic byte",
        r"unexpected end of JSON input",
        r"invalid character .{1,12} (?:looking for|after|in)",
        r"expecting value: line",
        r"(?:is an )?invalid start of a value",
        r"not in gzip format",
        r"invalid (?:utf-?8|wire type|json|tag|header)",
        r"codec can't decode",
        r"error deseriali[sz]ing",
        r"malformed",
        r"unterminated string",
        r"premature end",
        r"(?:cannot|could not|failed to|unable to) (?:parse|decode|deseriali[sz]e|decompress|read) (?:the )?"
        r"(?:message|payload|body|record|json|avro|value|event|xml)",
        r"length is negative",
        r"invalid int encoding",
        r"unsupported codec",
        r"illegal base64",
    ),
    *_wording(
        Kind.DOWNSTREAM,
        r"timed? ?out",
        r"\btimeout\b",
        r"deadline exceeded",
        r"connection (?:was )?(?:refused|reset|closed|aborted)",
        r"connection is not available",
        r"ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN",
        r"no route to host",
        r"(?:unknown|no such) host",
        r"name or service not known",
        r"\b50[234]\b",
        r"\b429\b",
        r"service unavailable",
        r"bad gateway",
        r"too many requests",
        r"circuit ?breaker .{0,80}(?:open|permit)",
        r"circuit is (?:now )?open",
        r"throttl",
        r"rate exceeded",
        r"could not (?:connect|obtain .{0,30}connection)",
        r"broken pipe",
        r"failed to connect",
        r"too many (?:clients|connections)",
        r"temporarily unavailable",
        r"lock wait",
    ),
    *_wording(
        Kind.EXPIRED,
        r"(?:message|event|record) (?:has |is )?(?:expired|too old)",
        r"time[- ]to[- ]live",
        r"maximumeventage",
    ),
    *_wording(
        Kind.OVERFLOW,
        r"(?:message|record|payload|request|entity).{0,40}too large",
        r"larger than .{0,40}max",
        r"exceeds? (?:the )?max(?:imum)? (?:message |record |request )?size",
        r"queue (?:is )?full|max-?length",
    ),
    *_wording(
        Kind.ATTEMPTS,
        r"(?:max(?:imum)?|number of) (?:number of )?(?:delivery |processing )?"
        r"(?:retries|attempts|deliver(?:y|ies)).{0,40}"
        r"(?:reached|exceeded|exhausted)",
        r"retr(?:y|ies) (?:attempts )?(?:were |are )?exhausted",
        r"delivery (?:count|limit) .{0,30}(?:exceeded|reached)",
        r"retries exceeded",
    ),
    *_wording(
        Kind.UNROUTABLE,
        r"NO_ROUTE|\bunroutable\b",
        r"filter(?:ed)? (?:policy|out)",
        r"NO_PERMISSIONS|NO_RESOURCE|RESOURCE_NOT_FOUND",
        r"(?:queue|exchange|topic|endpoint|target) .{0,100}(?:does not|doesn't) exist",
        r"AccessDenied|not authorized to",
        r"UNKNOWN_TOPIC_OR_PARTITION|NonExistentQueue",
    ),
)

_CHAIN = re.compile(r"through reference chain: (.{1,600}?)\)")
_CHAIN_PART = re.compile(r"\[\"([^\"\]]{1,80})\"\]")
_KEY_ERROR = re.compile(r"^[\"']([\w.-]{1,80})[\"']$")


_DETAILED = frozenset({Kind.SCHEMA, Kind.UNREADABLE, Kind.UNKNOWN_TYPE})
"""Kinds of which the wording says more than the class."""


def read_fault(fault: Fault, whole: str = "") -> Reading:
    """Return what a fault is taken for; `whole` is all of the text that it comes from, for what stands further down."""
    short = fault.exception.replace("$", ".").rpartition(".")[2]
    by_class = next((rule for rule in _CLASSES if rule.pattern.match(short)), None) if short else None
    if short == "KeyError" and (key := _KEY_ERROR.match(fault.message)):
        return Reading(Kind.SCHEMA, Certainty.GUESSED, key[1])
    if by_class is not None and by_class.kind not in _DETAILED:
        return Reading(by_class.kind, by_class.certainty)
    worded = _read_wording(fault.message)
    if by_class is None and worded is None:
        return Reading(Kind.EXCEPTION, Certainty.CERTAIN if fault.exception else Certainty.LIKELY)
    if by_class is None or (worded is not None and _is_finer(worded.kind, by_class.kind)):
        found = worded or Reading(Kind.EXCEPTION, Certainty.LIKELY)
    else:
        same = worded if worded is not None and worded.kind is by_class.kind else None
        detail = (same.subject, same.expected, same.found) if same else ()
        found = Reading(by_class.kind, by_class.certainty, *detail)
    if found.kind is Kind.SCHEMA and not found.subject:
        return Reading(found.kind, found.certainty, _find_subject(whole), found.expected, found.found)
    return found


def _is_finer(worded: Kind, by_class: Kind) -> bool:
    """Say whether the wording tells more than the class: what validates and parses also says what it does not know."""
    return by_class is Kind.SCHEMA and worded in (Kind.UNKNOWN_TYPE, Kind.UNREADABLE, Kind.DUPLICATE)


@lru_cache(maxsize=_MOST_REMEMBERED)
def _read_wording(message: str) -> Reading | None:
    for rule in _WORDINGS:
        if match := rule.pattern.search(message):
            parts: Mapping[str, str | None] = match.groupdict()
            detail = {name: _clean(parts.get(name)) for name in ("subject", "expected", "found")}
            return Reading(rule.kind, rule.certainty, **detail)
    return None


def _clean(part: str | None) -> str:
    return (part or "").rstrip(".,:;")[:_LONGEST_DETAIL]


def _find_subject(text: str) -> str:
    """Return the field that a text names further down: Jackson's chain of references, or Pydantic's second line."""
    if match := _CHAIN.search(text):
        return ".".join(_CHAIN_PART.findall(match[1]))[:_LONGEST_DETAIL]
    lines = text[:4_000].split("\n")
    if "validation error" in lines[0] and len(lines) > 1 and re.fullmatch(r"[\w.]{1,100}", lines[1].strip()):
        return lines[1].strip()
    return ""
