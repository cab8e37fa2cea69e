"""What sections are made of."""

from fnmatch import fnmatchcase
from typing import Any
from zlib import crc32

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Filter(Section):
    """Names to watch, as shell patterns: what `include` matches and `exclude` does not."""

    include: list[str] = ["*"]
    exclude: list[str] = []

    def matches(self, name: str) -> bool:
        """Say whether `name` is to be watched."""
        return any(fnmatchcase(name, p) for p in self.include) and not any(fnmatchcase(name, p) for p in self.exclude)


class ShareOfNames(Filter):
    """Of the names that a filter lets through, those whose hash falls to one of several shares, counted from 1.

    The hash is CRC-32 of the name, the same in every process and release.
    """

    number: int
    shares: int

    def matches(self, name: str) -> bool:
        """Say whether `name` is to be watched."""
        return crc32(name.encode()) % self.shares == self.number - 1 and super().matches(name)


def with_distinct_names(sections: list[Any], what: str, why: str) -> list[Any]:
    """Return the sections, which are all named differently. Raises ValueError where two are not."""
    first: dict[str, int] = {}
    for place, section in enumerate(sections):
        if section.name in first:
            raise ValueError(
                f"{what} {first[section.name] + 1} and {place + 1} are both named {section.name!r}; rename one, {why}"
            )
        first[section.name] = place
    return sections
