"""What queues are for, from dead-letter exchanges, times to live, names and the configuration."""

import pytest

from monitor.brokers.rabbitmq.dead_letters import Configured, Topology, cycles, message_ttl, resolve
from monitor.brokers.rabbitmq.facts import QueueFacts, Routes
from monitor.brokers.rabbitmq.readings import QueueKey
from monitor.model import FoundBy, Origin, Problem, Role
from tests.unit.rabbitmq.builders import bind, exchange, key, queue, routes

NOWHERE = Routes()


def look(
    *queues: QueueFacts, through: Routes = NOWHERE, consumed: set[QueueKey] | None = None, configured: str = ""
) -> Topology:
    mapped = {key(configured): Configured(("elsewhere",))} if configured else {}
    return resolve(queues, through, mapped, consumed or set())


def roles(topology: Topology) -> dict[str, str]:
    return {name: role.value for (_, name), role in topology.roles.items()}


# where dead letters go


def test_the_argument_leads_to_the_dead_letter_queue() -> None:
    topology = look(
        queue("work", dead_letter_exchange="dlx", dead_letter_routing_key="dead"),
        queue("graveyard"),
        through=routes(exchange("dlx"), bind("dlx", "graveyard", "dead")),
    )
    assert roles(topology) == {"work": "work", "graveyard": "dead_letter"}
    found = topology.dead_letters[key("graveyard")]
    assert found.found_by is FoundBy.TOPOLOGY
    assert found.origins == (Origin("work", FoundBy.TOPOLOGY),)
    assert found.problems == ()


def test_a_policy_leads_to_the_dead_letter_queue() -> None:
    policy = {"dead-letter-exchange": "", "dead-letter-routing-key": "graveyard"}
    assert roles(look(queue("work", policy=policy), queue("graveyard"))) == {"work": "work", "graveyard": "dead_letter"}


def test_the_argument_goes_before_the_policy() -> None:
    policy = {"dead-letter-exchange": "", "dead-letter-routing-key": "other"}
    source = queue("work", policy=policy, dead_letter_routing_key="graveyard")
    assert roles(look(source, queue("graveyard"), queue("other")))["other"] == "work"


def test_without_a_routing_key_messages_keep_their_own() -> None:
    topology = look(
        queue("work", dead_letter_exchange="dlx"),
        queue("created-dead"),
        queue("paid-dead"),
        through=routes(
            exchange("orders", "topic"),
            exchange("dlx", "topic"),
            bind("orders", "work", "order.created.*"),
            bind("dlx", "created-dead", "order.created.#"),
            bind("dlx", "paid-dead", "order.paid"),
        ),
    )
    assert roles(topology) == {"work": "work", "created-dead": "dead_letter", "paid-dead": "work"}


def test_a_queue_fed_under_its_own_name_alone_dead_letters_under_that() -> None:
    topology = look(
        queue("work", dead_letter_exchange="dlx"),
        queue("graveyard"),
        queue("other"),
        through=routes(exchange("dlx"), bind("dlx", "graveyard", "work"), bind("dlx", "other", "other")),
    )
    assert roles(topology) == {"work": "work", "graveyard": "dead_letter", "other": "work"}


def test_messages_from_a_fanout_exchange_may_have_any_key() -> None:
    topology = look(
        queue("work", dead_letter_exchange="dlx"),
        queue("graveyard"),
        through=routes(
            exchange("news", "fanout"), exchange("dlx"), bind("news", "work"), bind("dlx", "graveyard", "anything")
        ),
    )
    assert roles(topology)["graveyard"] == "dead_letter"


def test_two_queues_share_a_dead_letter_queue() -> None:
    topology = look(
        queue("b", dead_letter_exchange="dlx"),
        queue("a", dead_letter_exchange="dlx"),
        queue("graveyard"),
        through=routes(exchange("dlx", "fanout"), bind("dlx", "graveyard")),
    )
    assert [origin.name for origin in topology.dead_letters[key("graveyard")].origins] == ["a", "b"]


def test_virtual_hosts_are_apart() -> None:
    topology = resolve(
        [
            queue("work", vhost="v", dead_letter_exchange="", dead_letter_routing_key="graveyard"),
            queue("graveyard", vhost="v"),
            queue("graveyard"),
        ],
        NOWHERE,
        {},
    )
    assert topology.roles[key("graveyard", "v")] is Role.DEAD_LETTER
    assert topology.roles[key("graveyard")] is Role.WORK
    assert topology.dead_letters[key("graveyard", "v")].origins[0].name == "v/work"


def test_a_dead_letter_queue_may_dead_letter_on_to_a_parking_lot() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="work.dlq"),
        queue("work.dlq", dead_letter_exchange="", dead_letter_routing_key="parked"),
        queue("parked"),
    )
    assert roles(topology) == {"work": "work", "work.dlq": "dead_letter", "parked": "dead_letter"}


