"""What redrives have done, as a table beside those of the snapshot."""

from collections.abc import Mapping, Sequence

from monitor.model import Table

_LABELS = ("system", "source", "target", "outcome")


def redrive_tables(sums: Sequence[tuple[tuple[str, str, str, str, str], int]]) -> Mapping[str, Table]:
    """Return the table of one cluster's sums; each is named by system, cluster, source, target and outcome."""
    if not sums:
        return {}
    rows = [(system, source, target, outcome) for (system, _, source, target, outcome), _ in sums]
    numbers = [float(number) for _, number in sums]
    return {"redrives": Table.of_rows(_LABELS, rows, {"redrive_messages_total": numbers})}
