"""SQS' own message move task as a mover: started, followed and cancelled here, carried out by SQS.

Sources: the API reference of StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask, and the SQS quotas.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.queues import Queue
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.errors import BadAnswer, Forbidden
from monitor.letters import Job, PlanRequest, Step

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import ListMessageMoveTasksResultEntryTypeDef as Task

MOST_A_SECOND = 500

_LISTED = 10
_POLL_SECONDS = 1.0
_CLOSE_SECONDS = 10.0
_MILLISECONDS = 1_000

WARNINGS = (
    "SQS itself moves the messages: at most 500 a second, for at most 36 hours, one task a queue.",
    "It moves whatever is in the queue while it runs, what arrives later too; it cannot stop at the planned number.",
    "Nothing is recorded of each message: the counts are SQS' own and approximate, and there is no proof of any.",
    "Messages get no mark, so those that come back cannot be told; cancelling takes nothing back.",
)


@dataclass(frozen=True, slots=True)
class Native:
    """What is to be said of a plan that asks for the native move task."""

    blockers: tuple[str, ...]
    warnings: tuple[str, ...] = WARNINGS


def judge_native(queue: Queue, request: PlanRequest, *, from_topics: bool) -> Native:
    """Say whether the native move task can do what is asked: everything, unchanged, from queues alone."""
    return Native(tuple(_find_obstacles(queue, request, from_topics=from_topics)))


def _find_obstacles(queue: Queue, request: PlanRequest, *, from_topics: bool) -> Iterator[str]:
    if request.selective or request.first is not None or request.canary is not None:
        yield "a native move task moves everything; leave out native, or the selection and the canary"
    if request.set_headers or request.remove_headers or request.patch or request.strip_failure_headers:
        yield "a native move task changes nothing on the way; leave out native, or the changes"
    if from_topics:
        yield f"SNS puts messages into {queue.name}, and a native move task takes those of queues alone; leave it out"
    if request.rate_per_second is not None and not 1 <= request.rate_per_second <= MOST_A_SECOND:
        yield f"a native move task takes a rate from 1 to {MOST_A_SECOND} a second"


def list_tasks(clients: Clients, source_arn: str) -> "list[Task]":
    """Return the latest move tasks of a queue, newest first. Raises BrokerError."""
    with translating("sqs:ListMessageMoveTasks"):
        return list(clients.sqs.list_message_move_tasks(SourceArn=source_arn, MaxResults=_LISTED).get("Results", []))


def running_task(clients: Clients, source_arn: str) -> "Task | None":
    """Return the move task that is under way; None where there is none, or where SQS does not let that be asked."""
    try:
        tasks = list_tasks(clients, source_arn)
    except (Forbidden, BadAnswer):
        return None
    return next((task for task in tasks if task.get("Status") in ("RUNNING", "CANCELLING")), None)


class MoveTask:
    """Implements `monitor.letters.Mover` by a message move task of SQS.

    `destination` is the ARN of the target, None for each message's own origin. `Step.reached` holds how many messages
    each task of this job has moved, by the task's start.
    """

    def __init__(self, queue: Queue, destination: str | None, clients: Clients, job: Job, clock: Clock) -> None:
        self._queue, self._destination, self._clients, self._job, self._clock = queue, destination, clients, job, clock
        self._moved: dict[str, int] = {}
        self._workers = Workers(1, clock)
        self._closed = threading.Event()
        self._latest: Task | None = None

    def recover(self, deadline: float) -> Step:
        """Find the tasks that an earlier run of this job has started, and go on with one that still runs."""
        self._moved = {str(key): int(value) for key, value in self._job.reached.get("tasks", {}).items()}
        return self._look(deadline)

    def step(self, limit: int, deadline: float) -> Step:
        """Start the task if none of this job runs or has ended, then look how far it is. `limit` is not SQS' concern.

        Raises BadAnswer when SQS ends the task before everything is moved.
        """
        status = self._latest.get("Status") if self._latest else None
        if status == "COMPLETED":
            return Step(finished=True, reached=self._reached())
        if status not in ("RUNNING", "CANCELLING"):
            self._workers.call(self._start, deadline)
        self._closed.wait(min(_POLL_SECONDS, max(0.0, deadline - self._clock.monotonic())))
        step = self._look(deadline)
        status = self._latest.get("Status") if self._latest else None
        if status in ("FAILED", "CANCELLED"):
            reason = self._latest.get("FailureReason") if self._latest else None
            problem = f"the move task has ended early ({reason or status})"
            raise BadAnswer(problem, target=self._queue.name, remedy="see that SQS may write to the target, and resume")
        return step

    @property
    def closed(self) -> bool:
        """Say whether it has been let go."""
        return self._closed.is_set()

    def close(self) -> None:
        """Cancel the task if it runs: what it has moved stays moved."""
        if self._closed.is_set():
            return
        self._closed.set()
        handle = self._latest.get("TaskHandle") if self._latest else None
        if handle and self._latest and self._latest.get("Status") == "RUNNING":
            cancel = partial(self._cancel, handle)
            self._workers.run([cancel], self._clock.monotonic() + _CLOSE_SECONDS)
        self._workers.close()

    def _start(self) -> None:
        rate = self._job.request.rate_per_second
        asked: dict[str, Any] = {"SourceArn": self._queue.arn}
        if self._destination:
            asked["DestinationArn"] = self._destination
        if rate is not None:
            asked["MaxNumberOfMessagesPerSecond"] = round(rate)
        with translating("sqs:StartMessageMoveTask"):
            self._clients.sqs.start_message_move_task(**asked)

    def _cancel(self, handle: str) -> None:
        with translating("sqs:CancelMessageMoveTask"):
            self._clients.sqs.cancel_message_move_task(TaskHandle=handle)

    def _look(self, deadline: float) -> Step:
        """Ask how far this job's tasks are: those to its target that began after its plan, since a queue has one."""
        tasks = self._workers.call(partial(list_tasks, self._clients, self._queue.arn), deadline)
        own = [task for task in tasks if self._is_own(task)]
        self._latest = own[0] if own else None
        before = self._count()
        for task in own:
            key = str(task.get("StartedTimestamp", 0))
            self._moved[key] = max(self._moved.get(key, 0), task.get("ApproximateNumberOfMessagesMoved", 0))
        finished = self._latest is not None and self._latest.get("Status") == "COMPLETED"
        return Step(moved=self._count() - before, finished=finished, reached=self._reached())

    def _is_own(self, task: "Task") -> bool:
        began = task.get("StartedTimestamp", 0) >= float(self._job.bounds["planned_at"]) * _MILLISECONDS
        return began and task.get("DestinationArn") == self._destination

    def _count(self) -> int:
        """Return how many have been moved, not more than were planned: SQS goes on with what arrives later."""
        return min(sum(self._moved.values()), int(self._job.bounds["count"]))

    def _reached(self) -> Mapping[str, Any]:
        return {"tasks": dict(self._moved)}
