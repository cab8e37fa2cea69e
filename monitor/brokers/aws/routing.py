"""Which queue each dead letter of a job goes to."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.brokers.aws.access import Look
from monitor.brokers.aws.client import Missing
from monitor.brokers.aws.messages import Limits, Unsendable, origin_arn
from monitor.brokers.aws.queues import name_of
from monitor.letters import DeadMessage

EACH_ORIGIN = "each message's origin"
"""The target of a plan for a queue with several sources; no queue can have this name."""


@dataclass(frozen=True, slots=True)
class Target:
    """A queue that messages go to."""

    name: str
    url: str
    limits: Limits


class Router:
    """Finds the target of each message, and asks for each queue once.

    `target` is the plan's: a queue, or EACH_ORIGIN. If somebody `chose` it, all messages go there; else those whose
    source leads there. `routes` leads from the ARN of a source (a queue, or an SNS subscription) to the queue that its
    messages go back to. `look` reads a queue by name or ARN.
    """

    def __init__(self, target: str, routes: Mapping[str, str], look: Callable[[str], Look], *, chosen: bool) -> None:
        self._target, self._routes, self._look, self._chosen = target, routes, look, chosen
        self._lock = threading.Lock()
        self._known: dict[str, Target | Unsendable] = {}

    def target_of(self, message: DeadMessage) -> Target | Unsendable:
        """Return where a message goes, or why it goes nowhere. Raises BrokerError when the queue cannot be asked."""
        found = self._target if self._chosen else self._route(message)
        return found if isinstance(found, Unsendable) else self._resolve(found)

    def _route(self, message: DeadMessage) -> str | Unsendable:
        """Follow what the message itself says; one that says nothing goes where all others go, if that is one queue.

        A source that the plan does not name is followed only where the plan says that each goes to its own.
        """
        arn = origin_arn(message)
        if arn in self._routes:
            return self._routes[arn]
        if self._target == EACH_ORIGIN:
            if arn.startswith("arn:") and arn.split(":")[2] == "sqs":
                return arn
            return Unsendable("it does not say which of the sources it comes from; name a target for it")
        if arn and name_of(arn) != name_of(self._target):
            return Unsendable(f"it comes from {name_of(arn)}, which the plan does not name; name a target for it")
        return self._target

    def _resolve(self, queue: str) -> Target | Unsendable:
        with self._lock:
            if queue not in self._known:
                try:
                    look = self._look(queue)
                    self._known[queue] = Target(look.queue.name, look.queue.url, look.limits)
                except Missing:
                    self._known[queue] = Unsendable(f"its target {name_of(queue)} does not exist")
            return self._known[queue]
