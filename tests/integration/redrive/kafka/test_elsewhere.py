"""Dead letters of Kafka that go to another cluster.

To the product it is another one, with names of its own in it; that it is the same broker shows nothing less, since no
call knows of both. `make soak NAME=redrive-kafka-elsewhere` has two brokers.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.brokers.kafka.elsewhere import FarMover
from monitor.brokers.redrivers import open_redriver
from monitor.clock import Clock
from monitor.config import KafkaCluster, KafkaRedrive
from monitor.errors import ReadOnly, Unreachable
from monitor.letters import Guarantee, Job, OnAmbiguous, Outcome, Outgoing, PlanRequest, Step
from monitor.redrive.buses import Buses
from stack.state import Endpoints
from tests.integration.redrive.kafka.yard import Yard, headers_of, open_yard, spring_headers


@pytest.fixture(scope="module")
def far(endpoints: Endpoints) -> Iterator[Yard]:
    with open_yard(endpoints.kafka) as yard:
        yield yard


@pytest.fixture(scope="module")
def buses(yard: Yard) -> Iterator[Buses]:
    """Two clusters that may be redriven on, and one that is only watched."""
    rights = {"k": KafkaRedrive(), "far": KafkaRedrive(), "watched": None}
    clusters = [
        KafkaCluster(name=name, kind="kafka", bootstrap_servers=yard.kafka.bootstrap, redrive=redrive)
        for name, redrive in rights.items()
    ]
    clock = Clock()
    with closing(Buses(clusters, lambda: (), lambda it: open_redriver(it, (), clock), clock)) as known:
        yield known


def soon() -> float:
    return time.monotonic() + 60


def job_of(buses: Buses, dead: str, target: str, **asked: OnAmbiguous) -> Job:
    request = PlanRequest(f"k/{dead}", target=target, **asked)  # type: ignore[arg-type]
    survey = buses.of("k").survey(dead, request, soon())
    assert (survey.blockers, survey.target) == ((), target)
    return Job(f"job-{dead}", request, dead, target, survey.bounds)


def open_mover(buses: Buses, job: Job) -> FarMover:
    mover = buses.of("k").open(job, lambda message: Outgoing(message, message.position, 1))
    assert isinstance(mover, FarMover)
    return mover


def step_on(mover: FarMover) -> None:
    while not mover.step(10, soon()).finished:
        pass


def finish(buses: Buses, job: Job) -> list[Step]:
    with closing(open_mover(buses, job)) as mover:
        steps = [mover.recover(soon())]
        while not steps[-1].finished:
            steps.append(mover.step(5_000, soon()))
    return steps


def ids_at(yard: Yard, topic: str) -> list[int]:
    return sorted(json.loads(message.value() or b"")["id"] for message in yard.read(topic))


def test_a_plan_for_another_cluster_says_what_is_promised_and_what_is_in_the_way(
    yard: Yard, far: Yard, buses: Buses
) -> None:
    target, dead = yard.pair(1, "plans")
    there = far.kafka.topic("plans")
    yard.fill(dead, 3, spring_headers(target))

    def survey(asked: str) -> tuple[str | None, Guarantee, int, tuple[str, ...]]:
        it = buses.of("k").survey(dead, PlanRequest(f"k/{dead}", target=asked), soon())
        return it.target, it.guarantee, it.max_duplicates_per_interruption, it.blockers

    assert survey(f"far/{there}") == (f"far/{there}", Guarantee.AT_LEAST_ONCE, 2_000, ())
    assert survey(f"k/{target}") == (target, Guarantee.EXACTLY_ONCE, 0, ())
    assert survey(f"far/{dead}")[3] == ()  # a topic of the same name is another one there
    assert "does not exist on far" in survey("far/nothing")[3][0]
    assert "nowhere" in survey(f"nowhere/{there}")[3][0]
    with pytest.raises(ReadOnly, match="watched is read-only"):
        survey(f"watched/{there}")


def test_bytes_are_kept_and_what_the_other_cluster_refuses_stays(yard: Yard, far: Yard, buses: Buses) -> None:
    target, dead = yard.pair(2, "bytes")
    there = far.kafka.topic("bytes", 2, {"max.message.bytes": "4000", "cleanup.policy": "compact"})
    own = [*spring_headers(target), ("twice", b"1"), ("twice", b"\xff\x00"), ("null", None)]
    yard.fill(dead, 40, own)
    yard.producer.produce(dead, None, b"tombstone", partition=0)
    yard.producer.produce(dead, b"x" * 6_000, b"large", partition=0)
    yard.producer.produce(dead, b"without a key", partition=0)  # which a compacted topic does not take
    yard.producer.flush()
    job = job_of(buses, dead, f"far/{there}")
    steps = finish(buses, job)
    assert sum(step.moved for step in steps) == 41
    fates = [fate for step in steps for fate in step.fates]
    assert {(fate.message.key, fate.outcome) for fate in fates} == {(b"large", Outcome.FAILED), (None, Outcome.FAILED)}
    assert any("does not take it" in fate.reason for fate in fates)
    assert {to["topic"] for step in steps for it in step.ranges for to in it["to"]} == {there}

    came = far.read(there)
    assert sorted(message.value() or b"" for message in came) == sorted([b"", *(b'{"id": %d}' % n for n in range(40))])
    for message in came:
        stamps = dict(headers_of(message)[-4:])
        assert stamps["x-redrive-job"] == job.id.encode()
        assert message.value() is None or headers_of(message)[:-4] == own
    assert yard.read(target) == []
    left = buses.of("k").browse(dead, 10, None, soon()).messages
    assert [message.key for message in left] == [b"large", None]


@pytest.mark.parametrize("on_ambiguous", OnAmbiguous)
def test_what_was_under_way_at_an_interruption_goes_once_more_or_is_held(
    yard: Yard, far: Yard, buses: Buses, monkeypatch: pytest.MonkeyPatch, on_ambiguous: OnAmbiguous
) -> None:
    target, dead = yard.pair(1, f"doubt-{on_ambiguous}")
    there = far.kafka.topic(f"doubt-{on_ambiguous}")
    yard.fill(dead, 30, spring_headers(target))
    job = job_of(buses, dead, f"far/{there}", on_ambiguous=on_ambiguous)

    def break_off(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    with monkeypatch.context() as broken, closing(open_mover(buses, job)) as mover:
        mover.recover(soon())
        broken.setattr(FarMover, "_commit", break_off)  # when all is sent, and nothing is noted
        with pytest.raises(Unreachable):
            step_on(mover)
    sent = ids_at(far, there)
    assert sent == list(range(len(sent)))

    yard.fill(dead, 5, spring_headers(target), first=100)  # later than the plan
    steps = finish(buses, job)
    outcomes = [fate.outcome for step in steps for fate in step.fates]
    again = sum(step.resent for step in steps)
    moved = sum(step.moved for step in steps)
    if on_ambiguous == OnAmbiguous.SEND:
        assert (again, outcomes, moved) == (len(sent), [], 30)
        assert ids_at(far, there) == sorted([*range(30), *sent])
    else:
        assert (again, outcomes, moved) == (0, [Outcome.AMBIGUOUS] * len(sent), 30 - len(sent))
        assert ids_at(far, there) == list(range(30))
        # Of transactions that the journal has not heard of, the reasons are told once more.
        told = open_mover(buses, replace(job, reached={}))
        with closing(told):
            assert len(told.recover(soon()).fates) == len(sent)
