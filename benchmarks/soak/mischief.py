"""What goes wrong on brokers, done on purpose: each thing that alerts are about and that somebody can provoke.

A trouble begins when it is called, and is about what its labels name. It goes on until the stack of exits is closed.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
)

from benchmarks.soak import rabbitmq_redrive as rabbitmq
from monitor.model import encode_id
from stack.state import RabbitmqEndpoints
from tests.integration.aws.conftest import Aws
from tests.integration.aws.scripted import Answer, Refusal, Request, ScriptedAws, attributes_of, scripted_aws
from tests.integration.kafka.link import Link
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.redrive.server import Server
from tests.waiting import wait_for

_OLD_SECONDS = 600.0
_SILENT_SECONDS = 2_400.0
_STEP_SECONDS = 1.0
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that a trouble brings about: which, and what it is about.

    `span_seconds` is how much of the time before it has to be like that, as the rule says, besides its `for`.
    `explained_by` is the alert that is told instead of it.
    """

    alert: str
    labels: Mapping[str, str]
    span_seconds: float = 0.0
    explained_by: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong, how, and which alerts tell it."""

    what: str
    begin: Callable[[], object]
    alerts: Sequence[Expected]


def again_and_again(stack: ExitStack, step: Callable[[], object]) -> None:
    """Do a step each second until the end."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_STEP_SECONDS):
            step()

    worker = threading.Thread(target=go_on, daemon=True)
    worker.start()
    stack.callback(worker.join)
    stack.callback(over.set)


# -- Kafka ------------------------------------------------------------------------------------------------------------


def refuse_fewer_replicas(kafka: Playground, topic: str, replicas: int) -> None:
    """Have a topic refuse records unless so many replicas are in sync."""
    wanted = ConfigEntry("min.insync.replicas", str(replicas), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[wanted])
    kafka.admin.incremental_alter_configs([resource])[resource].result(_PATIENCE_SECONDS)


