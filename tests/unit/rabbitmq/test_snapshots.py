"""What is told of a queue of which only a part was read."""

from monitor.brokers.rabbitmq.dead_letters import Topology
from monitor.brokers.rabbitmq.ledger import Ledger
from monitor.brokers.rabbitmq.snapshots import Names, Sight, build_subscriptions
from tests.unit.rabbitmq.builders import key, queue, readings


def test_where_the_backlog_of_a_queue_is_not_known_none_of_its_sums_is_told() -> None:
    keys = (key("whole"), key("part"))
    seen = readings(keys, ready=[7, None], unacked=[3, 3], published=[20, 20], acked=[9, 9])
    accounts, facts = Ledger().enter(seen, 0.0, 0.0), {key(name): queue(name) for name in ("whole", "part")}
    subscriptions, _ = build_subscriptions(Sight("mail", 0.0, Names("mail", keys), seen, accounts, facts, Topology()))
    sums = {
        it.destination: (
            it.backlog_messages,
            it.in_flight_messages,
            it.published_messages_total,
            it.consumed_messages_total,
            it.oldest_age.seconds,
        )
        for it in subscriptions
    }
    assert sums["part"] == (None,) * 5
    assert sums["whole"][:3] == (7.0, 3.0, 20.0)
