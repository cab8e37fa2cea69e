"""What a comparison of two schemas comes to."""

from dataclasses import dataclass
from enum import StrEnum


class Compatibility(StrEnum):
    """Whether what was written can be read; unknown is never taken for compatible."""

    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a field (dotted, `[]` for the elements of a list; empty for the whole)."""

    field: str
    compatibility: Compatibility
    text: str

    def __str__(self) -> str:
        return f"{self.field or 'the whole'}: {self.text}"


def join(field: str, name: str) -> str:
    """Return the field inside of a field."""
    return f"{field}.{name}" if field and name != "[]" else f"{field}{name}"
