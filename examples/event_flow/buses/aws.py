"""SNS and SQS: a topic for all events, and the queue of Notification, which gets `OrderCreated` by a filter policy.

A message that cannot be handled is not deleted. SQS delivers it again when its visibility timeout has passed, and moves
it to the dead-letter queue instead when it was received too often; why it failed is written nowhere on it.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from examples.event_flow.buses.base import BusAway, Handle, Message
from examples.event_flow.events import ORDER_CREATED
from examples.event_flow.handling import Failure
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome
from examples.event_flow.running import Contact, Stop

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

REGION: Final = "us-east-1"
_ANY_CREDENTIAL: Final = "test"
KMS_KEY_ALIAS: Final = "alias/aws/sns"
VISIBILITY_SECONDS: Final = 30
MAX_RECEIVES: Final = 5
RETENTION_SECONDS: Final = 86_400
DEAD_LETTER_RETENTION_SECONDS: Final = 1_209_600
_BATCH: Final = 10  # the most that SNS and SQS take in one call
_LONG_POLL_SECONDS: Final = 2  # 20 would be cheaper, but a call that waits cannot be ended early

_one_at_a_time = threading.Lock()  # two threads that find no subscription at the same moment would make two

_CLIENT = Config(
    region_name=REGION,
    connect_timeout=2,
    read_timeout=_LONG_POLL_SECONDS + 2,
    retries={"total_max_attempts": 1},  # trying again is done in one place, for all buses alike
    proxies={},  # the address is one of this machine
)


def sns_client(endpoints: Endpoints) -> "SNSClient":
    """Return a client of the AWS stand-in, which takes any credentials. Each thread needs a session of its own."""
    return _session().client("sns", endpoint_url=endpoints.aws, config=_CLIENT, verify=endpoints.security.ca_file)


def sqs_client(endpoints: Endpoints) -> "SQSClient":
    """Return a client of the AWS stand-in, which takes any credentials. Each thread needs a session of its own."""
    return _session().client("sqs", endpoint_url=endpoints.aws, config=_CLIENT, verify=endpoints.security.ca_file)


def _session() -> boto3.Session:
    return boto3.Session(_ANY_CREDENTIAL, _ANY_CREDENTIAL, region_name=REGION)


def _away(error: Exception) -> BusAway:
    return BusAway(str(error))


def set_up(endpoints: Endpoints, names: Names) -> None:
    """Create topic, queues and subscription where they are missing, and set their attributes.

    Raises BusAway.
    """
    with closing(sns_client(endpoints)) as sns, closing(sqs_client(endpoints)) as sqs:
        try:
            topic_arn = sns.create_topic(Name=names.sns_topic)["TopicArn"]
            sns.set_topic_attributes(TopicArn=topic_arn, AttributeName="KmsMasterKeyId", AttributeValue=KMS_KEY_ALIAS)
            queue_arn = _set_up_queues(sqs, names, topic_arn)
            with _one_at_a_time:
                _subscribe(sns, topic_arn, queue_arn)
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error


def _set_up_queues(sqs: "SQSClient", names: Names, topic_arn: str) -> str:
    """Set up both queues and return the ARN of the one to subscribe."""
    dead_letter_url, dead_letter_arn = _ensure_queue(sqs, names.sqs_dead_letter_queue)
    sqs.set_queue_attributes(
        QueueUrl=dead_letter_url, Attributes={"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_SECONDS)}
    )
    url, arn = _ensure_queue(sqs, names.sqs_queue)
    redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": MAX_RECEIVES}
    sqs.set_queue_attributes(
        QueueUrl=url,
        Attributes={
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(_allow_topic(topic_arn, arn)),
        },
    )
    return arn


def _ensure_queue(sqs: "SQSClient", name: str) -> tuple[str, str]:
    # Created by name alone, which finds a queue that exists; with attributes that differ it would be refused.
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _allow_topic(topic_arn: str, queue_arn: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
            }
        ],
    }


def _subscribe(sns: "SNSClient", topic_arn: str, queue_arn: str) -> None:
    filter_policy = json.dumps({"eventType": [ORDER_CREATED]})
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    for subscription in (subscription for page in pages for subscription in page["Subscriptions"]):
        if subscription["Endpoint"] == queue_arn:
            sns.set_subscription_attributes(
                SubscriptionArn=subscription["SubscriptionArn"],
                AttributeName="FilterPolicy",
                AttributeValue=filter_policy,
            )
            return
    # With its filter from the start, so that no payment slips through in between.
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"FilterPolicy": filter_policy})


def keep_dead_letters(endpoints: Endpoints, names: Names, seconds: int) -> None:
    """Set how long dead letters are kept. Raises BusAway."""
    with closing(sqs_client(endpoints)) as sqs:
        try:
            url = sqs.get_queue_url(QueueName=names.sqs_dead_letter_queue)["QueueUrl"]
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": str(seconds)})
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error


def remove(endpoints: Endpoints, names: Names) -> None:
    """Delete subscription, topic and queues, with what is in them. Raises BusAway."""
    with closing(sns_client(endpoints)) as sns, closing(sqs_client(endpoints)) as sqs:
        try:
            topic_arn = sns.create_topic(Name=names.sns_topic)["TopicArn"]
            for subscription in sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]:
                sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
            sns.delete_topic(TopicArn=topic_arn)
            for queue in (names.sqs_queue, names.sqs_dead_letter_queue):
                sqs.delete_queue(QueueUrl=sqs.create_queue(QueueName=queue)["QueueUrl"])
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error


class SnsPublisher:
    """Publishes events to the topic, with the attribute `eventType` that subscriptions filter by."""

    def __init__(self, endpoints: Endpoints, names: Names) -> None:
        self._sns = sns_client(endpoints)
        try:
            self._topic_arn = self._sns.create_topic(Name=names.sns_topic)["TopicArn"]
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error

    def publish(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        """Publish by batches of ten. Raises BusAway where one message of a batch is refused."""
        for start in range(0, len(batch), _BATCH):
            self._publish_batch(batch[start : start + _BATCH], confirmed)

    def _publish_batch(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        try:
            answer = self._sns.publish_batch(
                TopicArn=self._topic_arn,
                PublishBatchRequestEntries=[_entry(index, message) for index, message in enumerate(batch)],
            )
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error
        for done in answer["Successful"]:
            confirmed(batch[int(done["Id"])])
        if answer["Failed"]:
            first = answer["Failed"][0]
            raise BusAway(f"{len(answer['Failed'])} of {len(batch)} messages refused: {first['Code']}")

    def rest(self) -> None:
        """Do nothing: there is no connection to keep."""

    def close(self) -> None:
        """Close the pool of connections."""
        self._sns.close()


def _entry(index: int, message: Message) -> "PublishBatchRequestEntryTypeDef":
    return {
        "Id": str(index),
        "Message": message.body.decode(),
        "MessageAttributes": {"eventType": {"DataType": "String", "StringValue": message.type}},
    }


class SqsConsumer:
    """Consumes the queue of Notification; deletes after handling. `clock` returns seconds that never go back."""

    def __init__(
        self,
        endpoints: Endpoints,
        names: Names,
        stop: Stop,
        contact: Contact,
        first_redelivery_seconds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop, self._contact = stop, contact
        self._first_redelivery_seconds = first_redelivery_seconds
        self._clock = clock
        self._hidden_until = 0.0  # by the clock: what is in hand is shown to nobody else before
        self._given_up = 0
        self._sqs = sqs_client(endpoints)
        try:
            self._url = self._sqs.get_queue_url(QueueName=names.sqs_queue)["QueueUrl"]
        except (BotoCoreError, ClientError) as error:
            raise _away(error) from error

    def run(self, handle: Handle, report: Callable[[Outcome], None]) -> None:
        """Consume until the end is asked for. Raises BusAway."""
        try:
            while not self._stop.requested:
                messages = self._receive()
                self._contact.made()
                # SQS moves a message to the dead-letter queue when it would have to deliver it once too often.
                self._report_given_up(report)
                for number in range(len(messages)):
                    self._report(self._settle(messages[number:], handle), report)
        except (BotoCoreError, ClientError) as error:
            self._report_given_up(report)  # now or never: the next connection knows nothing of them
            raise _away(error) from error

    def _report(self, outcome: Outcome, report: Callable[[Outcome], None]) -> None:
        """Report at once, so that nothing is lost of a batch in whose middle the bus goes away."""
        if outcome is Outcome.DEAD_LETTERED:
            self._given_up += 1
        else:
            report(outcome)

    def _report_given_up(self, report: Callable[[Outcome], None]) -> None:
        for _ in range(self._given_up):
            report(Outcome.DEAD_LETTERED)
        self._given_up = 0

    def _receive(self) -> Sequence["MessageTypeDef"]:
        asked = self._clock()
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=_LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        self._hidden_until = asked + VISIBILITY_SECONDS
        return answer.get("Messages", [])

    def _settle(self, hand: Sequence["MessageTypeDef"], handle: Handle) -> Outcome:
        """Handle the first of the messages in hand."""
        message = hand[0]
        if self._stop.requested:
            self._show_again(message, 0)
            return Outcome.ABANDONED
        verdict = handle(unwrap(message["Body"]), partial(self._pause, hand))
        if verdict is Outcome.ABANDONED:
            self._show_again(message, 0)
            return verdict
        if isinstance(verdict, Failure):
            receives = int(message["Attributes"]["ApproximateReceiveCount"])
            self._show_again(message, redelivery_seconds(self._first_redelivery_seconds, receives))
            return Outcome.DEAD_LETTERED if receives >= MAX_RECEIVES else Outcome.POSTPONED
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return verdict

    def _pause(self, hand: Sequence["MessageTypeDef"], seconds: float) -> bool:
        # Else others would get them meanwhile, and their count of receives would go up to that of dead letters. While
        # the circuit is open there are many short pauses, and most of them need no call.
        if self._hidden_until - self._clock() - seconds < VISIBILITY_SECONDS / 2:
            self._hide(hand, VISIBILITY_SECONDS + math.ceil(seconds))
        return self._stop.pause(seconds)

    def _hide(self, hand: Sequence["MessageTypeDef"], seconds: int) -> None:
        asked = self._clock()
        self._sqs.change_message_visibility_batch(
            QueueUrl=self._url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds}
                for number, message in enumerate(hand)
            ],
        )
        self._hidden_until = asked + seconds

    def _show_again(self, message: "MessageTypeDef", seconds: int) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def close(self) -> None:
        """Close the pool of connections."""
        self._sqs.close()


def unwrap(body: str) -> bytes:
    """Return the published payload: the `Message` of the envelope that SNS puts around it, else the body itself."""
    try:
        envelope = json.loads(body)
    except ValueError:
        return body.encode()
    if isinstance(envelope, dict) and envelope.get("Type") == "Notification" and "Message" in envelope:
        return str(envelope["Message"]).encode()
    return body.encode()


def redelivery_seconds(first_seconds: int, receives: int) -> int:
    """Return for how long a message stays hidden after its failure number `receives`.

    The waits double up to the queue's visibility timeout. Waiting the whole timeout each time, as SQS does by itself,
    would take two and a half minutes to the dead-letter queue. After the last failure there is nothing to wait for.
    """
    if receives >= MAX_RECEIVES:
        return 0
    return min(VISIBILITY_SECONDS, first_seconds * (1 << (receives - 1)))