@dataclass(frozen=True)
class OnKafka:
    """Troubles with topics and groups. `server` is the monitor, which calls it `cluster`."""

    kafka: Playground
    server: Server
    cluster: str
    stack: ExitStack

    def _about(self, group: str, topic: str) -> dict[str, str]:
        return {"cluster": self.cluster, "subscriber": self.kafka.name(group), "destination": self.kafka.name(topic)}

    def _topic(self, name: str, records: int) -> tuple[str, str]:
        """Make a topic with records and a group of the same name that has read none of them."""
        topic, group = self.kafka.topic(name), self.kafka.name(name)
        self.kafka.produce(topic, records)
        self.kafka.commit(group, topic, 0)
        return topic, group

    def _wait_until_seen(self, group: str, topic: str, backlog: int) -> None:
        id_ = encode_id(self.cluster, group, topic)

        def is_seen() -> bool:
            found = {it["id"]: it["backlog_messages"] for it in self.server.client.all_subscriptions()}
            return found.get(id_) == backlog

        wait_for(is_seen, f"{id_} with a backlog of {backlog}")

    def stopped(self) -> Trouble:
        """Nobody reads for a group any more."""
        return Trouble(
            "a Kafka group whose consumers are gone",
            lambda: self._topic("left", 5),
            [Expected("EventflowSubscriptionStopped", self._about("left", "left"))],
        )

    def stalled(self) -> Trouble:
        """A member of a group holds its partition and commits nothing."""

        def begin() -> None:
            topic, group = self._topic("stuck", 5)
            consumer = self.kafka.consumer(group, [topic])
            self.stack.callback(consumer.close)
            again_and_again(self.stack, lambda: consumer.poll(0))
            again_and_again(self.stack, lambda: self.kafka.produce(topic, 1))

        about = self._about("stuck", "stuck")
        return Trouble("a Kafka consumer that hangs", begin, [Expected("EventflowSubscriptionStalled", about)])

    def _late(self, name: str) -> None:
        """Read one old record each second, of a log that gets one each second."""
        topic, group = self.kafka.topic(name), self.kafka.name(name)
        self.kafka.produce(topic, 1_000, timestamp=lambda _: time.time() - _OLD_SECONDS)
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            self.kafka.produce(topic, 1, timestamp=lambda _: time.time() - _OLD_SECONDS)
            self.kafka.commit(group, topic, done)

        step()
        again_and_again(self.stack, step)

    def late(self) -> Trouble:
        """A group with an objective reads what is far older."""
        about = self._about("late", "late")
        burns = "EventflowObjectiveBurn"
        return Trouble(
            "a Kafka group behind its objective",
            lambda: self._late("late"),
            [
                Expected("EventflowAgeOverObjective", about),
                Expected(f"{burns}Fast", about),
                Expected(f"{burns}Slow", about, explained_by=f"{burns}Fast"),
                Expected(f"{burns}Ticket", about, explained_by=f"{burns}Fast"),
            ],
        )

    def lagging(self) -> Trouble:
        """The same without an objective."""
        about = self._about("slow", "slow")
        return Trouble(
            "a Kafka group that is slow, without an objective",
            lambda: self._late("slow"),
            [Expected("EventflowSubscriptionLagging", about)],
        )

    def expiring(self) -> Trouble:
        """What a group has yet to read has used most of the time for which it is kept."""

        def begin() -> None:
            topic, group = self.kafka.topic("brief", config={"retention.ms": "3600000"}), self.kafka.name("brief")
            self.kafka.produce(topic, 5, timestamp=lambda _: time.time() - 3_000)
            self.kafka.commit(group, topic, 0)

        about = self._about("brief", "brief")
        return Trouble("records near their retention", begin, [Expected("EventflowRetentionRisk", about)])

    def seldom(self) -> Trouble:
        """A group with an objective is late with the only record that it got."""

        def begin() -> None:
            topic, group = self.kafka.topic("seldom"), self.kafka.name("seldom")
            self.kafka.produce(topic, 1, timestamp=lambda _: time.time() - _OLD_SECONDS)
            self.kafka.commit(group, topic, 0)

        about = self._about("seldom", "seldom")
        expected = Expected("EventflowObjectiveMissedLowTraffic", about)
        return Trouble("a Kafka group that is late with its only record", begin, [expected])

    def lost(self) -> Trouble:
        """Records go before they are read."""

        def begin() -> None:
            topic, group = self._topic("cut", 20)
            self._wait_until_seen(group, topic, 20)
            cut = TopicPartition(topic, 0, 10)
            self.kafka.admin.delete_records([cut])[cut].result(_PATIENCE_SECONDS)

        about = self._about("cut", "cut")
        return Trouble("a Kafka log cut before it was read", begin, [Expected("EventflowSubscriptionLosing", about)])

    def rewound(self) -> Trouble:
        """A position goes back."""

        def begin() -> None:
            topic, group = self._topic("back", 50)
            self._wait_until_seen(group, topic, 50)
            self.kafka.commit(group, topic, 40)
            self._wait_until_seen(group, topic, 10)
            self.kafka.commit(group, topic, 5)

        about = self._about("back", "back")
        return Trouble("a Kafka group set back", begin, [Expected("EventflowSubscriptionRewound", about)])

    def unowned(self) -> Trouble:
        """A topic gets a partition that its consumers have not heard of yet."""

        def begin() -> None:
            topic, group = self._topic("grown", 5)
            consumer = self.kafka.consumer(group, [topic])
            self.stack.callback(consumer.close)
            self.kafka.admin.create_partitions([NewPartitions(topic, 2)])[topic].result(_PATIENCE_SECONDS)
            wait_for(lambda: len(self.kafka.partitions_led_by(topic, lambda broker: broker >= 0)) == 2, "leaders")
            consumer.commit(offsets=[TopicPartition(topic, 1, 0)], asynchronous=False)
            Playground(self.kafka.bootstrap).produce(topic, 5, partition=1)  # ours has not heard of it either
            again_and_again(self.stack, lambda: consumer.poll(0))

        about = self._about("grown", "grown")
        return Trouble(
            "a partition that no member has heard of", begin, [Expected("EventflowKafkaPartitionsUnowned", about)]
        )

    def uncommitted(self) -> Trouble:
        """A group with an objective has never committed, so that nobody can tell its age."""

        def begin() -> None:
            topic = self.kafka.topic("blind")
            self.kafka.produce(topic, 5)
            consumer = self.kafka.consumer(self.kafka.name("blind"), [topic])
            self.stack.callback(consumer.close)
            again_and_again(self.stack, lambda: consumer.poll(0))

        about = self._about("blind", "blind")
        return Trouble(
            "a Kafka group that has never committed",
            begin,
            [Expected("EventflowIndicatorAbsent", about), Expected("EventflowSubscriptionUnknown", about)],
        )

    def looping(self) -> Trouble:
        """What is redriven dies again."""
        yard = Yard(self.kafka)

        def begin() -> None:
            target, dead = yard.pair(1, "loop")
            yard.fill(dead, 300, spring_headers(target))
            self.server.wait_for_queue(f"{self.cluster}/{dead}", 300)
            consumer = self.kafka.consumer(self.kafka.name("bouncer"), [target])
            self.stack.callback(consumer.close)

            def bounce() -> None:
                for message in consumer.consume(100, 0.1):
                    yard.producer.produce(dead, message.value(), message.key(), headers=message.headers())
                yard.producer.flush(5)

            again_and_again(self.stack, bounce)
            self.server.start_job(f"{self.cluster}/{dead}", rate=10)

        about = {"cluster": self.cluster, "source": self.kafka.name("loop.dlq")}
        return Trouble("a redrive whose messages come back", begin, [Expected("EventflowRedriveLoop", about)])

    def refused(self) -> Trouble:
        """A redrive has a message that the target does not take."""
        yard = Yard(self.kafka)

        def begin() -> None:
            target = self.kafka.topic("large", 1, {"max.message.bytes": "2000"})
            dead = self.kafka.topic("large.dlq")
            yard.fill(dead, 3, spring_headers(target), value=lambda number: b"%d" % number + b"x" * 5_000)
            self.server.wait_for_queue(f"{self.cluster}/{dead}", 3)
            self.server.start_job(f"{self.cluster}/{dead}")

        about = {"cluster": self.cluster, "source": self.kafka.name("large.dlq")}
        return Trouble("a redrive of what is too large", begin, [Expected("EventflowRedriveFailed", about)])


