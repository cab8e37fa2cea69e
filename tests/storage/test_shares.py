"""Which monitor reads which cluster: decided by PostgreSQL's own locks."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from monitor.errors import StorageError
from monitor.storage.database import Database
from monitor.storage.shares import Shares
from tests.waiting import wait_for

CLUSTERS = ("a", "b", "c", "d")


@pytest.fixture
def pair(database: Database) -> Iterator[tuple[Shares, Shares]]:
    both = Shares(database, "http://one", CLUSTERS), Shares(database, "http://two", CLUSTERS)
    yield both
    for shares in both:
        shares.close()


pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def read_by(shares: Shares) -> dict[str, str | None]:
    return {cluster: shares.read_by(cluster) for cluster in CLUSTERS}


def settle(*monitors: Shares) -> None:
    """Let everybody look and act until nothing changes; what is handed over is let go at once."""
    for _ in range(6):
        for shares in monitors:
            shares.renew()
            for cluster in CLUSTERS:
                if shares.read_by(cluster) is not None:
                    shares.let_go(cluster)


def test_before_the_first_look_nothing_is_read(pair: tuple[Shares, Shares]) -> None:
    assert set(read_by(pair[0]).values()) == {""}


def test_two_share_evenly_each_cluster_is_read_once_and_each_knows_by_whom(pair: tuple[Shares, Shares]) -> None:
    one, two = pair
    one.renew()
    assert set(read_by(one).values()) == {None}
    settle(one, two)
    assert read_by(one) == {"a": None, "b": None, "c": "http://two", "d": "http://two"}
    assert read_by(two) == {"a": "http://one", "b": "http://one", "c": None, "d": None}


def test_what_is_handed_over_is_written_first_and_not_taken_by_another_before_it_is_let_go(
    pair: tuple[Shares, Shares],
) -> None:
    one, two = pair
    one.renew()
    two.renew()
    written: list[dict[str, str | None]] = []
    one.renew(before_leaving=lambda: written.append(read_by(one)))
    assert written == [dict.fromkeys(CLUSTERS)]
    assert one.read_by("d") == ""
    two.renew()
    assert two.read_by("d") == "http://one"
    one.let_go("d")
    two.renew()
    assert two.read_by("d") is None


def test_when_one_ends_the_other_takes_over_at_its_next_look(pair: tuple[Shares, Shares]) -> None:
    one, two = pair
    settle(one, two)
    one.close()

    def everything_is_read() -> bool:
        two.renew()
        return set(read_by(two).values()) == {None}

    wait_for(everything_is_read, "the server to notice that the session has ended", 5.0)


def test_while_the_database_does_not_answer_everybody_goes_on_with_what_they_hold(
    pair: tuple[Shares, Shares], database: Database
) -> None:
    one, two = pair
    settle(one, two)
    before = read_by(one), read_by(two)
    with database.engine.connect() as connection:
        others = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'http://%'"
        )
        connection.execute(others)
    for shares in pair:
        with pytest.raises(StorageError):
            shares.renew()
    assert (read_by(one), read_by(two)) == before
    settle(one, two)
    assert (read_by(one), read_by(two)) == before


def test_a_cluster_that_is_no_longer_wanted_is_let_go(pair: tuple[Shares, Shares]) -> None:
    one, two = pair
    one.renew()
    one.want(CLUSTERS[:2])
    one.renew()
    settle(two)
    assert [two.read_by(cluster) for cluster in ("c", "d")] == [None, None]


def test_many_that_look_at_once_never_hold_the_same(database: Database) -> None:
    crowd = [Shares(database, f"http://{number}", CLUSTERS) for number in range(4)]
    try:
        for _ in range(10):
            threads = [threading.Thread(target=settle, args=(shares,)) for shares in crowd]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            held = [cluster for shares in crowd for cluster in CLUSTERS if shares.read_by(cluster) is None]
            assert len(held) == len(set(held))
        settle(*crowd)
        assert [list(read_by(shares).values()).count(None) for shares in crowd] == [1, 1, 1, 1]
    finally:
        for shares in crowd:
            shares.close()