def test_a_queue_that_dead_letters_into_itself_is_a_work_queue() -> None:
    assert roles(look(queue("work", dead_letter_exchange="", dead_letter_routing_key="work"))) == {"work": "work"}


def test_a_stream_has_no_dead_letters() -> None:
    topology = look(
        queue("log", queue_type="stream", policy={"dead-letter-exchange": "", "dead-letter-routing-key": "other"}),
        queue("other"),
    )
    assert roles(topology) == {"log": "work", "other": "work"}
    assert key("log") not in topology.dead_letters


# retry queues


def test_a_queue_whose_messages_expire_back_to_the_source_is_a_retry_queue() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="pause"),
        queue("pause", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="work"),
    )
    assert roles(topology) == {"work": "work", "pause": "retry"}
    assert topology.dead_letters == {}


def test_a_retry_queue_may_be_named_as_a_dead_letter_queue() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="work.dlq"),
        queue("work.dlq", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="work"),
    )
    assert roles(topology) == {"work": "work", "work.dlq": "retry"}


def test_a_dead_letter_queue_with_a_way_back_by_hand_holds_dead_letters() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="work.dlq"),
        queue("work.dlq", dead_letter_exchange="", dead_letter_routing_key="work"),
    )
    assert roles(topology) == {"work": "work", "work.dlq": "dead_letter"}


def test_where_all_of_a_cycle_expire_the_one_that_only_dead_letters_reach_is_the_retry_queue() -> None:
    topology = look(
        queue("work", message_ttl=60_000, dead_letter_exchange="", dead_letter_routing_key="pause"),
        queue("pause", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="work"),
        through=routes(exchange("orders"), bind("orders", "work", "order")),
    )
    assert roles(topology) == {"work": "work", "pause": "retry"}


def test_a_queue_on_a_cycle_that_had_a_consumer_is_a_work_queue() -> None:
    topology = look(
        queue("work", message_ttl=60_000, dead_letter_exchange="", dead_letter_routing_key="pause"),
        queue("pause", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="work"),
        consumed={key("work")},
    )
    assert roles(topology) == {"work": "work", "pause": "retry"}


def test_a_cycle_on_which_all_look_alike_is_all_work() -> None:
    topology = look(
        queue("one", dead_letter_exchange="", dead_letter_routing_key="two"),
        queue("two", dead_letter_exchange="", dead_letter_routing_key="one"),
    )
    assert roles(topology) == {"one": "work", "two": "work"}


def test_several_steps_of_waiting_are_all_retry_queues() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="first"),
        queue("first", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="second"),
        queue("second", message_ttl=9000, dead_letter_exchange="", dead_letter_routing_key="work"),
    )
    assert roles(topology) == {"work": "work", "first": "retry", "second": "retry"}


def test_a_name_tells_a_retry_queue() -> None:
    topology = look(queue("orders-retry-2"), queue("orders"))
    assert roles(topology)["orders-retry-2"] == "retry"
    assert key("orders-retry-2") not in topology.dead_letters


def test_a_name_like_that_of_a_retry_queue_hides_no_dead_letters_that_stay() -> None:
    topology = look(
        queue("orders", dead_letter_exchange="", dead_letter_routing_key="orders-retry"), queue("orders-retry")
    )
    assert roles(topology) == {"orders": "work", "orders-retry": "dead_letter"}
    assert topology.dead_letters[key("orders-retry")].origins == (Origin("orders", FoundBy.TOPOLOGY),)


def test_on_a_cycle_such_a_name_tells_which_queue_is_for_retries() -> None:
    topology = look(
        queue("orders", dead_letter_exchange="", dead_letter_routing_key="orders-retry"),
        queue("orders-retry", dead_letter_exchange="", dead_letter_routing_key="orders"),
    )
    assert roles(topology) == {"orders": "work", "orders-retry": "retry"}


# delayed delivery


def test_a_waiting_room_does_not_make_the_queue_behind_it_one_of_dead_letters() -> None:
    topology = look(
        queue("orders.delay.5s", message_ttl=5000, dead_letter_exchange="", dead_letter_routing_key="orders"),
        queue("orders"),
    )
    assert roles(topology) == {"orders.delay.5s": "retry", "orders": "work"}


def test_a_waiting_room_without_a_telling_name_is_known_by_who_has_consumers() -> None:
    topology = look(
        queue("lobby", message_ttl=5000, dead_letter_exchange="", dead_letter_routing_key="orders"),
        queue("orders"),
        consumed={key("orders")},
    )
    assert roles(topology) == {"lobby": "retry", "orders": "work"}


def test_a_work_queue_whose_messages_expire_into_a_queue_without_consumers_has_a_dead_letter_queue() -> None:
    topology = look(
        queue("orders", message_ttl=5000, dead_letter_exchange="", dead_letter_routing_key="late"), queue("late")
    )
    assert roles(topology) == {"orders": "work", "late": "dead_letter"}


