"""Setting aside and putting back on Kafka, interrupted after the broker has it and before the journal does."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from monitor.brokers.kafka.redrive import KafkaRedriveBus
from monitor.clock import Clock
from monitor.config import KafkaCluster, KafkaRedrive
from monitor.letters import Action, Held, Job, Outgoing, PlanRequest
from tests.integration.redrive.kafka.yard import Yard, spring_headers


@pytest.fixture
def bus(yard: Yard) -> Iterator[KafkaRedriveBus]:
    config = KafkaCluster(name="k", kind="kafka", bootstrap_servers=yard.kafka.bootstrap, redrive=KafkaRedrive())
    with closing(KafkaRedriveBus(config, (), Clock())) as opened:
        yield opened


def soon() -> float:
    return time.monotonic() + 20


def run(bus: KafkaRedriveBus, job: Job, *, steps: int | None = None, limit: int = 3) -> tuple[int, Mapping[str, Any]]:
    """Carry a job on, for some steps or to its end; return how many it says it moved, and how far it has come."""
    mover = bus.open(job, lambda message: None if message.position == "0:2" else Outgoing(message, message.position, 1))
    assert not isinstance(mover, Held)
    with closing(mover):
        step = mover.recover(soon())
        moved, reached = step.moved, step.reached
        while not step.finished and (steps is None or steps > 0):
            step = mover.step(limit, soon())
            moved, reached = moved + step.moved, step.reached or reached
            steps = None if steps is None else steps - 1
    return moved, reached


def waiting(bus: KafkaRedriveBus, dead: str) -> list[str]:
    return sorted(message.position for message in bus.browse(dead, 100, None, soon()).messages)


def test_counts_and_marks_are_right_after_an_interruption_at_either(yard: Yard, bus: KafkaRedriveBus) -> None:
    target, dead = yard.pair(2, "interrupted")
    yard.fill(dead, 20, spring_headers(target))
    all_of_them = waiting(bus, dead)
    request = PlanRequest(f"k/{dead}", action=Action.ARCHIVE, reason="why")
    survey = bus.survey(dead, request, soon())
    assert (survey.count, survey.blockers) == (20, ())
    job = Job("archive", request, dead, "archive", survey.bounds)
    first, reached = run(bus, job, steps=1)
    assert first > 0
    _, _ = run(bus, replace(job, reached=reached), steps=1)  # of this step the journal never hears
    rest, _ = run(bus, replace(job, reached=reached))
    assert first + rest == 19
    assert waiting(bus, dead) == ["0:2"]
    assert bus.survey_archive(dead, "archive", soon()).count == 19

    back = Job("restore", PlanRequest(f"k/{dead}", action=Action.RESTORE, archive="archive"), dead, dead, {"count": 19})
    part, _ = run(bus, back, steps=1)
    rest, reached = run(bus, back)  # the journal has not heard of the first part
    assert (0 < part < 19, rest, reached) == (True, 19, {"restored": 19})
    assert waiting(bus, dead) == all_of_them
    assert bus.survey_archive(dead, "archive", soon()).count == 0
