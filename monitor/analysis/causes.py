"""Why a dead letter died: a kind, how sure that is, and what says so. Pure functions over single letters.

What frameworks wrote about an exception counts first, then what the broker says, then what the body looks like. The
rules with their reasons stand in docs/causes.md. Letters that died of the same thing have the same `Cause.id`: it is
made of the class of the exception, what it says without what varies, where it came up and the field or type that it is
about, and of nothing that a bus, a framework, a time or a restart adds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from monitor.analysis.deaths import Death, read_death
from monitor.analysis.faults import Certainty, Kind, Reading, read_fault
from monitor.analysis.payloads import Look, look_at
from monitor.analysis.stacks import Fault, find_fault
from monitor.analysis.texts import first_line, normalise
from monitor.conventions import CONVENTIONS, Trace, read_trace
from monitor.letters import DeadMessage

BODY = "body"
_LONGEST_HEADER = 65_536
_LONGEST_EVIDENCE = 200


@dataclass(frozen=True, slots=True)
class Evidence:
    """What says so: the name of a header or property, or `body`, and its text."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a letter died, as far as can be known. Empty is not said.

    `message` is what the exception says, without what varies; `frame` where in the program it came up. `subject` is the
    field, or the type, that it is about; `expected` and `found` are what that was to be and was.
    """

    kind: Kind
    certainty: Certainty
    exception: str = ""
    message: str = ""
    frame: str = ""
    subject: str = ""
    expected: str = ""
    found: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def id(self) -> str:
        """Return the name by which plans and lists take it."""
        return hashlib.sha256("\n".join(self._told()).encode("utf-8", "replace")).hexdigest()[:16]

    def _told(self) -> tuple[str, ...]:
        if self.exception or self.message:
            return (self.exception, self.message, self.frame, normalise(self.subject))
        # Without an exception the kind is all there is, and of a body what is wrong with it.
        return ("", self.kind.value, *(normalise(it.text) for it in self.evidence if it.where == BODY))

    def without_texts(self) -> "Cause":
        """Return it for whoever may not see what exceptions and bodies say: what quotes a message is left out."""
        return replace(self, message="", subject="", expected="", found="", evidence=())


def cause_of(message: DeadMessage) -> Cause:
    """Return why a dead letter died."""
    headers = texts_of(message)
    trace = _trace_of(message)
    death = read_death(message, headers)
    said = "" if death is not None and message.exception == death.text else message.exception
    fault = find_fault(said, message.exception_message, trace.stacktrace)
    if fault.exception or fault.message:
        return _of_fault(message, trace, fault, death)
    look = look_at(message.value, headers)
    if look.flaw and (death is None or death.certainty is not Certainty.CERTAIN):
        return Cause(Kind.UNREADABLE, Certainty.LIKELY, evidence=(Evidence(BODY, _say_look(look)), *_told_by(death)))
    if death is not None:
        return Cause(death.kind, death.certainty, evidence=_told_by(death))
    return Cause(Kind.UNKNOWN, Certainty.NONE)


def texts_of(message: DeadMessage) -> dict[str, str]:
    """Return the headers as texts by their names in lower case; the last of several counts."""
    return {
        header.name.lower(): header.value[:_LONGEST_HEADER].decode("utf-8", "replace")
        for header in message.headers
        if header.value is not None
    }


def _trace_of(message: DeadMessage) -> Trace:
    return read_trace((header.name, header.value) for header in message.headers) if message.headers else Trace()


def _of_fault(message: DeadMessage, trace: Trace, fault: Fault, death: Death | None) -> Cause:
    whole = f"{message.exception_message}\n{trace.stacktrace}"
    reading = read_fault(fault, whole)
    if reading.kind is Kind.EXCEPTION and not fault.exception and death is not None:
        reading = Reading(death.kind, death.certainty)  # text alone, that says less than the broker
    return Cause(
        reading.kind,
        reading.certainty,
        fault.exception,
        normalise(fault.message),
        fault.frame,
        reading.subject,
        reading.expected,
        reading.found,
        (*_quote(message, trace, fault), *_told_by(death)),
    )


def _quote(message: DeadMessage, trace: Trace, fault: Fault) -> tuple[Evidence, ...]:
    """Return the headers that tell of the exception, with what they say."""
    names = _headers_of(message, trace)
    told = []
    if fault.exception:
        told.append(Evidence(names.get("exception") or names.get("stacktrace") or "exception", fault.exception))
    if fault.message:
        told.append(Evidence(names.get("message") or names.get("stacktrace") or "message", _cut(fault.message)))
    if fault.frame:
        told.append(Evidence(names.get("stacktrace") or names.get("message") or "stack", fault.frame))
    return tuple(told)


def _headers_of(message: DeadMessage, trace: Trace) -> Mapping[str, str]:
    """Return which headers of the framework hold class, message and stack."""
    convention = next((it for it in CONVENTIONS if it.framework == trace.framework), None)
    if convention is None:
        return {}
    present = {header.name.lower(): header.name for header in message.headers if header.value is not None}
    sought = {
        "exception": convention.exception,
        "message": convention.message,
        "stacktrace": convention.stacktrace,
    }
    return {
        key: next((present[name.lower()] for name in names if name.lower() in present), "")
        for key, names in sought.items()
    }


def _told_by(death: Death | None) -> tuple[Evidence, ...]:
    return () if death is None else (Evidence(death.where, _cut(death.text)),)


def _say_look(look: Look) -> str:
    return f"{look.form}: {look.flaw}" if look.form else look.flaw


def _cut(text: str) -> str:
    return first_line(text)[:_LONGEST_EVIDENCE]
