"""A memory of counters that keeps what it was given; the database's has tests of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.memory import Remembered
from monitor.model import Table


@dataclass
class Kept:
    """What collectors were given to remember, by name."""

    tables: dict[str, Table] = field(default_factory=dict)

    def recall(self, name: str, labels: Sequence[str]) -> Remembered:
        table = self.tables.get(name)
        if table is None:
            return {}
        texts = zip(*(label.decode() for label in table.labels), strict=True)
        return {
            key: {column: float(values[row]) for column, values in table.columns.items()}
            for row, key in enumerate(texts)
        }

    def keep(self, name: str, table: Table) -> None:
        self.tables[name] = table
