"""Dead-letter queues, retry queues and their problems, from arguments, policies and bindings of a real broker."""

from collections.abc import Iterator
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exchange_type import ExchangeType

from monitor.config import DeadLetterMapping
from monitor.model import DeadLetterQueue, FoundBy, Origin, Problem, Snapshot
from tests.integration.rabbitmq.conftest import Admin, OpenCollector, collect, collect_surveyed, quoted, roles, until


@pytest.fixture(scope="module")
def topology(vhost: str, channel: BlockingChannel) -> str:
    """A virtual host with every kind of dead-lettering."""

    def declare(name: str, **arguments: Any) -> None:
        named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        channel.queue_declare(name, durable=True, arguments=named)

    channel.exchange_declare("orders", ExchangeType("topic"), durable=True)
    channel.exchange_declare("dlx", ExchangeType("direct"), durable=True)
    channel.exchange_declare("dlx.topic", ExchangeType("topic"), durable=True)
    channel.exchange_declare("dlx.fanout", ExchangeType("fanout"), durable=True)
    channel.exchange_declare("dlx.outer", ExchangeType("fanout"), durable=True)
    channel.exchange_bind("dlx.fanout", "dlx.outer")
    # by an argument, a direct exchange and a routing key
    declare("by-argument", dead_letter_exchange="dlx", dead_letter_routing_key="argued")
    declare("argued-graveyard")
    channel.queue_bind("argued-graveyard", "dlx", "argued")
    # a quorum queue, the messages' own routing keys, a topic exchange
    declare("by-key", queue_type="quorum", dead_letter_exchange="dlx.topic")
    channel.queue_bind("by-key", "orders", "order.created.*")
    declare("created-graveyard")
    channel.queue_bind("created-graveyard", "dlx.topic", "order.created.#")
    declare("paid-graveyard")
    channel.queue_bind("paid-graveyard", "dlx.topic", "order.paid")
    # through one exchange to another
    declare("by-fanout", dead_letter_exchange="dlx.outer")
    declare("fanned-graveyard")
    channel.queue_bind("fanned-graveyard", "dlx.fanout")
    # the default exchange, and back again after a while
    declare("retried", dead_letter_exchange="", dead_letter_routing_key="pause")
    declare("pause", message_ttl=60_000, dead_letter_exchange="", dead_letter_routing_key="retried")
    # mistakes
    declare("without")
    declare("to-nowhere", dead_letter_exchange="no-such-exchange")
    declare("misspelled", dead_letter_exchange="dlx", dead_letter_routing_key="argeud")
    # by name, by configuration, by policy
    declare("hand.dlq")
    declare("hand", dead_letter_exchange="", dead_letter_routing_key="argued-graveyard")
    declare("told-graveyard")
    declare("by-policy")
    declare("policy-graveyard")
    return vhost


def dead(snapshot: Snapshot) -> dict[str, DeadLetterQueue]:
    return {queue.scope["queue"]: queue for queue in snapshot.dead_letters}


def test_each_queue_is_known_for_what_it_is_for(topology: str, open_collector: OpenCollector) -> None:
    mapping = DeadLetterMapping(queue=f"mail/{quoted(topology)}/told-graveyard", origins=["somewhere"])
    snapshot = collect_surveyed(open_collector([topology], mappings=[mapping]))
    found = roles(snapshot)
    assert {name for name, role in found.items() if role == "dead_letter"} == {
        "argued-graveyard",
        "created-graveyard",
        "fanned-graveyard",
        "hand.dlq",
        "told-graveyard",
    }
    assert {name for name, role in found.items() if role == "retry"} == {"pause"}
    table = {label.name: label.decode() for label in snapshot.tables["queue_info"].labels}
    exchanges = dict(zip(table["queue"], table["dlx"], strict=True))
    assert (exchanges["by-argument"], exchanges["retried"], exchanges["without"]) == ("dlx", "amq.default", "")


def test_a_dead_letter_queue_is_no_subscription_and_a_retry_queue_is_one(
    topology: str, open_collector: OpenCollector
) -> None:
    snapshot = collect_surveyed(open_collector([topology]))
    subscriptions = {subscription.scope["queue"]: subscription.role.value for subscription in snapshot.subscriptions}
    assert not {"argued-graveyard", "created-graveyard", "hand.dlq"} & subscriptions.keys()
    assert subscriptions["pause"] == "retry"
    assert subscriptions["by-argument"] == "work"
    assert "pause" not in dead(snapshot)