def test_a_work_queue_that_lost_its_consumers_does_not_become_a_waiting_room() -> None:
    topology = look(
        queue("orders", message_ttl=5000, dead_letter_exchange="", dead_letter_routing_key="failed"),
        queue("failed"),
        consumed={key("orders"), key("failed")},
    )
    assert roles(topology) == {"orders": "work", "failed": "dead_letter"}


# names and configuration


def test_a_name_tells_a_dead_letter_queue_that_the_application_fills() -> None:
    topology = look(queue("orders.dlq"), queue("orders"))
    found = topology.dead_letters[key("orders.dlq")]
    assert found.found_by is FoundBy.NAME
    assert found.origins == (Origin("orders", FoundBy.NAME),)


def test_the_configuration_tells_a_dead_letter_queue_and_its_origins() -> None:
    found = look(queue("graveyard"), configured="graveyard").dead_letters[key("graveyard")]
    assert found.found_by is FoundBy.CONFIGURATION
    assert found.origins == (Origin("elsewhere", FoundBy.CONFIGURATION),)


def test_the_configuration_goes_before_a_cycle() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="pause"),
        queue("pause", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="work"),
        configured="pause",
    )
    assert roles(topology) == {"work": "work", "pause": "dead_letter"}


# problems


def problems(topology: Topology, name: str) -> tuple[Problem, ...]:
    found = topology.dead_letters.get(key(name))
    return found.problems if found else ()


def test_a_lasting_queue_without_dead_letter_exchange_is_told() -> None:
    found = look(queue("work")).dead_letters[key("work")]
    assert found.problems == (Problem.NONE_CONFIGURED,)
    assert found.origins == (Origin("work", FoundBy.TOPOLOGY),)


@pytest.mark.parametrize(
    "facts",
    [
        QueueFacts(key("work"), durable=False),
        QueueFacts(key("work"), temporary=True),
        QueueFacts(key("work"), type="stream"),
        QueueFacts(key("work"), definition=None),
    ],
    ids=["not durable", "goes with its user", "a stream", "its policies are hidden"],
)
def test_a_queue_that_cannot_have_one_or_may_have_one_is_not(facts: QueueFacts) -> None:
    assert look(facts).dead_letters == {}


def test_an_exchange_that_does_not_exist_is_told() -> None:
    assert problems(look(queue("work", dead_letter_exchange="gone")), "work") == (Problem.TARGET_MISSING,)


def test_an_exchange_that_routes_the_dead_letters_nowhere_is_told() -> None:
    topology = look(
        queue("work", dead_letter_exchange="dlx", dead_letter_routing_key="typo"),
        queue("graveyard"),
        through=routes(exchange("dlx"), bind("dlx", "graveyard", "work")),
    )
    assert problems(topology, "work") == (Problem.TARGET_MISSING,)
    assert topology.roles[key("work")] is Role.WORK


def test_a_queue_that_does_not_exist_behind_the_default_exchange_is_told() -> None:
    topology = look(queue("work", dead_letter_exchange="", dead_letter_routing_key="gone"))
    assert problems(topology, "work") == (Problem.TARGET_MISSING,)


def test_a_target_that_is_missing_further_on_is_told_of_the_dead_letter_queue() -> None:
    topology = look(
        queue("work", dead_letter_exchange="", dead_letter_routing_key="work.dlq"),
        queue("work.dlq", dead_letter_exchange="gone"),
    )
    assert problems(topology, "work.dlq") == (Problem.TARGET_MISSING,)


@pytest.mark.parametrize(("own", "expected"), [(1000, (Problem.RETENTION_TOO_SHORT,)), (120_000, ())])
def test_a_dead_letter_queue_that_forgets_sooner_than_its_source_is_told(
    own: int, expected: tuple[Problem, ...]
) -> None:
    topology = look(
        queue("work", message_ttl=60_000, dead_letter_exchange="", dead_letter_routing_key="work.dlq"),
        queue("work.dlq", message_ttl=own),
    )
    assert problems(topology, "work.dlq") == expected


# settings


def test_of_two_times_to_live_the_shorter_holds() -> None:
    assert message_ttl(queue("a", policy={"message-ttl": 2000}, message_ttl=9000)) == 2.0
    assert message_ttl(queue("a")) is None


def test_the_age_of_a_stream_is_its_time_to_live() -> None:
    assert message_ttl(queue("a", queue_type="stream", max_age="7D")) == 7 * 86_400
    assert message_ttl(queue("a", queue_type="stream", message_ttl=5)) is None


def test_cycles_are_found_apart_from_one_another() -> None:
    def to(*names: str) -> frozenset[QueueKey]:
        return frozenset(map(key, names))

    graph = {key("a"): to("b"), key("b"): to("a", "c"), key("c"): to("d"), key("d"): to("e"), key("e"): to("c", "f")}
    assert set(cycles(graph)) == {to("a", "b"), to("c", "d", "e")}
    assert cycles({key("a"): to("a")}) == []
