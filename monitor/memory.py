"""What a collector is given to remember its counters by: they go on after it was replaced, and after a restart."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from monitor.model import Table

Remembered = Mapping[tuple[str, ...], Mapping[str, float]]
"""Numbers by their column, for each row by the values of its labels."""


class Memory(Protocol):
    """Keeps tables of numbers for one cluster, each under a name. Neither call waits for anything."""

    def recall(self, name: str, labels: Sequence[str]) -> Remembered:
        """Return what was kept last under a name, by this process or one before; `labels` says their order."""
        ...

    def keep(self, name: str, table: Table) -> None:
        """Keep a table, which is never changed after that, in the place of the one before; what it lacks is gone."""
        ...


class Forgetful:
    """The memory of a collector that is alone: it begins anew each time."""

    def recall(self, name: str, labels: Sequence[str]) -> Remembered:
        """Return nothing."""
        return {}

    def keep(self, name: str, table: Table) -> None:
        """Keep nothing."""


FORGETFUL: Memory = Forgetful()
