"""Numbers that are kept from cycle to cycle, and follow their partitions and groups as these come and go."""

from collections.abc import Mapping

import numpy as np

from monitor.brokers.kafka.metadata import positions_in
from monitor.model import Floats, Ids


class Memory:
    """Columns of float64 by id. `fills` names the columns and what a row that is new holds."""

    def __init__(self, **fills: float) -> None:
        self._fills: Mapping[str, float] = fills
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._columns = {name: np.empty(0) for name in fills}

    def align(self, ids: Ids) -> None:
        """Take these (rising) ids for rows: what is known of them stays, what is known of others goes."""
        if ids is self._ids:
            return
        origin = positions_in(self._ids, ids)
        for name, fill in self._fills.items():
            column = np.full(len(ids), fill)
            column[origin >= 0] = self._columns[name][origin[origin >= 0]]
            self._columns[name] = column
        self._ids = ids

    def reset(self, rows: Ids) -> None:
        """Make rows as good as new."""
        for name, fill in self._fills.items():
            self._columns[name][rows] = fill

    def forget(self) -> None:
        """Make all rows as good as new."""
        self.reset(np.arange(len(self._ids)))

    def __getitem__(self, name: str) -> Floats:
        return self._columns[name]

    def __setitem__(self, name: str, values: Floats) -> None:
        self._columns[name] = values
