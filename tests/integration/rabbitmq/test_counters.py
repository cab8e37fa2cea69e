"""Counters, arrivals and ages of a real broker's queues."""

import time
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from monitor.model import AgeMethod, DeadLetterQueue, Snapshot, Subscription
from tests.integration.rabbitmq.conftest import Admin, OpenCollector, collect, column, take, until, wait_for_depths

FAMILIES = ("published_total", "delivered_total", "acked_total", "redelivered_total")


@pytest.fixture(scope="module")
def queues(vhost: str, channel: BlockingChannel) -> str:
    """A virtual host with a work queue of each type and their dead-letter queue."""
    for name in ("classic", "quorum"):
        arguments = {"x-queue-type": name, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graveyard"}
        channel.queue_declare(name, durable=True, arguments=arguments)
    channel.queue_declare("graveyard", durable=True)
    return vhost


def counters(snapshot: Snapshot, queue: str) -> tuple[float, ...]:
    return tuple(column(snapshot, family)[queue] for family in FAMILIES)


def subscription(snapshot: Snapshot, queue: str) -> Subscription:
    return next(s for s in snapshot.subscriptions if s.scope["queue"] == queue)


def dead_letters(snapshot: Snapshot, queue: str) -> DeadLetterQueue:
    return next(d for d in snapshot.dead_letters if d.scope["queue"] == queue)


def totals(snapshot: Snapshot, name: str, family: str) -> dict[tuple[str, ...], float]:
    table = snapshot.tables[name]
    rows = zip(*(label.decode() for label in table.labels), strict=True)
    return dict(zip(rows, table.columns[family].tolist(), strict=True))


@pytest.mark.parametrize("name", ["classic", "quorum"])
def test_what_is_published_delivered_acknowledged_and_delivered_again_is_counted(
    admin: Admin, queues: str, open_collector: OpenCollector, name: str
) -> None:
    collector = open_collector([queues])
    before = counters(wait_for_depths(collector, **{name: 0.0}), name)

    def added() -> tuple[float, ...]:
        return tuple(now - then for now, then in zip(counters(collect(collector), name), before, strict=True))

    def all_told() -> tuple[float, ...] | None:
        told = added()
        return told if told[0] >= 10 and told[1] >= 12 else None

    with admin.connect(queues) as connection:
        working = connection.channel()
        working.confirm_delivery()
        for _ in range(10):
            working.basic_publish("", name, b"x")
        taken = [take(working, name) for _ in range(6)]
        for tag in taken[:4]:
            working.basic_ack(tag)
        for tag in taken[4:]:
            working.basic_nack(tag, requeue=True)
        for _ in range(6):  # those that came back among them, wherever a type puts them
            working.basic_get(name, auto_ack=True)
        # The broker forgets what a channel did that closes between two of its statistics, now and then.
        assert until(all_told) == (10.0, 12.0, 4.0, 2.0)
    assert added() == (10.0, 12.0, 4.0, 2.0)  # and what was told outlives the channel
    last = collect(collector)
    assert column(last, "redelivery_ratio")[name] == pytest.approx(2 / 12)
    found = subscription(last, name)
    assert found.published_messages_total == before[0] + 10
    assert found.consumed_messages_total is not None
    # acknowledged, and taken without acknowledgement
    assert found.consumed_messages_total >= 10


def test_parts_carry_the_positions_of_their_subscription(queues: str, open_collector: OpenCollector) -> None:
    snapshot = collect(open_collector([queues]))
    assert snapshot.parts is not None
    for place, owner in enumerate(snapshot.parts.subscription.tolist()):
        found = snapshot.subscriptions[owner]
        assert snapshot.parts.published[place] == found.published_messages_total
        assert snapshot.parts.consumed[place] == found.consumed_messages_total
        assert snapshot.parts.backlog[place] == found.backlog_messages


def test_dead_letters_are_counted_by_reason_and_as_arrivals(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    channel.queue_purge("graveyard")
    first = wait_for_depths(collector, graveyard=0.0)
    for _ in range(3):
        channel.basic_publish("", "classic", b"poison")
    for _ in range(3):
        channel.basic_reject(take(channel, "classic"), requeue=False)
    last = wait_for_depths(collector, graveyard=3.0)
    rejected = ("rejected", "at_most_once", "classic")
    family = "rabbitmq_dead_lettered_total"
    grown = totals(last, "dead_lettered", family)[rejected] - totals(first, "dead_lettered", family)[rejected]
    assert grown >= 3  # the broker counts those of other virtual hosts as well
    found = dead_letters(last, "graveyard")
    assert found.messages == 3
    assert found.arrivals_total == 3
    assert dead_letters(first, "graveyard").arrivals_total == 0


def test_messages_that_die_where_nothing_is_configured_for_the_dead_are_counted_as_dropped(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector, family = open_collector([queues]), "rabbitmq_dead_lettered_total"
    dropped = ("rejected", "disabled", "classic")
    before = totals(collect(collector), "dead_lettered", family)[dropped]
    channel.queue_declare("nowhere-to-go")
    channel.basic_publish("", "nowhere-to-go", b"poison")
    channel.basic_reject(take(channel, "nowhere-to-go"), requeue=False)
    assert until(lambda: totals(collect(collector), "dead_lettered", family)[dropped] > before)
    channel.queue_delete("nowhere-to-go")


def test_messages_that_no_binding_routes_are_counted_by_outcome(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector, family = open_collector([queues]), "rabbitmq_unroutable_total"
    before = totals(collect(collector), "unroutable", family)
    assert set(before) == {("dropped",), ("returned",)}
    for _ in range(2):
        channel.basic_publish("", "no-such-queue", b"x")
        channel.basic_publish("", "no-such-queue", b"x", mandatory=True)

    def grown() -> bool:
        after = totals(collect(collector), "unroutable", family)
        return all(after[outcome] - before[outcome] >= 2 for outcome in before)

    assert until(grown)


def test_a_queue_that_is_made_anew_counts_on(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    seen: list[float] = []

    def published() -> float:
        seen.append(column(collect(collector), "published_total").get("again", 0.0))
        return seen[-1]

    for count, expected in ((20, 20.0), (5, 25.0)):
        channel.queue_delete("again")
        channel.queue_declare("again", durable=True)
        for _ in range(count):
            channel.basic_publish("", "again", b"x")
        assert until(lambda expected=expected: published() >= expected and seen[-1]) == expected  # type: ignore[misc]
    channel.queue_delete("again")


def test_the_age_is_the_publishers_timestamp_where_the_broker_tells_it(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    stamp = int(time.time()) - 100
    channel.queue_purge("classic")
    channel.basic_publish("", "classic", b"x", pika.BasicProperties(timestamp=stamp, delivery_mode=2))
    wait_for_depths(collector, classic=1.0)

    def reported() -> Subscription | None:
        found = subscription(collect(collector), "classic")
        return found if found.oldest_age.method is AgeMethod.REPORTED else None

    age = until(reported).oldest_age.seconds
    assert age is not None
    assert 99 <= age <= 130
    channel.queue_purge("classic")
    wait_for_depths(collector, classic=0.0)
    assert subscription(collect(collector), "classic").oldest_age.seconds == 0


def test_the_age_is_estimated_where_no_one_tells_it(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    channel.queue_purge("quorum")
    wait_for_depths(collector, quorum=0.0)
    published = time.time()
    channel.basic_publish("", "quorum", b"x")
    wait_for_depths(collector, quorum=1.0)

    def estimated() -> Subscription | None:
        found = subscription(collect(collector), "quorum")
        return found if found.oldest_age.method is AgeMethod.ESTIMATED else None

    age = until(estimated).oldest_age.seconds
    assert age is not None
    assert 0 <= age <= time.time() - published + 1
    channel.queue_purge("quorum")


def test_what_waited_before_the_watch_is_only_known_to_be_older(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    channel.queue_purge("quorum")
    channel.basic_publish("", "quorum", b"x")
    wait_for_depths(open_collector([queues]), quorum=1.0)
    found = subscription(collect(open_collector([queues])), "quorum")
    assert found.oldest_age.method is AgeMethod.LOWER_BOUND
    channel.queue_purge("quorum")


def test_dead_letters_with_a_time_to_live_have_an_expiry(
    admin: Admin, queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    channel.queue_declare("brief.dlq", arguments={"x-message-ttl": 600_000})
    wait_for_depths(collector, **{"brief.dlq": 0.0})
    channel.basic_publish("", "brief.dlq", b"x")
    snapshot = wait_for_depths(collector, **{"brief.dlq": 1.0})
    found = dead_letters(snapshot, "brief.dlq")
    assert found.retention_seconds == 600
    assert found.expires_at is not None
    assert 500 < found.expires_at - snapshot.taken_at <= 600
    channel.queue_delete("brief.dlq")


def test_alarms_of_the_node_are_told(queues: str, open_collector: OpenCollector) -> None:
    found = totals(collect(open_collector([queues])), "node_alarms", "rabbitmq_node_alarm")
    assert {alarm for _, alarm in found} >= {"memory", "disk"}
    assert set(found.values()) == {0.0}
    by_management = totals(collect(open_collector([queues], ["management"])), "node_alarms", "rabbitmq_node_alarm")
    assert set(by_management) <= set(found)


def test_a_stream_keeps_its_messages_and_has_no_backlog_by_that(
    queues: str, channel: BlockingChannel, open_collector: OpenCollector
) -> None:
    collector = open_collector([queues])
    channel.queue_declare("log", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "1h"})
    for _ in range(4):
        channel.basic_publish("", "log", b"x")
    snapshot = wait_for_depths(collector, log=4.0)
    found = subscription(snapshot, "log")
    assert (found.backlog_messages, found.oldest_age.method) == (None, AgeMethod.UNKNOWN)
    assert found.retention_seconds == 3600
    assert any("streams" in note for note in snapshot.notes)
    channel.queue_delete("log")


@pytest.fixture(autouse=True)
def _quiet(queues: str, channel: BlockingChannel) -> Iterator[None]:
    """Leave nothing in the work queues for the next test."""
    yield
    for name in ("classic", "quorum"):
        channel.queue_purge(name)
