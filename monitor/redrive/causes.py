"""Why messages died, as far as they say: the exception's class, and its message without what varies.

A cause has an id, so that one can be named in a plan; how causes are told apart can be refined behind it.
"""

import hashlib
import re
from dataclasses import dataclass

from monitor.letters import DeadMessage

_VARYING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{16,}\b"), "<hex>"),
    (re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\""), "<text>"),
    (re.compile(r"\d+"), "<n>"),
)


@dataclass(frozen=True, slots=True)
class Cause:
    """What messages of one group have in common."""

    exception: str
    message: str

    @property
    def id(self) -> str:
        """Return the name by which plans and lists take it."""
        return hashlib.sha256(f"{self.exception}\n{self.message}".encode()).hexdigest()[:16]


def cause_of(message: DeadMessage) -> Cause:
    """Return the cause that a message names; both parts are empty where it names none."""
    return Cause(message.exception, normalise(message.exception_message))


def normalise(message: str) -> str:
    """Return an exception's first line without what varies from case to case: ids, numbers, quoted text."""
    line = message.strip().partition("\n")[0][:500]
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return line
