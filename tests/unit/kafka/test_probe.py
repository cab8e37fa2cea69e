"""What the probe tells of a round, by what became of its records; a lost one cannot be provoked on a broker."""

from confluent_kafka import KafkaError

from monitor.brokers.kafka.metadata import Listing
from monitor.brokers.kafka.probe import Probe
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.rounds import Record, Round
from monitor.clock import Clock
from monitor.config import KafkaProbe
from monitor.memory import Memory
from monitor.model import Table
from tests.unit.remembering import Kept

LEADERS = {0: 1, 1: 2, 2: 2}
BACK = Record(0, 10.0, offset=5, returned_at=10.25)
SLOW = Record(2, 10.0, offset=5, returned_at=11.0)
LOST = Record(1, 10.0, offset=5)
REFUSED = Record(1, 10.0)
DENIED = Record(1, 10.0, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def tell(*records: Record, memory: Memory | None = None, **found: object) -> tuple[dict[str, Table], Problems]:
    probe = Probe({}, KafkaProbe(), Clock(now=lambda: 99.0), memory or Kept())
    probe._take(Round(records, **{"commit_seconds": 0.5, **found}), LEADERS)  # type: ignore[arg-type]
    problems = Problems()
    return probe.tell(problems), problems


def counts(tables: dict[str, Table]) -> dict[tuple[str, str], float]:
    table = tables["probe_messages"]
    names = zip(*(label.decode() for label in table.labels), strict=True)
    found = dict(zip(names, table.columns["kafka_probe_messages_total"].tolist(), strict=True))
    return {(broker, outcome): number for (broker, outcome), number in found.items()}


def trips(tables: dict[str, Table]) -> dict[str, float]:
    table = tables["probe_brokers"]
    return dict(zip(table.labels[0].decode(), table.columns["kafka_probe_round_trip_seconds"].tolist(), strict=True))


def test_round_trips_are_the_longest_of_each_broker_and_nothing_is_wrong() -> None:
    tables, problems = tell(BACK, SLOW, Record(1, 10.0, offset=7, returned_at=10.5))
    assert trips(tables) == {"1": 0.25, "2": 1.0}
    assert counts(tables)["2", "returned"] == 2
    assert problems.told() == ()


def test_counters_of_all_outcomes_are_there_from_the_first_round_on() -> None:
    tables, _ = tell(BACK)
    assert counts(tables) == {("1", "returned"): 1, ("1", "lost"): 0, ("1", "refused"): 0}


def test_a_record_that_was_taken_and_did_not_come_back_is_lost_and_hides_the_round_trip() -> None:
    tables, problems = tell(LOST, SLOW)
    assert trips(tables)["2"] != trips(tables)["2"]  # absent
    assert (counts(tables)["2", "lost"], counts(tables)["2", "returned"]) == (1, 1)
    (told,) = problems.told()
    assert (told.reason, "broker 2" in told.target, "did not come back" in told.message) == ("timeout", True, True)


def test_a_record_that_was_not_taken_is_refused_with_the_reason() -> None:
    tables, problems = tell(REFUSED)
    assert counts(tables)["2", "refused"] == 1
    assert problems.told()[0].reason == "timeout"
    _, problems = tell(DENIED)
    assert problems.told()[0].reason == "forbidden"


def test_a_first_reading_tells_no_round_trip() -> None:
    tables, _ = tell(BACK, fresh=frozenset({0}))
    assert trips(tables) == {}
    assert counts(tables)["1", "returned"] == 1


def test_a_commit_that_failed_is_absent_and_told() -> None:
    tables, problems = tell(BACK, commit_seconds=None, commit_error=KafkaError(KafkaError._TIMED_OUT))
    (seconds,) = tables["probe"].columns["kafka_probe_commit_seconds"].tolist()
    assert seconds != seconds
    assert "commit" in problems.told()[0].target


def test_counters_go_on_after_a_restart() -> None:
    memory = Kept()
    tell(BACK, memory=memory)
    tables, _ = tell(BACK, memory=memory)
    assert counts(tables)["1", "returned"] == 2


def test_nothing_is_told_before_a_round_has_ended_and_each_problem_once() -> None:
    probe = Probe({}, KafkaProbe(), Clock(), Kept())
    assert probe.tell(Problems()) == {}
    probe._take(Round((LOST,), None), LEADERS)
    first, second = Problems(), Problems()
    probe.tell(first)
    probe.tell(second)
    assert (len(first.told()), second.told()) == (1, ())


def test_a_partition_that_nobody_leads_belongs_to_the_broker_that_led_it_last() -> None:
    probe = Probe({}, KafkaProbe(), Clock(), Kept())
    probe.close()  # so that looking begins nothing
    for leader in (3, -1):
        listing = Listing({"eventflow.probe": [(1, 1, 1), (leader, 1, 1)]}, (), (1, 3))
        probe.look(listing)
        assert probe._leaders == {0: 1, 1: 3}