# -- RabbitMQ ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnRabbitmq:
    """Troubles with queues in a virtual host of its own."""

    where: RabbitmqEndpoints
    vhost: str
    cluster: str
    stack: ExitStack

    def _channel(self) -> Any:
        return self.stack.enter_context(rabbitmq.channel_of(self.where, self.vhost))

    def _about(self, queue: str) -> dict[str, str]:
        return {"cluster": self.cluster, "destination": f"{self.vhost}/{queue}"}

    def stopped(self) -> Trouble:
        """Nobody consumes a queue."""

        def begin() -> None:
            channel = self._channel()
            channel.queue_declare("left", durable=True)
            channel.basic_publish("", "left", b"letter")

        about = self._about("left")
        return Trouble("a queue without consumers", begin, [Expected("EventflowSubscriptionStopped", about)])

    def held(self) -> Trouble:
        """A consumer takes messages and acknowledges none."""

        def begin() -> None:
            channel = self._channel()
            channel.queue_declare("held", durable=True)
            channel.basic_qos(prefetch_count=2)
            channel.basic_consume("held", lambda *_: None)
            for _ in range(5):
                channel.basic_publish("", "held", b"letter")
            channel.connection.process_data_events(1)

        about = self._about("held")
        span = 900.0  # the fifteen minutes in which none was finished
        return Trouble("a consumer that holds messages", begin, [Expected("EventflowInFlightStuck", about, span)])

    def storm(self) -> Trouble:
        """A consumer gives back what it cannot process, at once and for ever."""

        def begin() -> None:
            channel = self._channel()
            channel.queue_declare("poison", durable=True)
            channel.basic_publish("", "poison", b"letter")

            def give_back() -> None:
                for _ in range(20):
                    method, _, _ = channel.basic_get("poison")
                    if method:
                        channel.basic_nack(method.delivery_tag, requeue=True)

            again_and_again(self.stack, give_back)

        about = self._about("poison")
        return Trouble("a poisonous message", begin, [Expected("EventflowRabbitmqRedeliveryStorm", about)])

    def _reject(self, channel: Any, queue: str) -> None:
        channel.basic_publish("", queue, b"letter")
        method = None
        while method is None:
            method, _, _ = channel.basic_get(queue)
        channel.basic_nack(method.delivery_tag, requeue=False)

    def dying(self) -> Trouble:
        """A consumer rejects everything, and the queue has a dead-letter queue."""

        def begin() -> None:
            channel = self._channel()
            channel.queue_declare("dying.dlq", durable=True)
            dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dying.dlq"}
            channel.queue_declare("dying", durable=True, arguments=dead)
            again_and_again(self.stack, lambda: self._reject(channel, "dying"))

        about = {"cluster": self.cluster, "queue": f"{self.vhost}/dying.dlq"}
        return Trouble("rejected messages", begin, [Expected("EventflowDeadLettersArriving", about)])

    def dropped(self) -> Trouble:
        """The same without a dead-letter queue."""

        def begin() -> None:
            channel = self._channel()
            channel.queue_declare("bare", durable=True)
            again_and_again(self.stack, lambda: self._reject(channel, "bare"))

        about = {"cluster": self.cluster, "reason": "rejected"}
        return Trouble(
            "rejected messages of a queue without a dead-letter exchange",
            begin,
            [Expected("EventflowRabbitmqDeadLettersDropped", about)],
        )

    def unroutable(self) -> Trouble:
        """A routing key that nothing is bound to."""

        def begin() -> None:
            channel = self._channel()
            again_and_again(self.stack, lambda: channel.basic_publish("", "nowhere", b"letter"))

        about = {"cluster": self.cluster}
        return Trouble("a wrong routing key", begin, [Expected("EventflowRabbitmqUnroutable", about)])

    def misconfigured(self) -> Trouble:
        """A dead-letter exchange that is not there."""

        def begin() -> None:
            arguments = {"x-dead-letter-exchange": "gone"}
            self._channel().queue_declare("crooked", durable=True, arguments=arguments)

        about = {"cluster": self.cluster, "problem": "target_missing"}
        return Trouble(
            "a dead-letter exchange that is missing", begin, [Expected("EventflowDeadLettersMisconfigured", about)]
        )

    def interrupted(self, server: Server, link: Link, cluster: str) -> Trouble:
        """The connection of a redrive goes, and does not come back."""

        def begin() -> None:
            rabbitmq.fill(self._channel(), 100)
            id_ = encode_id(cluster, self.vhost, rabbitmq.DEAD)
            server.wait_for_queue(id_, 100)
            job = server.start_job(id_, rate=1)["id"]
            wait_for(lambda: server.client.redrive(job)["counts"]["sent"], "the first message")
            link.close()

        return Trouble("a redrive that is cut off", begin, [Expected("EventflowRedriveInterrupted", {})])


