"""The told age of the oldest unread record against its true age, for the ways in which producers write."""

import time

import pytest

from tests.integration.kafka.flows import FLOWS, offsets_of, true_ages
from tests.integration.kafka.playground import Playground, Watcher, wait_for

SECONDS = "kafka_consumer_group_lag_seconds"


@pytest.mark.parametrize("flow", FLOWS)
def test_ages_come_within_two_percent_of_the_truth_and_are_bounded_from_the_first_look(
    kafka: Playground, watcher: Watcher, flow: str
) -> None:
    stamps = FLOWS[flow](time.time())
    topic = kafka.topic(flow)
    kafka.produce(topic, len(stamps), timestamp=lambda number: float(stamps[number]))
    groups = {offset: kafka.name(f"at-{offset}") for offset in offsets_of(len(stamps))}
    for offset, group in groups.items():
        kafka.commit(group, topic, offset)

    def errors() -> list[float]:
        now = watcher.look().taken_at
        found = []
        for offset, true in true_ages(stamps, now).items():
            (row,) = watcher.rows("group_partitions", group=groups[offset])
            # Never before the log's first record, and never beyond now, whatever is known.
            assert -1.0 <= row[SECONDS] <= now - stamps[0] + 1.0
            found.append(abs(row[SECONDS] - true) / max(true, 10.0))
        return found

    first = errors()
    assert max(first) < 0.2
    wait_for(lambda: max(errors()) < 0.02, "ages that are right")
