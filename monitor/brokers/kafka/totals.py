"""Counters of each group and topic, which go on where a collector or a process before this one left them.

With each counter of consumed and published messages the position is kept that it was counted up to, the sum of the
committed offsets and that of the log ends. So what went on in between is counted too, and no counter goes back after a
crash. Where that cannot be told, since a partition could not be read or the number of them is another, both begin at
zero: a counter that went back a little would look to Prometheus as if all of it had been counted anew.

A first look counts what a group has lost already, since nobody has told of it yet. With the losses `standing` is kept,
how many messages lie between the committed offsets and the starts of the logs, so that they are not told twice: also
not those of a partition that could be read only later, which are `owed` until then.

What was gone at a first look may have gone long ago. So losses that are news are counted apart, `lost_while_watched`:
those of partitions that had been looked at, and at a start what came to the losses since a process before this one.

Beside the counters stands when a group last got on, and since when it has been watched: what tells a group that was
just stopped from one that somebody has left behind, also when the monitor was restarted in between.
"""

from collections.abc import Mapping

import numpy as np

from monitor.brokers.kafka.lag import RowLogs
from monitor.brokers.kafka.memory import Memory as Columns
from monitor.brokers.kafka.rows import Rows
from monitor.memory import Memory
from monitor.model import Floats, Ids, Table

_NAME = "groups"
_LABELS = ("group", "topic")
_COUNTED_UP_TO = {"consumed": "committed", "published": "ends"}


class Totals:
    """The counters, by pair. `columns` has `published`, `consumed`, `lost` and `rewinds`.

    `lost_while_watched` begins at zero with each collector. There is also `advanced`, when a committed
    offset was last seen to move on (Unix seconds, NaN for never), and `since`, when the pair was first seen.
    """

    def __init__(self, memory: Memory) -> None:
        self.columns = Columns(
            published=0.0,
            consumed=0.0,
            lost=0.0,
            lost_while_watched=0.0,
            owed=0.0,
            rewinds=0.0,
            advanced=np.nan,
            since=np.nan,
        )
        self._memory = memory
        self._left = dict(memory.recall(_NAME, _LABELS))
        self._ids: Ids = np.empty(0, dtype=np.int64)

    def add(self, rows: Rows, growth: Mapping[str, Floats], committed: Floats, logs: RowLogs, now: float) -> None:
        """Add what each row has grown by since the last cycle. `committed` and `logs` are the rows' offsets now."""
        columns = self.columns
        fresh = np.flatnonzero(~np.isin(rows.pair_ids, self._ids)) if self._left else np.empty(0, dtype=np.int64)
        columns.align(rows.pair_ids)
        self._ids = rows.pair_ids
        grown = {name: rows.total(values) for name, values in growth.items()}
        for name in ("published", "consumed", "rewinds"):
            columns[name] = columns[name] + grown[name]
        repaid = np.minimum(columns["owed"], grown["lost_before"])
        columns["lost"] = columns["lost"] + grown["lost"] - repaid
        columns["lost_while_watched"] = columns["lost_while_watched"] + grown["lost"] - grown["lost_before"]
        columns["owed"] = columns["owed"] - repaid
        columns["since"] = np.where(np.isnan(columns["since"]), now, columns["since"])
        columns["advanced"] = np.where(grown["consumed"] > 0, now, columns["advanced"])
        positions = {
            "committed": rows.total(committed),
            "ends": rows.total(logs.end),
            "standing": rows.total(np.nan_to_num(np.maximum(logs.start - committed, 0.0))),
            "parts": np.diff(rows.first, append=len(rows)).astype(np.float64),
        }
        self._resume(rows, fresh, positions)
        # Once every partition was read, nothing is to come of what was lost before.
        columns["owed"] = np.where(np.isnan(positions["committed"] + positions["ends"]), columns["owed"], 0.0)
        positions["standing"] = positions["standing"] + columns["owed"]
        kept = {name: columns[name] for name in ("published", "consumed", "lost", "rewinds", "advanced", "since")}
        self._memory.keep(_NAME, Table(rows.pair_labels, {**kept, **positions}))

    def _resume(self, rows: Rows, fresh: Ids, positions: dict[str, Floats]) -> None:
        """Let the counters of pairs that are new here go on where they were left."""
        for pair in fresh.tolist():
            group, topic = (label.values[label.codes[pair]] for label in rows.pair_labels)
            left = self._left.pop((group, topic), {})
            lost = self.columns["lost"][pair] - left.get("standing", 0.0)
            self.columns["lost"][pair] = left.get("lost", 0.0) + max(0.0, lost)
            self.columns["lost_while_watched"][pair] = max(0.0, lost) if left else 0.0
            self.columns["owed"][pair] = max(0.0, -lost)
            self.columns["rewinds"][pair] += left.get("rewinds", 0.0)
            first_seen = self.columns["since"][pair]
            moved_meanwhile = positions["committed"][pair] > left.get("committed", np.nan)
            self.columns["advanced"][pair] = first_seen if moved_meanwhile else left.get("advanced", np.nan)
            self.columns["since"][pair] = left.get("since", first_seen)
            for name, position in _COUNTED_UP_TO.items():
                since = positions[position][pair] - left.get(position, np.nan)
                if left.get("parts") == positions["parts"][pair] and since >= 0:
                    self.columns[name][pair] = left.get(name, 0.0) + since