# -- SNS and SQS ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnSqs:
    """Troubles with queues of SQS."""

    aws: Aws
    cluster: str

    def expiring(self) -> Trouble:
        """A dead-letter queue keeps messages for an hour."""

        def begin() -> None:
            dead = self.aws.make_queue("short-dlq", MessageRetentionPeriod="3600")
            self.aws.make_queue("short", "short-dlq")
            self.aws.sqs.send_message(QueueUrl=dead, MessageBody=json.dumps({"id": 1}))

        about = {"cluster": self.cluster, "queue": self.aws.name("short-dlq")}
        short = {**about, "problem": "retention_too_short"}
        return Trouble(
            "an SQS dead-letter queue that keeps messages for an hour",
            begin,
            [Expected("EventflowDeadLettersExpireSoon", about), Expected("EventflowDeadLettersMisconfigured", short)],
        )

    def lying(self) -> Trouble:
        """A message lies in a dead-letter queue, and nobody does anything about it."""

        def begin() -> None:
            dead = self.aws.make_queue("forgotten-dlq", MessageRetentionPeriod="1209600")
            self.aws.make_queue("forgotten", "forgotten-dlq")
            self.aws.sqs.send_message(QueueUrl=dead, MessageBody=json.dumps({"id": 1}))

        about = {"cluster": self.cluster, "queue": self.aws.name("forgotten-dlq")}
        day = 23 * 3600.0  # for which it must have been there
        return Trouble("a dead letter for a day", begin, [Expected("EventflowDeadLettersNotDrained", about, day)])


