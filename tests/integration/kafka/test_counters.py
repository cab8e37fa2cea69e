"""Counters of groups go on in the next collector, and in the next process, on a real broker."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from monitor.clock import Clock
from monitor.model import Subscription
from monitor.storage.counters import Counters
from monitor.storage.database import Database
from tests.integration.kafka.playground import Playground, Watcher


def seen(playground: Playground, counters: Counters, *steps: Sequence[object]) -> Subscription:
    """Open a collector, take a look after each step, and close it; return what it saw last."""
    group, topic = playground.name("group"), playground.name("events")
    with closing(playground.collector(memory=counters.memory_of("test"))) as collector:
        watcher = Watcher(collector)
        watcher.look()
        for produced, committed in steps:
            playground.produce(topic, int(str(produced)))
            playground.commit(group, topic, int(str(committed)))
            watcher.look()
        return watcher.subscription(group, topic)


def opened(folder: Path) -> tuple[Database, Counters]:
    database = Database.open(f"sqlite:///{folder}/eventflow.db")
    counters = Counters(database, Clock())
    counters.load(["test"])
    return database, counters


def totals(subscription: Subscription) -> tuple[float | None, float | None]:
    return subscription.published_messages_total, subscription.consumed_messages_total


def test_the_next_collector_and_the_next_process_count_on_with_what_went_on_in_between(
    kafka: Playground, tmp_path: Path
) -> None:
    group, topic = kafka.name("group"), kafka.topic("events")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 4)

    database, counters = opened(tmp_path)
    assert totals(seen(kafka, counters, (5, 7))) == (5, 3)
    # A collector that hung is replaced within the process: nothing was saved yet.
    kafka.produce(topic, 2)
    kafka.commit(group, topic, 9)
    assert totals(seen(kafka, counters)) == (7, 5)
    counters.save()
    # What is counted after the last save is lost with a crash, and found again by its position.
    assert totals(seen(kafka, counters, (1, 10))) == (8, 6)
    database.close()

    database, counters = opened(tmp_path)
    kafka.produce(topic, 3)
    assert totals(seen(kafka, counters)) == (11, 6)
    database.close()
