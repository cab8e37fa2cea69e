"""What the configuration says of subscriptions by patterns over their ids; the first that matches counts."""

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Generic, TypeVar

Value = TypeVar("Value")


class FirstMatch(Generic[Value]):
    """Finds the value of the first shell pattern that matches an id; `*` goes across slashes, as in `orders/*`."""

    def __init__(self, pairs: Iterable[tuple[str, Value]]) -> None:
        self._pairs = tuple((re.compile(translate(pattern)), value) for pattern, value in pairs)

    def find(self, identity: str) -> Value | None:
        """Return the value for an id, None if nothing matches."""
        return next((value for pattern, value in self._pairs if pattern.match(identity)), None)