@dataclass(frozen=True)
class OnSns:
    """Troubles with topics of SNS. What becomes of notifications is counted by the stack's own CloudWatch feeder."""

    aws: Aws
    cluster: str
    stack: ExitStack

    def _topic(self, name: str, queue: str, **attributes: str) -> str:
        """Make a topic with a queue, existing or not, as its only subscriber."""
        topic = self.aws.sns.create_topic(Name=self.aws.name(name))["TopicArn"]
        self.aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.aws.arn(queue), Attributes=attributes)
        return topic

    def _publish_again_and_again(self, topic: str) -> None:
        again_and_again(self.stack, lambda: self.aws.sns.publish(TopicArn=topic, Message="news"))

    def undeliverable(self) -> Trouble:
        """The queue of a subscriber is gone, and so is the dead-letter queue."""

        def begin() -> None:
            policy = json.dumps({"deadLetterTargetArn": self.aws.arn("gone-dlq")})
            self._publish_again_and_again(self._topic("gone", "gone", RedrivePolicy=policy))

        about = {"cluster": self.cluster, "topic": self.aws.name("gone")}
        alerts = [Expected("EventflowSnsDeliveryFailed", about), Expected("EventflowSnsDeadLetterFailed", about)]
        return Trouble("a subscriber of SNS that is gone, with its dead-letter queue", begin, alerts)

    def unreadable(self) -> Trouble:
        """A filter asks for attributes that publishers do not set."""

        def begin() -> None:
            self.aws.make_queue("picky")
            policy = json.dumps({"eventType": ["OrderCreated"]})
            self._publish_again_and_again(self._topic("picky", "picky", FilterPolicy=policy))

        about = {"cluster": self.cluster, "topic": self.aws.name("picky")}
        return Trouble("notifications without attributes", begin, [Expected("EventflowSnsFilteredInvalid", about)])

    def silent(self, cluster: str) -> Trouble:
        """CloudWatch has told of a topic, and tells nothing any more."""

        def begin() -> None:
            self.aws.sns.create_topic(Name=self.aws.name("quiet"))
            self.aws.cloudwatch.put_metric_data(
                Namespace="AWS/SNS",
                MetricData=[
                    {
                        "MetricName": "NumberOfMessagesPublished",
                        "Dimensions": [{"Name": "TopicName", "Value": self.aws.name("quiet")}],
                        "Timestamp": datetime.fromtimestamp(time.time() - _SILENT_SECONDS, UTC),
                        "Value": 1,
                    }
                ],
            )

        return Trouble("nothing from CloudWatch for 40 minutes", begin,
                       [Expected("EventflowCloudWatchStale", {"cluster": cluster})])  # fmt: skip


@contextmanager
def busy_aws() -> Iterator[ScriptedAws]:
    """Serve an AWS that throttles every other call about queues, of which one is full of messages in flight.

    It is a fake: the stack's stand-in throttles nobody, and would take minutes to hold so many messages.
    """
    calls = count()

    def tell(request: Request) -> Answer:
        if next(calls) % 2:
            return Refusal("RequestThrottled", "Request is throttled.", 400)
        told = attributes_of(request["QueueUrl"])
        return {"Attributes": told | {"ApproximateNumberOfMessagesNotVisible": "110000"}}

    with scripted_aws() as aws:
        aws.holds_queues(["full", "fuller", "fullest"])
        aws.has_no_topics()
        aws.answers["GetQueueAttributes"] = tell
        yield aws
