"""Views of clusters, short to write."""

from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from monitor.exposition.gzipping import as_gzip, concatenate, deflate
from monitor.exposition.page import MetricsPage, Page
from monitor.exposition.render import ClusterText
from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    DeadLetterQueue,
    FoundBy,
    Health,
    Snapshot,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
)

Sample = tuple[str, tuple[tuple[str, str], ...], float]


def health(cluster: str = "orders", kind: str = "kafka", **fields: object) -> Health:
    """The health of a collector whose last cycle succeeded."""
    known: dict[str, object] = {"interval": 15.0, "up": True, "last_success": 1_700_000_000.25, "cycle_seconds": 0.3}
    return Health(cluster, kind, **{**known, **fields})  # type: ignore[arg-type]


def view(
    tables: Mapping[str, Table] | None = None,
    subscriptions: Sequence[Subscription] = (),
    verdicts: Sequence[Verdict] | None = None,
    dead_letters: Sequence[DeadLetterQueue] = (),
    *,
    of: Health | None = None,
) -> ClusterView:
    """What is known after a successful cycle. Each subscription is fine unless verdicts are given."""
    told = of or health()
    judged = tuple(verdicts) if verdicts is not None else (verdict(),) * len(subscriptions)
    snapshot = Snapshot(told.cluster, told.kind, 0.0, 0.3, tuple(subscriptions), tuple(dead_letters), tables or {})
    return ClusterView(told, snapshot, judged)


def verdict(status: Status = Status.OK, **fields: object) -> Verdict:
    """A verdict without rates."""
    return Verdict(status, "", 0.0, **fields)  # type: ignore[arg-type]


def subscription(destination: str = "order-events", subscriber: str = "notification", **fields: object) -> Subscription:
    """A Kafka subscription of the cluster `orders` with a backlog of 600."""
    known: dict[str, object] = {"backlog_messages": 600.0, "oldest_age": Age(12.5, AgeMethod.INTERPOLATED)}
    return Subscription(
        f"orders/{subscriber}/{destination}",
        System.KAFKA,
        "orders",
        destination,
        subscriber,
        **{**known, **fields},  # type: ignore[arg-type]
    )


def dead_letter_queue(queue: str = "order-events.dlq", **fields: object) -> DeadLetterQueue:
    """A dead-letter queue of the cluster `orders`, found by its name."""
    return DeadLetterQueue(f"orders/{queue}", System.KAFKA, "orders", queue, FoundBy.NAME, **fields)  # type: ignore[arg-type]


def group_partitions(rows: Sequence[Sequence[str]], **columns: Sequence[float | None]) -> Table:
    """A table of group, topic and partition; columns are named without `kafka_consumer_group_`."""
    named = {f"kafka_consumer_group_{name}": values for name, values in columns.items()}
    return Table.of_rows(("group", "topic", "partition"), rows, named)


def page_of(*views: ClusterView) -> Page:
    """The page after one cycle of each cluster."""
    metrics = MetricsPage("1.2.3")
    for each in views:
        metrics.update(each, cycle_ended=True)
    return metrics.page()


def plain_of(text: ClusterText) -> str:
    """The samples of one cluster, without HELP and TYPE."""
    whole = concatenate([*(block.piece for block in text.blocks.values()), deflate(b"\n")])
    return Page(as_gzip(whole), whole.size).plain.decode()


def parse(text: str) -> list[Sample]:
    """All samples as prometheus-client's parser reads them back."""
    return [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def samples_of(text: str, family: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of one family, by their sorted labels; `family` is without the prefix."""
    return {labels: value for name, labels, value in parse(text) if name == f"eventflow_{family}"}


def values_by(text: str, family: str, *labels: str) -> dict[str | tuple[str, ...], float]:
    """The samples of one family, by the values of some labels."""
    found = {}
    for pairs, value in samples_of(text, family).items():
        picked = tuple(dict(pairs)[label] for label in labels)
        found[picked[0] if len(picked) == 1 else picked] = value
    return found
