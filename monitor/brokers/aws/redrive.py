"""Dead letters of SQS queues, one by one: looked at, surveyed for a plan, and held for a job."""

import threading
from collections.abc import Sequence
from functools import partial

from monitor.brokers.aws.access import WORKERS, Look, look_at, refuse_own_policy, split_target
from monitor.brokers.aws.browsing import Browser
from monitor.brokers.aws.client import Calls, Clients, Missing, open_clients, open_sender
from monitor.brokers.aws.dead_letters import mapped_origins
from monitor.brokers.aws.holding import VISIBILITY_SECONDS, SqsHeld
from monitor.brokers.aws.move_tasks import MoveTask
from monitor.brokers.aws.returning import SqsReturner, purge
from monitor.brokers.aws.rights import try_rights
from monitor.brokers.aws.routing import EACH_ORIGIN, Router
from monitor.brokers.aws.sending import Sender
from monitor.brokers.aws.surveying import Surveyor
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.config import AwsCluster, DeadLetterMapping
from monitor.errors import BrokerError, Forbidden, Unreachable
from monitor.letters import Choose, Held, Job, Mover, Page, PlanRequest, Survey
from monitor.model import Finding

_OPEN_SECONDS = 30.0
_COUNTS_LATE_SECONDS = 60.0  # GetQueueAttributes: its counts are right at least a minute after producers stop


class _Connection:
    """What is made at the first use: the clients, and what works with them."""

    def __init__(
        self, config: AwsCluster, dead_letters: Sequence[DeadLetterMapping], calls: Calls, workers: Workers,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.clients: Clients = open_clients(config, calls)
        self.once = open_sender(config, calls)
        self.browser = Browser(self.clients, self.once, workers, clock)
        mapped = mapped_origins(config.name, dead_letters)
        self.surveyor = Surveyor(config, mapped, self.clients, workers, clock)

    def close(self) -> None:
        self.clients.close()
        self.once.close()


class AwsRedriveBus:
    """Implements `monitor.letters.RedriveBus` for one account and region.

    Uses the credentials of the section `redrive` where there is one, else those that watch. `visibility` is how many
    whole seconds messages stay hidden in the hand of a job; it is extended as long as the job goes on.
    """

    def __init__(
        self, config: AwsCluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock,
        visibility: float = VISIBILITY_SECONDS,
    ) -> None:  # fmt: skip
        self._config, self._dead_letters, self._clock = _with_rights(config), dead_letters, clock
        self._visibility = visibility
        self.counts_late_seconds = _counts_late(config.endpoint_url)
        self._calls, self._workers = Calls(), Workers(2 * WORKERS, clock)
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._held: list[SqsHeld | MoveTask] = []
        self._closed = False

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return messages, and make them visible again; with a limit of 0 only say what looking would change.

        Raises Forbidden where the queue has a redrive policy of its own, whose next receive could move messages on.
        """
        connection = self._connect(deadline)
        found = self._workers.call(partial(look_at, connection.clients, queue), deadline).queue
        reason = refuse_own_policy(found)
        if reason:
            remedy = f"take the redrive policy off {found.name} for the time, or look with a queue that has none"
            raise Forbidden(reason, target=found.name, remedy=remedy)
        return connection.browser.browse(found, limit, cursor, deadline)

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say, from attributes alone: no message is touched."""
        return self._connect(deadline).surveyor.survey(queue, request, deadline)

    def open(self, job: Job, choose: Choose) -> Mover | Held:
        """Hold the queue for a job, or let SQS itself move everything where that was asked for.

        Raises Forbidden where the queue has got a redrive policy of its own since the plan was made.
        """
        deadline = self._clock.monotonic() + _OPEN_SECONDS
        connection = self._connect(deadline)
        look = self._workers.call(partial(look_at, connection.clients, job.queue), deadline)
        reason = refuse_own_policy(look.queue)
        if reason:
            raise Forbidden(reason, target=look.queue.name, remedy="take that policy off for the time")
        opened: SqsHeld | MoveTask
        if job.request.native:
            destination = None if job.target == EACH_ORIGIN else job.bounds["target_arn"]
            opened = MoveTask(look.queue, destination, connection.clients, job, self._clock)
        else:
            opened = self._hold(connection, look, job)
        with self._lock:
            self._held = [*(it for it in self._held if not it.closed), opened]
        return opened

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what is missing for redriving, changing nothing. A broker's errors are findings."""
        try:
            connection = self._connect(deadline)
            return try_rights(connection.clients, self._workers, self._config.queues, deadline)
        except BrokerError as error:
            return [Finding(f"redrive: {error.target or 'aws'}", False, error.problem, error.remedy)]

    def count_all(self, queue: str, deadline: float) -> int:
        """Return how many messages a queue has, in hands and delayed ones too, as SQS counts. Raises BrokerError."""
        connection = self._connect(deadline)
        return int(self._workers.call(partial(look_at, connection.clients, queue), deadline).queue.depth)

    def open_return(self, queue: str) -> SqsReturner:
        """Connect so that messages can be put back into a queue. Raises BrokerError."""
        deadline = self._clock.monotonic() + _OPEN_SECONDS
        connection = self._connect(deadline)
        found = self._workers.call(partial(look_at, connection.clients, queue), deadline).queue
        return SqsReturner(found, connection.once, self._workers)

    def purge(self, queue: str, deadline: float) -> int:
        """Remove all messages of a queue; SQS takes up to a minute, and tells how many only approximately."""
        connection = self._connect(deadline)
        found = self._workers.call(partial(look_at, connection.clients, queue), deadline).queue
        self._workers.call(partial(purge, connection.clients, found), deadline)
        return int(found.depth)

    def close(self) -> None:
        """Give everything back, and let go of all connections."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            held, self._held = self._held, []
        for it in held:
            it.close()
        self._calls.close()
        self._workers.close()
        if connection:
            connection.close()

    def _hold(self, connection: _Connection, look: Look, job: Job) -> SqsHeld:
        find = partial(self._look_at_target, connection.clients)
        chosen = job.request.target is not None
        router = Router(job.target, job.bounds.get("routes", {}), find, chosen=chosen)
        sender = Sender(connection.once, router, job, self._clock)
        clients, once = connection.clients, connection.once
        return SqsHeld(look.queue, clients, once, sender, job, self._clock, self._visibility)

    def _look_at_target(self, clients: Clients, target: str) -> Look:
        named = split_target(target, self._config.name, self._config.region)
        if named is None:
            raise Missing(f"{target} is no queue of {self._config.region}", target="sqs:GetQueueUrl")
        return look_at(clients, *named)

    def _connect(self, deadline: float) -> _Connection:
        with self._lock:
            if self._closed:
                raise Unreachable("the connection was closed", target=self._config.name)
            if self._connection is None:
                make = partial(_Connection, self._config, self._dead_letters, self._calls, self._workers, self._clock)
                # in a worker, as looking for credentials may ask a service that does not answer
                self._connection = self._workers.call(make, deadline)
            return self._connection


def _counts_late(endpoint: str | None) -> float:
    """Return how late counts are: a stand-in has its queues in one place, and counts at once."""
    return _COUNTS_LATE_SECONDS if "amazonaws.com" in (endpoint or "amazonaws.com") else 0.0


def _with_rights(config: AwsCluster) -> AwsCluster:
    """Return the section with the credentials that may redrive in place of those that watch."""
    rights = config.redrive
    if rights is None or not (rights.profile or rights.role_arn):
        return config
    return config.model_copy(update={"profile": rights.profile or config.profile, "role_arn": rights.role_arn or None})
