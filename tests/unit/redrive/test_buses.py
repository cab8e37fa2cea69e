"""The connections of redrive to its brokers, over fakes: only whether they are opened and closed is looked at."""

from typing import Any, cast

import pytest

from monitor.clock import Clock
from monitor.config import Cluster, KafkaCluster, KafkaRedrive
from monitor.errors import BadAnswer, Conflict, NotFound, ReadOnly
from monitor.letters import RedriveBus
from monitor.model import ClusterView, DeadLetterQueue, FoundBy, Problem, Role, System, encode_id
from monitor.redrive.buses import Buses
from tests.unit.api.builders import view


class FakeBus:
    def __init__(self, section: Cluster) -> None:
        self.section, self.closed = section, False

    def close(self) -> None:
        self.closed = True


def cluster(name: str, **more: Any) -> KafkaCluster:
    return KafkaCluster(name=name, kind="kafka", bootstrap_servers="127.0.0.1:1", **more)


def open_fake(section: Cluster) -> RedriveBus:
    return cast(RedriveBus, FakeBus(section))


def buses(*clusters: KafkaCluster) -> Buses:
    return Buses(clusters, tuple, open_fake, Clock())


def opened(given: Buses, name: str) -> FakeBus:
    return cast(FakeBus, given.of(name))


def test_a_connection_stays_while_its_section_is_the_same() -> None:
    known = buses(cluster("orders"), cluster("mail"))
    orders, mail = opened(known, "orders"), opened(known, "mail")
    known.reconfigure([cluster("orders"), cluster("mail", interval=30.0)])
    assert (orders.closed, mail.closed) == (False, True)
    assert opened(known, "orders") is orders
    assert opened(known, "mail").section.interval == 30.0


def test_all_are_opened_anew_where_it_is_asked_for() -> None:
    known = buses(cluster("orders"))
    orders = opened(known, "orders")
    known.reconfigure([cluster("orders")], anew=True)
    assert orders.closed
    assert opened(known, "orders") is not orders


def test_what_is_not_configured_any_more_is_closed_and_refused() -> None:
    known = buses(cluster("orders", redrive=KafkaRedrive()))
    orders = opened(known, "orders")
    known.check_rights("orders")
    known.reconfigure([])
    assert orders.closed
    with pytest.raises(BadAnswer):
        known.of("orders")
    with pytest.raises(ReadOnly):
        known.check_rights("orders")


def listed(*parts: str, **fields: Any) -> DeadLetterQueue:
    return DeadLetterQueue(
        encode_id("mail", *parts), System.RABBITMQ, "mail", "/".join(parts), FoundBy.TOPOLOGY, **fields
    )


@pytest.mark.parametrize("problem", Problem)
@pytest.mark.parametrize("role", [Role.WORK, Role.RETRY])
def test_a_queue_that_is_listed_for_its_set_up_alone_is_refused_however_its_id_is_written(
    role: Role, problem: Problem
) -> None:
    source = listed("shop", "a/b", problems=(problem,), role=role)
    dead = listed("a.dlq", problems=(Problem.TARGET_MISSING,))
    seen: list[ClusterView] = [view([], [source, dead], cluster="mail")]
    known = Buses([cluster("mail")], lambda: seen, open_fake, Clock())
    assert known.find("mail/a.dlq") is dead
    for raw in ("mail/shop/a%2Fb", "mail%2Fshop%2Fa%252Fb", "mail/shop/a/b"):
        with pytest.raises(Conflict, match=f"holds no dead letters.*{problem.replace('_', ' ')}"):
            known.find(raw)
    with pytest.raises(NotFound):
        known.find("mail/other")