def test_origins_and_how_they_are_known(topology: str, open_collector: OpenCollector) -> None:
    mapping = DeadLetterMapping(queue=f"mail/{quoted(topology)}/told-graveyard", origins=["somewhere"])
    found = dead(collect_surveyed(open_collector([topology], mappings=[mapping])))
    assert found["argued-graveyard"].found_by is FoundBy.TOPOLOGY
    assert found["argued-graveyard"].origins == (
        Origin(f"{topology}/by-argument", FoundBy.TOPOLOGY),
        Origin(f"{topology}/hand", FoundBy.TOPOLOGY),
    )
    assert found["hand.dlq"].origins == (Origin(f"{topology}/hand", FoundBy.NAME),)
    assert found["told-graveyard"].origins == (Origin("somewhere", FoundBy.CONFIGURATION),)
    assert found["argued-graveyard"].queue == f"{topology}/argued-graveyard"


def test_mistakes_are_told_under_the_name_of_the_source(topology: str, open_collector: OpenCollector) -> None:
    snapshot = collect_surveyed(open_collector([topology]))
    problems = {name: queue.problems for name, queue in dead(snapshot).items()}
    assert problems["without"] == (Problem.NONE_CONFIGURED,)
    assert problems["to-nowhere"] == (Problem.TARGET_MISSING,)
    assert problems["misspelled"] == (Problem.TARGET_MISSING,)
    assert problems["argued-graveyard"] == ()
    assert dead(snapshot)["without"].messages is None
    assert "by-argument" not in problems


@pytest.fixture
def policy_path(admin: Admin, vhost: str) -> Iterator[str]:
    """Where a policy is put; it is removed after the test."""
    path = f"policies/{quoted(vhost)}/dead letters"
    yield path
    admin.delete(path)


@pytest.mark.parametrize("sources", [["prometheus", "management"], ["management"]], ids="+".join)
def test_a_policy_that_comes_changes_and_goes_is_followed(
    admin: Admin, topology: str, policy_path: str, open_collector: OpenCollector, sources: list[str]
) -> None:
    collector = open_collector([topology], sources)
    definition = {"dead-letter-exchange": "", "dead-letter-routing-key": "policy-graveyard"}
    policy: dict[str, Any] = {"pattern": "^by-policy$", "definition": definition, "apply-to": "queues"}

    def graveyard_is(role: str) -> Snapshot | None:
        snapshot = collect(collector)
        return snapshot if roles(snapshot)["policy-graveyard"] == role else None

    def problems() -> tuple[Problem, ...]:
        found = dead(collect(collector)).get("by-policy")
        return found.problems if found else ()

    assert until(lambda: graveyard_is("work"))
    admin.put(policy_path, policy)
    # This look and no later one: a busy broker may tell once more what was before.
    snapshot = until(lambda: graveyard_is("dead_letter"))
    assert dead(snapshot)["policy-graveyard"].origins == (Origin(f"{topology}/by-policy", FoundBy.TOPOLOGY),)
    table = {label.name: label.decode() for label in snapshot.tables["queue_info"].labels}
    assert dict(zip(table["queue"], table["policy"], strict=True))["by-policy"] == "dead letters"
    admin.put(policy_path, policy | {"definition": definition | {"dead-letter-routing-key": "gone"}})
    assert until(lambda: problems() == (Problem.TARGET_MISSING,))
    admin.delete(policy_path)
    assert until(lambda: problems() == (Problem.NONE_CONFIGURED,))
    assert until(lambda: graveyard_is("work"))


def test_an_operator_policy_counts_as_well(admin: Admin, topology: str, open_collector: OpenCollector) -> None:
    collector = open_collector([topology], ["management"])
    path = f"operator-policies/{quoted(topology)}/short"
    admin.put(path, {"pattern": "^without$", "definition": {"message-ttl": 3000}, "apply-to": "queues"})

    def retention() -> float | None:
        found = {s.scope["queue"]: s.retention_seconds for s in collect(collector).subscriptions}
        return found["without"]

    assert until(retention) == 3.0
    admin.delete(path)
