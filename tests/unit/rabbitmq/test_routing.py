"""Where messages go by exchanges and bindings."""

import pytest

from monitor.brokers.rabbitmq.routing import Keys, Router, RoutingKey, overlaps
from tests.unit.rabbitmq.builders import bind, exchange, key, routes

ALL = (key("a"), key("b"), key("c"))


def reached(router: Router, name: str, keys: Keys) -> set[str]:
    return {queue for _, queue in router.queues_behind("/", name, keys)}


def exactly(text: str) -> Keys:
    return frozenset({RoutingKey(text)})


def test_the_default_exchange_leads_to_the_queue_of_that_name() -> None:
    router = Router(ALL, routes())
    assert reached(router, "", exactly("b")) == {"b"}
    assert reached(router, "", exactly("missing")) == set()


def test_a_direct_exchange_leads_where_the_key_is_the_same() -> None:
    router = Router(ALL, routes(exchange("x"), bind("x", "a", "one"), bind("x", "b", "two"), bind("x", "c", "one")))
    assert reached(router, "x", exactly("one")) == {"a", "c"}
    assert reached(router, "x", exactly("#")) == set()
    assert reached(router, "x", None) == {"a", "b", "c"}


def test_a_fanout_exchange_leads_everywhere_it_is_bound() -> None:
    router = Router(ALL, routes(exchange("x", "fanout"), bind("x", "a"), bind("x", "b", "ignored")))
    assert reached(router, "x", exactly("anything")) == {"a", "b"}


def test_what_a_headers_exchange_matches_is_not_known_so_all_may_be_reached() -> None:
    router = Router(ALL, routes(exchange("x", "headers"), bind("x", "a"), bind("x", "b")))
    assert reached(router, "x", exactly("anything")) == {"a", "b"}


def test_a_topic_exchange_leads_where_its_pattern_matches() -> None:
    router = Router(
        ALL,
        routes(exchange("x", "topic"), bind("x", "a", "order.*"), bind("x", "b", "order.#"), bind("x", "c", "*.eu")),
    )
    assert reached(router, "x", exactly("order")) == {"b"}
    assert reached(router, "x", exactly("order.eu")) == {"a", "b", "c"}
    assert reached(router, "x", exactly("order.eu.fast")) == {"b"}


def test_a_key_that_reads_like_a_wildcard_is_taken_as_it_is() -> None:
    router = Router(ALL, routes(exchange("x", "topic"), bind("x", "a", "order.created"), bind("x", "b", "#")))
    assert reached(router, "x", exactly("#")) == {"b"}


def test_keys_that_are_known_as_a_pattern_reach_what_that_overlaps() -> None:
    router = Router(ALL, routes(exchange("x", "topic"), bind("x", "a", "order.created"), bind("x", "b", "stock.#")))
    assert reached(router, "x", frozenset({RoutingKey("order.*", pattern=True)})) == {"a"}


def test_exchanges_are_followed_to_other_exchanges_and_not_in_circles() -> None:
    router = Router(
        ALL,
        routes(
            exchange("x", "fanout"),
            exchange("y", "direct"),
            bind("x", "y", to_queue=False),
            bind("y", "x", "k", to_queue=False),
            bind("y", "a", "k"),
        ),
    )
    assert reached(router, "x", exactly("k")) == {"a"}


def test_what_an_exchange_cannot_route_goes_to_its_alternate() -> None:
    router = Router(
        ALL,
        routes(exchange("x", alternate="spare"), exchange("spare", "fanout"), bind("x", "a", "k"), bind("spare", "b")),
    )
    assert reached(router, "x", exactly("k")) == {"a"}
    assert reached(router, "x", exactly("other")) == {"b"}
    assert reached(router, "x", None) == {"a", "b"}


def test_an_exchange_that_does_not_exist_leads_nowhere() -> None:
    assert reached(Router(ALL, routes()), "x", None) == set()


def test_virtual_hosts_do_not_mix() -> None:
    router = Router((key("a"), key("a", "v")), routes(exchange("x", "fanout", vhost="v"), bind("x", "a", vhost="v")))
    assert router.queues_behind("v", "x", None) == {key("a", "v")}
    assert router.queues_behind("/", "x", None) == set()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "*.b", True),
        ("a.*", "b.*", False),
        ("#", "", True),
        ("*", "", False),
        ("a.#.z", "a.z", True),
        ("a.#.z", "#.y", False),
        ("#.a.#", "b.#.c", True),
        ("*.*", "a.b.c", False),
    ],
)
def test_patterns_overlap_when_one_key_matches_both(one: str, other: str, expected: bool) -> None:
    def words(text: str) -> tuple[str, ...]:
        return tuple(text.split(".")) if text else ()

    assert overlaps(words(one), words(other)) is expected
    assert overlaps(words(other), words(one)) is expected
