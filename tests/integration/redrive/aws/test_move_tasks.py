"""SQS' own move task, followed and cancelled as a job."""

import pytest

from monitor.brokers.aws.move_tasks import MoveTask
from monitor.letters import Job, PlanRequest
from tests.integration.redrive.aws.conftest import Playground, deadline, eventually


def open_task(ground: Playground, job: Job) -> MoveTask:
    opened = ground.bus.open(job, lambda _: None)
    assert isinstance(opened, MoveTask)
    return opened


def test_everything_is_moved_and_counted(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.send(dead, [f"m{number}" for number in range(12)])
    assert any("500 a second" in it for it in ground.survey(dead, native=True).warnings)
    task = open_task(ground, ground.job(dead, native=True))
    steps = [task.recover(deadline())]
    while not steps[-1].finished:
        steps.append(task.step(100, deadline()))
    task.close()
    assert sum(step.moved for step in steps) == 12
    assert len(ground.receive(work, 12)) == 12


def test_a_running_task_is_taken_up_again_after_an_interruption(ground: Playground) -> None:
    dead, _ = ground.queues()
    ground.send(dead, [f"m{number}" for number in range(12)])
    job = ground.job(dead, native=True, rate_per_second=4.0)
    first = open_task(ground, job)
    first.recover(deadline())
    before = first.step(100, deadline())
    assert any("moving its messages already" in it for it in ground.survey(dead).blockers)
    again = open_task(ground, Job(job.id, job.request, job.queue, job.target, job.bounds, reached=before.reached))
    steps = [before, again.recover(deadline())]
    while not steps[-1].finished:
        steps.append(again.step(100, deadline()))
    assert sum(step.moved for step in steps) == 12


def test_closing_cancels_and_what_was_not_moved_stays(ground: Playground) -> None:
    dead, _ = ground.queues()
    ground.send(dead, [f"m{number}" for number in range(20)])
    task = open_task(ground, ground.job(dead, native=True, rate_per_second=1.0))
    task.recover(deadline())
    task.step(100, deadline())
    task.close()
    assert eventually(lambda: not ground.survey(dead).blockers)
    assert eventually(lambda: ground.counts(dead)[0] > 10)


@pytest.mark.parametrize(
    "asked", [{"first": 3}, {"select": "true"}, {"set_headers": {"a": "b"}}, {"rate_per_second": 900.0}]
)
def test_what_a_move_task_cannot_do_blocks_the_plan(ground: Playground, asked: dict[str, object]) -> None:
    dead, _ = ground.queues()
    request = PlanRequest("cloud/x", native=True, **asked)  # type: ignore[arg-type]
    assert ground.bus.survey(ground.name(dead), request, deadline()).blockers
