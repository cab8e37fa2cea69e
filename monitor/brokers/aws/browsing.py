"""Looks at the messages of a dead-letter queue, and leaves them visible."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from monitor.brokers.aws.access import WORKERS, in_tens
from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.messages import BATCH, read_message
from monitor.brokers.aws.queues import Queue
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.errors import BadRequest, BrokerError
from monitor.letters import DeadMessage, Page

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

VISIBILITY_SECONDS = 30
"""How long messages stay hidden at most, should the look be cut short; at its end they are visible at once."""

MOST = 500
"""Messages of one page."""

_LONGEST_LOOK = 10_000
_LOOKS_KEPT = 100
_EMPTY_POLLS = 3
_POLL_SECONDS = 1
_GIVE_BACK_SECONDS = 10.0

WARNING = (
    "Looking hides the messages from other readers for a moment, and raises their receive count by one for each page "
    "up to theirs."
)
_FIFO = " Of each group of a FIFO queue only the first ten can be seen."


class Browser:
    """Pages through queues. A cursor names a look that has begun; the ids that it has shown are kept here."""

    def __init__(self, clients: Clients, receiver: "SQSClient", workers: Workers, clock: Clock) -> None:
        self._clients, self._receiver, self._workers, self._clock = clients, receiver, workers, clock
        self._lock = threading.Lock()
        self._looks: OrderedDict[str, tuple[str, frozenset[str]]] = OrderedDict()

    def browse(self, queue: Queue, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return a page; with a limit of 0 only the warning, without looking.

        Raises BadRequest for a cursor that is not known (any more), BrokerError when SQS cannot be asked.
        """
        warning = f"{WARNING}{_FIFO if queue.fifo else ''}"
        if limit <= 0:
            return Page((), warning=warning)
        seen = self._find(queue, cursor)
        shown, more = self._look(queue, min(limit, MOST), seen, deadline)
        seen |= {message.position for message in shown}
        if more and len(seen) >= _LONGEST_LOOK:
            more, warning = False, f"{warning} More than {_LONGEST_LOOK:,} are not shown."
        return Page(tuple(shown), self._keep(queue, seen) if more else None, warning)

    def _look(
        self, queue: Queue, limit: int, seen: frozenset[str], deadline: float
    ) -> tuple[Sequence[DeadMessage], bool]:
        """Receive until enough new ones came, holding all meanwhile so that none comes twice; then show them again."""
        receipts: dict[str, str] = {}
        found: dict[str, DeadMessage] = {}
        lock = threading.Lock()
        ended = threading.Event()

        def receive(wait: int) -> int:
            received = self._receive(queue, wait)
            with lock:
                for it in received:
                    receipts[it["MessageId"]] = it["ReceiptHandle"]
                    if it["MessageId"] not in seen:
                        found.setdefault(it["MessageId"], read_message(it, queue.retention))
            if ended.is_set():  # too late for this look
                self._show(queue, [it["ReceiptHandle"] for it in received])
            return len(received)

        try:
            self._gather(receive, lambda: len(found) - limit, lambda: len(receipts) < queue.visible, deadline)
        finally:
            with lock:
                ended.set()
                held = list(receipts.values())
            calls = in_tens(partial(self._show, queue), held)
            self._workers.run(calls, self._clock.monotonic() + _GIVE_BACK_SECONDS)
        return list(found.values())[:limit], len(found) >= limit

    def _gather(
        self, receive: Callable[[int], int], surplus: Callable[[], int], is_short: Callable[[], bool], deadline: float
    ) -> None:
        """Receive until enough came or the queue is believed to have no more.

        An empty answer to one poll proves little; where fewer came than SQS counts, several long polls must agree.
        """
        empty = 0
        while surplus() < 0 and self._clock.monotonic() < deadline:
            calls = 1 if empty else min(WORKERS, -(surplus() // BATCH))
            polls = [partial(receive, _POLL_SECONDS if number == 0 else 0) for number in range(calls)]
            outcomes = self._workers.run(polls, deadline)
            failures = [it for it in outcomes if isinstance(it, BrokerError)]
            if len(failures) == len(outcomes):
                raise failures[0]
            empty = 0 if any(it for it in outcomes if isinstance(it, int)) else empty + 1
            if empty >= (_EMPTY_POLLS if is_short() else 1):
                return

    def _receive(self, queue: Queue, wait: int) -> "Sequence[MessageTypeDef]":
        with translating("sqs:ReceiveMessage"):
            return self._receiver.receive_message(
                QueueUrl=queue.url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=wait,
                VisibilityTimeout=VISIBILITY_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            ).get("Messages", [])

    def _show(self, queue: Queue, receipts: Sequence[str]) -> None:
        """Make up to ten messages visible again; one that another reader has by now is not ours to show."""
        if receipts:
            with translating("sqs:ChangeMessageVisibilityBatch"):
                self._clients.sqs.change_message_visibility_batch(
                    QueueUrl=queue.url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                        for number, receipt in enumerate(receipts)
                    ],
                )

    def _find(self, queue: Queue, cursor: str | None) -> frozenset[str]:
        if cursor is None:
            return frozenset()
        with self._lock:
            name, seen = self._looks.get(cursor, ("", frozenset()))
        if name != queue.name:
            raise BadRequest("cursor: this look at the queue has ended; look from the beginning", parameter="cursor")
        return seen

    def _keep(self, queue: Queue, seen: frozenset[str]) -> str:
        cursor = secrets.token_urlsafe(12)
        with self._lock:
            self._looks[cursor] = (queue.name, seen)
            while len(self._looks) > _LOOKS_KEPT:
                self._looks.popitem(last=False)
        return cursor
