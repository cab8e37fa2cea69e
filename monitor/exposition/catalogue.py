"""The catalogue of all metric families as a document: `python -m monitor.exposition.catalogue > docs/metrics.md`."""

import sys
from collections.abc import Iterable

from monitor.exposition.families import FAMILIES, PREFIX, Bus, Family
from monitor.exposition.own import OwnMetrics

_INTRODUCTION = f"""\
# Metrics

Made from the table of families by `make docs`; change `monitor/exposition/families.py` instead.

`GET /metrics` answers in the text format 0.0.4, compressed by gzip where the client accepts it. The text is rendered at
the end of each cycle of a collector and served as it lies: a scrape reaches no broker and waits for none.

How to read all of them:

- **Polled.** A value is as old as the last cycle of its cluster that succeeded, see
  `{PREFIX}collector_last_success_timestamp_seconds`. Changes that come and go between two cycles are not seen.
- **Absent is not 0.** What is not known has no series. A rule that has to notice missing series needs `absent()`,
  `unless` or `collector_up`; a comparison alone stays silent.
- **Failure.** When a collector fails, its `collector_up` is 0 and its last values stay for at most three intervals;
  then all series of the cluster go, except those of the collector itself.
- **Gone is gone.** The series of a deleted group, topic or queue end with the next cycle.
- **Counters** (`_total`) rise while the monitor runs; after a restart some go on and others begin anew: use `rate()`
  and `increase()`, never the value.
- **Info and flags.** Families named `_info` are always 1 and carry text in labels, to be joined with `group_left`.
  Flags are 0 or 1.
- **Names** begin with `{PREFIX}`; sentences leave that out, expressions do not. Units are base units; seconds are given
  to the millisecond. `cluster` is the name in the configuration; `system` is kafka, rabbitmq, sqs or sns, and for
  collectors the kind: kafka, rabbitmq or aws. A RabbitMQ queue outside of the vhost `/` is `vhost/queue` in the
  families of every bus. Label values are the raw names; what UTF-8 cannot write (a lone surrogate) is `?`.
"""

_TITLES = {
    Bus.EVERY: "Subscriptions and dead-letter queues, on every bus",
    Bus.KAFKA: "Kafka",
    Bus.RABBITMQ: "RabbitMQ",
    Bus.AWS: "SQS, SNS, CloudWatch and the AWS API",
    Bus.MONITOR: "The monitor and its collectors",
}

_OWN = """\
## The process of the monitor

From prometheus-client, under the names that dashboards for any Python service know; as old as the last cycle too.
"""


def catalogue() -> str:
    """Return the document."""
    sections = [_INTRODUCTION, *(_section(bus) for bus in Bus), f"{_OWN}\n{_table(_own_rows(), _OWN_COLUMNS)}"]
    return "\n".join(sections)


_COLUMNS = ("family", "type", "labels", "unit", "meaning")
_OWN_COLUMNS = ("family", "type", "meaning")


def _section(bus: Bus) -> str:
    rows = (_row(family) for family in FAMILIES if family.bus is bus)
    return f"## {_TITLES[bus]}\n\n{_table(rows, _COLUMNS)}"


def _row(family: Family) -> tuple[str, ...]:
    meaning = f"{family.summary}. {family.advice}".strip()
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"`{family.full_name}`", family.kind, labels, family.unit, meaning


def _own_rows() -> Iterable[tuple[str, ...]]:
    own = {family.full_name for family in FAMILIES}
    for name, kind, text in OwnMetrics("").families():
        if name not in own:
            yield f"`{name}`", kind, text


def _table(rows: Iterable[tuple[str, ...]], columns: tuple[str, ...]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(catalogue())
