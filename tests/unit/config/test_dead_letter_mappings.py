"""Which queue an entry of `dead_letters` means: one rule for every bus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Configuration, DeadLetterMapping, origins_by_place, parse_configuration
from monitor.errors import ConfigurationError
from monitor.model import decode_id, encode_id

CLUSTERS = """
clusters:
  - {name: orders, kind: kafka, bootstrap_servers: "127.0.0.1:9092"}
  - {name: pay/ments, kind: aws, region: us-east-1}
  - {name: mail, kind: rabbitmq, amqp_url: "amqp://127.0.0.1"}
dead_letters:
  - queue: %s
    origins: [%s]
"""


def read(queue: str, origins: str = "") -> Configuration:
    return parse_configuration(CLUSTERS % (f'"{queue}"', origins), "monitor.yml", {})


def mistake(queue: str, origins: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(queue, origins)
    return str(caught.value)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=4))
def test_an_id_is_read_back_as_the_parts_that_it_was_made_of(parts: list[str]) -> None:
    assert decode_id(encode_id(*parts)) == tuple(parts)


@pytest.mark.parametrize("text", ["queue", "", "orders/", "/queue", "a//b", "orders/100%", "orders/%zz", "orders/%ff"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"an id has|a percent sign|decode"):
        decode_id(text)
    assert mistake(text).startswith("monitor.yml:7: dead_letters[0].queue: must be an id: cluster/queue, ")


@pytest.mark.parametrize(
    ("queue", "cluster", "place"),
    [
        ("orders/parked-orders", "orders", ("parked-orders",)),
        ("pay%2Fments/parked", "pay/ments", ("parked",)),
        ("mail/parked", "mail", ("parked",)),
        ("mail/%2F/parked", "mail", ("parked",)),
        ("mail/shop%2Feu/parked%2Fslowly", "mail", ("shop/eu", "parked/slowly")),
        ("mail/shop/parked letters", "mail", ("shop", "parked letters")),
    ],
)
def test_an_entry_names_a_queue_of_one_cluster_by_its_id(queue: str, cluster: str, place: tuple[str, ...]) -> None:
    mappings = read(queue, "a").dead_letters
    for name in ("orders", "pay/ments", "mail"):
        assert origins_by_place(name, mappings) == ({place: ("a",)} if name == cluster else {})


@pytest.mark.parametrize(
    ("queue", "origins", "told"),
    [
        ("oders/parked", "", "queue: there is no cluster 'oders'; did you mean orders?"),
        ("elsewhere/parked", "", "queue: there is no cluster 'elsewhere'; known are orders, pay/ments, mail"),
        ("orders/a/b", "", "queue: must be cluster/queue; a slash inside a name is written %2F"),
        ("pay/ments/parked", "", "queue: there is no cluster 'pay'; known are orders, pay/ments, mail"),
        ("mail/a/b/c", "", "queue: must be cluster/queue or cluster/vhost/queue; a slash inside a name is written %2F"),
        ("orders/a", "orders/b", "origins: must be names of destinations in the same cluster; leave the cluster out"),
    ],
)
def test_an_entry_that_can_be_about_no_cluster_is_told_with_its_line(queue: str, origins: str, told: str) -> None:
    line = 8 if told.startswith("origins") else 7
    assert mistake(queue, origins) == f"monitor.yml:{line}: dead_letters[0].{told}"


def test_a_queue_of_rabbitmq_may_have_origins_in_a_virtual_host() -> None:
    assert read("mail/shop/parked", "shop/orders").dead_letters == [
        DeadLetterMapping(queue="mail/shop/parked", origins=["shop/orders"])
    ]
