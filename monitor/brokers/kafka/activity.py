"""What happens to groups between and during looks: changes of state, and rebalances, counted for each group.

The admin API tells no generation of a group, so a rebalance is known by what it does: the group was seen in the midst
of it, or its members own other partitions than at the look before. Several between two looks are one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.brokers.kafka.groups import REBALANCING, Group
from monitor.memory import Memory
from monitor.model import Labels, Table, as_floats

_NAME = "activity"
_LABELS = ("group",)


@dataclass(slots=True)
class _Seen:
    state: str | None = None
    assignment: int | None = None
    is_rebalancing: bool = False
    changes: float = 0.0
    rebalances: float = 0.0


class GroupActivity:
    """The counters of all groups that there are, which go on where a process before this one left them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._left = dict(memory.recall(_NAME, _LABELS))
        self._seen: dict[str, _Seen] = {}
        self._labels: Labels | None = None

    def observe(self, groups: Iterable[Group]) -> Table:
        """Take in the groups as they are now, and return their counters."""
        known, self._seen = self._seen, {}
        for group in groups:
            seen = self._seen[group.name] = known.get(group.name) or self._begin(group.name)
            _follow_state(seen, group)
            _follow_assignment(seen, group)
        if self._labels is None or self._labels.values != tuple(self._seen):
            self._labels = Labels.of(*_LABELS, self._seen)
        columns = {
            "kafka_consumer_group_state_changes_total": as_floats(seen.changes for seen in self._seen.values()),
            "kafka_consumer_group_rebalances_total": as_floats(seen.rebalances for seen in self._seen.values()),
        }
        table = Table((self._labels,), columns)
        self._memory.keep(_NAME, table)
        return table

    def _begin(self, name: str) -> _Seen:
        left = self._left.pop((name,), {})
        return _Seen(
            changes=left.get("kafka_consumer_group_state_changes_total", 0.0),
            rebalances=left.get("kafka_consumer_group_rebalances_total", 0.0),
        )


def _follow_state(seen: _Seen, group: Group) -> None:
    if group.state == "unknown":
        return  # nobody told it, which is no change
    seen.changes += seen.state is not None and seen.state != group.state
    seen.state = group.state


def _follow_assignment(seen: _Seen, group: Group) -> None:
    if group.state in REBALANCING:
        seen.rebalances += not seen.is_rebalancing
        seen.is_rebalancing = True
    elif group.assignment is not None:
        # What is other after a rebalance that was seen is its outcome, and no second one.
        other = seen.assignment is not None and seen.assignment != group.assignment
        seen.rebalances += other and not seen.is_rebalancing
        seen.assignment, seen.is_rebalancing = group.assignment, False
