"""The connections of redrive to its brokers, over fakes: only whether they are opened and closed is looked at."""

from typing import Any, cast

import pytest

from monitor.clock import Clock
from monitor.config import Cluster, KafkaCluster, KafkaRedrive
from monitor.errors import BadAnswer, ReadOnly
from monitor.letters import RedriveBus
from monitor.redrive.buses import Buses


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
