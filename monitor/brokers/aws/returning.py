"""Puts messages back into the SQS queue that they were set aside from, and removes all that is in a queue."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.messages import GROUP, MARKER, TRACE, deduplication_id, pack, write_attribute
from monitor.brokers.aws.queues import Queue
from monitor.brokers.aws.workers import Workers
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header, SendResult

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_STAMPS = (HEADER_ID, HEADER_JOB, HEADER_COUNT)


class SqsReturner:
    """Implements `letters.Returner` for one queue, batch after batch so that the order of groups holds.

    `client` makes each call once: a call whose answer is missing ends `put`, and what it was about is not known.
    """

    def __init__(self, queue: Queue, client: "SQSClient", workers: Workers) -> None:
        self._queue, self._client, self._workers = queue, client, workers

    def put(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[SendResult]:
        """Send each as it was."""
        results: list[SendResult] = []
        entries = [_entry(message, fifo=self._queue.fifo) for message in messages]
        for batch in pack(entries, lambda entry: len(json.dumps(entry, default=len))):
            results += self._workers.call(partial(self._send, batch), deadline)
        return results

    def close(self) -> None:
        """Do nothing: the connection is the bus's."""

    def _send(self, entries: Sequence[Mapping[str, Any]]) -> list[SendResult]:
        numbered: Any = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        with translating("sqs:SendMessageBatch"):
            answer = self._client.send_message_batch(QueueUrl=self._queue.url, Entries=numbered)
        taken = {int(it["Id"]): it["MessageId"] for it in answer.get("Successful") or ()}
        refused = {int(it["Id"]): it.get("Message") or it["Code"] for it in answer.get("Failed") or ()}
        return [
            SendResult(True, f"{self._queue.name}/{taken[number]}")
            if number in taken
            else SendResult(False, reason=f"SQS refused it: {refused.get(number, 'it said nothing of it')}")
            for number in range(len(entries))
        ]


def purge(clients: Clients, queue: Queue) -> None:
    """Have SQS remove everything. Raises BrokerError, also when it was asked less than a minute ago."""
    with translating("sqs:PurgeQueue"):
        clients.sqs.purge_queue(QueueUrl=queue.url)


def _entry(message: DeadMessage, *, fifo: bool) -> dict[str, Any]:
    attributes = {header.name: write_attribute(header) for header in _attributes(message.headers)}
    fields: dict[str, Any] = {"MessageBody": (message.value or b"").decode(), "MessageAttributes": attributes}
    if message.properties.get(GROUP):
        fields[GROUP] = message.properties[GROUP]
    if fifo:
        fields["MessageDeduplicationId"] = deduplication_id("restored", message.position)
    if message.properties.get(TRACE):
        fields["MessageSystemAttributes"] = {TRACE: {"DataType": "String", "StringValue": message.properties[TRACE]}}
    return fields


def _attributes(headers: Sequence[Header]) -> Iterator[Header]:
    """Yield the attributes, with our three headers as the one that they were."""
    stamps = {it.name: (it.value or b"").decode() for it in headers if it.name in _STAMPS}
    yield from (it for it in headers if it.name not in _STAMPS)
    if len(stamps) == len(_STAMPS):
        marker = {"id": stamps[HEADER_ID], "job": stamps[HEADER_JOB], "count": int(stamps[HEADER_COUNT])}
        yield Header(MARKER, json.dumps(marker, separators=(",", ":")).encode(), "String")
