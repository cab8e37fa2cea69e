"""The one table of metric families: whatever `/metrics` shows of the watched clusters and of the collectors is in it.

The catalogue in the documentation is made from this table, and so are HELP and TYPE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "eventflow_"


class Kind(StrEnum):
    """The type of a family, in Prometheus' words."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    UNTYPED = "untyped"


class Bus(StrEnum):
    """Where the samples of a family come from."""

    EVERY = "every bus"
    KAFKA = "Kafka"
    RABBITMQ = "RabbitMQ"
    AWS = "AWS"
    MONITOR = "the monitor"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `name` is without the prefix, `labels` are all of them, `cluster` included.

    `unit` is what one step of the value is (`flag` is 0 or 1). `summary` is one sentence without a full stop, for HELP.
    `advice` is for the catalogue: when the series is absent, and what to keep in mind in a rule.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    bus: Bus
    summary: str
    advice: str = ""

    @property
    def full_name(self) -> str:
        """The name as it stands in `/metrics`."""
        return PREFIX + self.name

    @property
    def help(self) -> str:
        """The text of HELP: the summary, the unit, and that values are as old as the last cycle."""
        return f"{self.summary}. Unit: {self.unit}. Polled once an interval."


_SUBSCRIPTION = ("system", "cluster", "destination", "subscriber")
_DEAD_LETTER = ("system", "cluster", "queue")
_GROUP_PARTITION = ("cluster", "group", "topic", "partition")
_GROUP_TOPIC = ("cluster", "group", "topic")
_GROUP = ("cluster", "group")
_PARTITION = ("cluster", "topic", "partition")
_RABBIT_QUEUE = ("cluster", "vhost", "queue")
_SQS_QUEUE = ("cluster", "queue")
_SNS_TOPIC = ("cluster", "topic")
_COLLECTOR = ("cluster", "system")
_API_CALL = ("cluster", "service", "operation")

_GAUGE, _COUNTER, _HISTOGRAM = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM

_SUMMED = "Absent while any partition of the subscription could not be read: a partial sum is never shown as the whole."

_SUBSCRIPTIONS = (
    Family(
        "subscription_backlog_messages",
        _GAUGE,
        _SUBSCRIPTION,
        "messages",
        Bus.EVERY,
        "Messages of the destination that this subscriber has not yet processed",
        f"Messages in flight are not in it. A high value alone is no trouble; prefer the age or the status. {_SUMMED}",
    ),
    Family(
        "subscription_oldest_age_seconds",
        _GAUGE,
        _SUBSCRIPTION,
        "seconds",
        Bus.EVERY,
        "Age of the oldest message that this subscriber has not yet processed",
        "0 when nothing waits. How it was got stands in `age_method` of `subscription_info`. Compare with "
        f"`subscription_objective_age_seconds` rather than with a number. Absent where it cannot be known. {_SUMMED}",
    ),
    Family(
        "subscription_in_flight_messages",
        _GAUGE,
        _SUBSCRIPTION,
        "messages",
        Bus.EVERY,
        "Messages handed to the subscriber and not yet acknowledged",
        f"Kafka knows no such state: absent there. High and steady means a consumer that hangs. {_SUMMED}",
    ),
    Family(
        "subscription_consumers",
        _GAUGE,
        _SUBSCRIPTION,
        "consumers",
        Bus.EVERY,
        "Consumers that are connected for this subscription",
        "Kafka: members of the group; RabbitMQ: consumers of the queue; absent on SQS, which does not know. "
        "Join with the backlog: none is only trouble where something waits.",
    ),
    Family(
        "subscription_drain_seconds",
        _GAUGE,
        _SUBSCRIPTION,
        "seconds",
        Bus.EVERY,
        "Time until the backlog is gone at the present rates",
        "`+Inf` when the backlog does not shrink, 0 when there is none, absent while the rates are not known.",
    ),
    Family(
        "subscription_published_messages_total",
        _COUNTER,
        _SUBSCRIPTION,
        "messages",
        Bus.EVERY,
        "Messages published to the destination",
        f"Starts anywhere and only rises while the monitor runs: use `rate()` or `increase()`. {_SUMMED}",
    ),
    Family(
        "subscription_consumed_messages_total",
        _COUNTER,
        _SUBSCRIPTION,
        "messages",
        Bus.EVERY,
        "Messages that the subscriber has processed: committed, acknowledged or deleted",
        f"Starts anywhere and only rises while the monitor runs: use `rate()` or `increase()`. {_SUMMED}",
    ),
    Family(
        "subscription_status",
        _GAUGE,
        (*_SUBSCRIPTION, "status"),
        "flag",
        Bus.EVERY,
        "Status of the subscription: 1 for the one that holds, 0 for all others",
        "Alert on `== 1` of `losing`, `stopped` or `stalled`. `unknown` is not ok: it says that something could not be "
        "read or that the monitor has not watched for long enough.",
    ),
    Family(
        "subscription_info",
        _GAUGE,
        (*_SUBSCRIPTION, "owner", "age_method"),
        "flag",
        Bus.EVERY,
        "Owner of the subscription and how its age was got; always 1",
        "Join by `* on (system, cluster, destination, subscriber) group_left (owner)` to route an alert. `owner` is "
        "empty where none is configured. `age_method`: exact, interpolated, reported, estimated, lower_bound, unknown.",
    ),
    Family(
        "subscription_objective_age_seconds",
        _GAUGE,
        _SUBSCRIPTION,
        "seconds",
        Bus.EVERY,
        "Highest age of the oldest message that the configured objective allows",
        "Absent where no objective is configured. One rule serves all: "
        "`eventflow_subscription_oldest_age_seconds > eventflow_subscription_objective_age_seconds`.",
    ),
    Family(
        "subscription_objective_target_ratio",
        _GAUGE,
        _SUBSCRIPTION,
        "ratio",
        Bus.EVERY,
        "Share of the time for which the configured objective must hold",
        "1 minus this is the error budget, by which the missed share is divided for a burn rate. Absent where no "
        "objective is configured.",
    ),
    Family(
        "subscription_objective_seconds_total",
        _COUNTER,
        (*_SUBSCRIPTION, "outcome"),
        "seconds",
        Bus.EVERY,
        "Time for which the configured objective was met, was missed, or could not be judged",
        "`outcome`: met, missed, unknown. The missed share is `increase()` of missed by that of met plus missed; "
        "unknown time is neither, so watch its own share. Absent where no objective is configured.",
    ),
    Family(
        "subscription_objective_budget_left_ratio",
        _GAUGE,
        _SUBSCRIPTION,
        "ratio",
        Bus.EVERY,
        "Share of the objective's error budget that is left, over all time that was judged",
        "1 - missed / (met + missed) / (1 - target): 1 is untouched, 0 used up, below 0 overdrawn. For a window of "
        "your own take `increase()` of `subscription_objective_seconds_total`. Absent while nothing could be judged.",
    ),
    Family(
        "subscription_abandoned",
        _GAUGE,
        _SUBSCRIPTION,
        "flag",
        Bus.EVERY,
        "Whether the subscriber was left behind: messages wait, and for days nobody was there to consume; always 1",
        "There only while it holds; how many days is `abandoned_after` of the cluster. Status and numbers go on, but "
        "a rule leaves it out, since nobody is woken twice: `unless on (system, cluster, destination, subscriber) "
        "eventflow_subscription_abandoned`.",
    ),
    Family(
        "subscription_muted",
        _GAUGE,
        _SUBSCRIPTION,
        "flag",
        Bus.EVERY,
        "Whether somebody has muted the subscription for a planned stop; always 1",
        "There only while the mute holds, so that a rule ends with "
        "`unless on (system, cluster, destination, subscriber) eventflow_subscription_muted`. Values and status go on.",
    ),
)

_DEAD_LETTERS = (
    Family(
        "dead_letter_messages",
        _GAUGE,
        _DEAD_LETTER,
        "messages",
        Bus.EVERY,
        "Dead letters that wait in the queue",
        "Kafka: records from where redriving stands (else the log start) to the last stable offset. A steady value "
        "latches a rule of the form `> 0`; for new ones compare with `min_over_time` or use the arrivals. Absent where "
        "it could not be read, and for a source that has no dead-letter queue.",
    ),
    Family(
        "dead_letter_oldest_age_seconds",
        _GAUGE,
        _DEAD_LETTER,
        "seconds",
        Bus.EVERY,
        "Age of the oldest dead letter in the queue",
        "0 when there is none. On SQS the age restarts when a message moves in. Absent where it cannot be known.",
    ),
    Family(
        "dead_letter_retention_seconds",
        _GAUGE,
        _DEAD_LETTER,
        "seconds",
        Bus.EVERY,
        "Time for which the queue keeps a dead letter",
        "Absent where nothing expires.",
    ),
    Family(
        "dead_letter_expiry_timestamp_seconds",
        _GAUGE,
        _DEAD_LETTER,
        "seconds since 1970",
        Bus.EVERY,
        "Worst-case moment at which the next dead letter is lost by expiry",
        "Alert on `- time()` below the time that somebody needs to act. Worst case: a standard SQS message expires by "
        "its first enqueue time. Absent where the queue is empty or nothing expires.",
    ),
    Family(
        "dead_letter_arrivals_total",
        _COUNTER,
        _DEAD_LETTER,
        "messages",
        Bus.EVERY,
        "Dead letters that came while the monitor watched",
        "Arrivals that leave again between two polls can be missed where the bus keeps no count of its own.",
    ),
    Family(
        "dead_letter_info",
        _GAUGE,
        (*_DEAD_LETTER, "origin", "found_by"),
        "flag",
        Bus.EVERY,
        "Where the dead letters of the queue come from and how that is known; always 1, one sample an origin",
        "`origin` is empty where none is known. `found_by`, from the surest: headers, topology, configuration, name.",
    ),
    Family(
        "dead_letter_problem",
        _GAUGE,
        (*_DEAD_LETTER, "problem"),
        "flag",
        Bus.EVERY,
        "What is wrong with the set-up of the queue; 1 for each problem that there is",
        "Absent means that none was found. `none_configured` (there is no dead-letter queue), target_missing and "
        "other_region stand under the name of the source, which has no other family unless it holds dead letters "
        "itself. Others: retention_too_short (shorter than what the source keeps), "
        "not_allowed (the policy of the queue refuses the source; under `topic/queue`, that of a queue which SNS feeds "
        "or parks in), drops_everything.",
    ),
    Family(
        "redrive_messages_total",
        _COUNTER,
        ("system", "cluster", "source", "target", "outcome"),
        "messages",
        Bus.EVERY,
        "What redrive jobs did with dead letters, by outcome: sent, skipped, failed, expired, bounced, ambiguous",
        "What came back counts as sent and as bounced. Of the database: it goes on after a restart, and monitors that "
        "share one tell the same, so take `max by` before any sum.",
    ),
    Family(
        "dead_letter_muted",
        _GAUGE,
        _DEAD_LETTER,
        "flag",
        Bus.EVERY,
        "Whether somebody has muted the dead-letter queue; always 1",
        "There only while the mute holds: `unless on (system, cluster, queue) eventflow_dead_letter_muted`.",
    ),
)

_LAG_ABSENT = "Absent where the group never committed or the partition could not be read: missing is not 0."

_KAFKA = (
    Family(
        "kafka_consumer_group_lag_messages",
        _GAUGE,
        _GROUP_PARTITION,
        "messages",
        Bus.KAFKA,
        "Messages between the group's committed offset and the end of the partition that can still be read",
        f"What retention deleted before it was read is not in it, but counted as lost. {_LAG_ABSENT}",
    ),
    Family(
        "kafka_consumer_group_lag_seconds",
        _GAUGE,
        _GROUP_PARTITION,
        "seconds",
        Bus.KAFKA,
        "Age of the first message that the group has not yet committed",
        f"0 without lag. Interpolated between the timestamps of known offsets; no record is read. {_LAG_ABSENT}",
    ),
    Family(
        "kafka_consumer_group_committed_offset",
        _GAUGE,
        _GROUP_PARTITION,
        "offset",
        Bus.KAFKA,
        "Offset that the group has committed: the next one it reads after a restart",
        f"Goes back when somebody resets the group. {_LAG_ABSENT}",
    ),
    Family(
        "kafka_consumer_group_topic_partitions_expected",
        _GAUGE,
        _GROUP_TOPIC,
        "partitions",
        Bus.KAFKA,
        "Partitions of the topic that belong to the group's lag",
        "Compare with the measured ones.",
    ),
    Family(
        "kafka_consumer_group_topic_partitions_measured",
        _GAUGE,
        _GROUP_TOPIC,
        "partitions",
        Bus.KAFKA,
        "Partitions of the topic whose lag could be measured",
        "Below the expected ones, the summed `subscription_*` values are absent and the status is unknown.",
    ),
    Family(
        "kafka_consumer_group_members",
        _GAUGE,
        _GROUP,
        "consumers",
        Bus.KAFKA,
        "Members of the group, classic or KIP-848",
    ),
    Family(
        "kafka_consumer_group_state",
        _GAUGE,
        (*_GROUP, "state"),
        "flag",
        Bus.KAFKA,
        "State of the group as its coordinator tells it; 1 for the one that holds",
        "A group that stays in a rebalancing state for minutes does not consume.",
    ),
    Family(
        "kafka_consumer_group_info",
        _GAUGE,
        (*_GROUP, "type"),
        "flag",
        Bus.KAFKA,
        "Protocol of the group: classic, consumer (KIP-848) or share (KIP-932); always 1",
        "A share group has this series alone: no client can measure how far it is behind by committed offsets, so "
        "there is no lag of it, and never 0. Share groups are listed every 20 cycles; a group of Kafka Streams' own "
        "protocol (KIP-1071) cannot be told from them.",
    ),
    Family(
        "kafka_consumer_group_idle_members",
        _GAUGE,
        _GROUP,
        "consumers",
        Bus.KAFKA,
        "Members of the group that own no partition",
        "More members than partitions: the others wait in reserve, or the topic has too few partitions for the group "
        "to grow. Absent while the group rebalances.",
    ),
    Family(
        "kafka_consumer_group_state_changes_total",
        _COUNTER,
        _GROUP,
        "events",
        Bus.KAFKA,
        "Times that the group was seen in another state than at the look before",
        "What happens between two looks is not seen.",
    ),
    Family(
        "kafka_consumer_group_rebalances_total",
        _COUNTER,
        _GROUP,
        "events",
        Bus.KAFKA,
        "Times that the group was seen to rebalance: in the midst of it, or with its partitions distributed otherwise",
        "Several between two looks count as one. A rate that stays up says that members come and go, or are too slow "
        "to poll, and while a group rebalances it mostly does not consume.",
    ),
    Family(
        "kafka_consumer_group_unread_lost_messages_total",
        _COUNTER,
        _GROUP_TOPIC,
        "messages",
        Bus.KAFKA,
        "Messages that were deleted, by retention or otherwise, before the group had read them",
        "Any `increase()` is loss of data for this group.",
    ),
    Family(
        "kafka_consumer_group_rewinds_total",
        _COUNTER,
        _GROUP_TOPIC,
        "events",
        Bus.KAFKA,
        "Times that a committed offset of the group went back",
        "A reset by hand, a topic made anew, or a client that commits wrongly: messages are processed again.",
    ),
    Family(
        "kafka_consumer_group_retention_margin_ratio",
        _GAUGE,
        _GROUP_TOPIC,
        "ratio",
        Bus.KAFKA,
        "Share of the retention time that is left to the oldest unread message, in the worst partition",
        "1 when nothing waits; at 0 retention may delete unread messages at any moment. Where size deletes as well "
        "(`retention.bytes`), no more than the share of the log that lies before that message. Absent where nothing "
        "expires or the age is not known.",
    ),
    Family(
        "kafka_consumer_group_time_to_loss_seconds",
        _GAUGE,
        _GROUP_TOPIC,
        "seconds",
        Bus.KAFKA,
        "Time until retention may delete the oldest unread message, in the worst partition",
        "0 when that is due. Absent where nothing waits, nothing expires by time, or the age is not known.",
    ),
    Family(
        "kafka_consumer_group_unowned_lagging_partitions",
        _GAUGE,
        _GROUP_TOPIC,
        "partitions",
        Bus.KAFKA,
        "Partitions with lag that no member of the group owns",
        "More than 0 for longer than a rebalance takes: nobody will read them. Absent for a group "
        "that assigns its partitions itself, and where the members could not be read.",
    ),
    Family(
        "kafka_consumer_group_partitions_ahead_of_log",
        _GAUGE,
        _GROUP_TOPIC,
        "partitions",
        Bus.KAFKA,
        "Partitions on which the group has committed beyond the end of the log",
        "Above 0: the log was cut (an unclean leader election) or the topic was made again, so records are gone. There "
        "is no lag of such a partition, and no sum of the topic, until the group commits again.",
    ),
    Family(
        "kafka_consumer_group_hottest_partition_lag_ratio",
        _GAUGE,
        _GROUP_TOPIC,
        "ratio",
        Bus.KAFKA,
        "Share of the group's backlog on the topic that lies in the partition with the most",
        "Near 1 on a topic of many partitions: one key or one consumer is behind, and more consumers will not help. "
        "Which it is, `topk(1, eventflow_kafka_consumer_group_lag_messages)` tells. Absent where nothing waits.",
    ),
    Family(
        "kafka_consumer_group_last_advance_timestamp_seconds",
        _GAUGE,
        _GROUP_TOPIC,
        "seconds since 1970",
        Bus.KAFKA,
        "Moment at which a committed offset of the group was last seen to move on",
        "`time() -` it is for how long the group has got nowhere, which is no trouble where nothing waits. Absent "
        "until that was seen; it is kept over restarts of the monitor.",
    ),
    Family(
        "kafka_consumer_group_stable_lag_messages",
        _GAUGE,
        _GROUP_PARTITION,
        "messages",
        Bus.KAFKA,
        "Messages that a read_committed consumer of the group could read now: up to the last stable offset",
        "The lag less what an open transaction holds back. Only where transactions write to the topic; elsewhere it "
        "would be the lag again.",
    ),
    Family(
        "kafka_partition_start_offset",
        _GAUGE,
        _PARTITION,
        "offset",
        Bus.KAFKA,
        "First offset that the partition still keeps",
    ),
    Family(
        "kafka_partition_end_offset",
        _GAUGE,
        _PARTITION,
        "offset",
        Bus.KAFKA,
        "Offset after the last record of the partition (high watermark)",
        "Its `rate()` is what is produced, transaction markers included.",
    ),
    Family(
        "kafka_partition_last_stable_offset",
        _GAUGE,
        _PARTITION,
        "offset",
        Bus.KAFKA,
        "Offset up to which a read_committed consumer can read",
        "Stays behind the end offset while a transaction is open; for long, a producer hangs in it.",
    ),
    Family(
        "kafka_partition_open_transaction_seconds",
        _GAUGE,
        _PARTITION,
        "seconds",
        Bus.KAFKA,
        "Age of the oldest transaction that is open in the partition, by the time of its first record",
        "It holds read_committed consumers back. Longer than the producer's transaction.timeout.ms (a minute by "
        "default): a transaction that hangs. Absent where none is open.",
    ),
    Family(
        "kafka_partition_leader_available",
        _GAUGE,
        _PARTITION,
        "flag",
        Bus.KAFKA,
        "Whether the partition has a leader that is alive",
        "0: it can be neither written nor read.",
    ),
    Family("kafka_partition_replicas", _GAUGE, _PARTITION, "replicas", Bus.KAFKA, "Replicas assigned to the partition"),
    Family(
        "kafka_partition_in_sync_replicas",
        _GAUGE,
        _PARTITION,
        "replicas",
        Bus.KAFKA,
        "Replicas of the partition that are in sync",
        "Below `kafka_partition_replicas`: a broker is down or cannot follow.",
    ),
    Family(
        "kafka_topic_min_in_sync_replicas",
        _GAUGE,
        ("cluster", "topic"),
        "replicas",
        Bus.KAFKA,
        "Replicas that must be in sync for the topic to be written with acks=all",
        "The topic's `min.insync.replicas`. Renewed a few topics a cycle, so a change is seen late. Absent where the "
        "configuration of the topic may not be read.",
    ),
    Family(
        "kafka_topic_consumer_groups",
        _GAUGE,
        ("cluster", "topic"),
        "groups",
        Bus.KAFKA,
        "Watched groups that have committed on the topic or whose members own partitions of it",
        "0: nobody consumes it, as far as offsets tell; share groups and consumers that never commit are not seen. "
        "Absent while a group could not be read that may be the one.",
    ),
    Family(
        "kafka_brokers",
        _GAUGE,
        ("cluster",),
        "brokers",
        Bus.KAFKA,
        "Brokers that the cluster's metadata names as alive",
        "How many there should be nobody tells: compare with `max_over_time(...[6h])`.",
    ),
    Family(
        "kafka_probe_round_trip_seconds",
        _GAUGE,
        ("cluster", "broker"),
        "seconds",
        Bus.KAFKA,
        "Time from sending a record through the broker to reading it back, in the last round of the probe; the "
        "longest of its partitions",
        "Absent when it did not come back, in the first round, and without a configured probe.",
    ),
    Family(
        "kafka_probe_commit_seconds",
        _GAUGE,
        ("cluster",),
        "seconds",
        Bus.KAFKA,
        "Time that committing an offset took in the last round of the probe",
        "Absent when it failed, and without a configured probe.",
    ),
    Family(
        "kafka_probe_messages_total",
        _COUNTER,
        ("cluster", "broker", "outcome"),
        "messages",
        Bus.KAFKA,
        "Records that the probe sent through the broker, by what became of them: returned, lost, refused",
        "Lost: taken by the broker and not read back within the timeout. Refused: not taken. What belongs to a "
        "partition without a leader is counted for the one that led it last.",
    ),
    Family(
        "kafka_probe_last_round_timestamp_seconds",
        _GAUGE,
        ("cluster",),
        "seconds since 1970",
        Bus.KAFKA,
        "Moment at which the last round of the probe ended",
        "Rounds go on while cycles fail: old means that the probe itself hangs or cannot make its topic.",
    ),
)

_BROKER_COUNTER = "Counted on when the broker restarts; starts anywhere: use `rate()` or `increase()`."

_RABBITMQ = (
    Family(
        "rabbitmq_queue_messages_ready",
        _GAUGE,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages of the queue that wait for a consumer",
    ),
    Family(
        "rabbitmq_queue_messages_unacked",
        _GAUGE,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages of the queue that were delivered and not yet acknowledged",
        "Steady above 0 with no acknowledgements: a consumer hangs.",
    ),
    Family(
        "rabbitmq_queue_messages_bytes",
        _GAUGE,
        _RABBIT_QUEUE,
        "bytes",
        Bus.RABBITMQ,
        "Size of the message bodies in the queue",
    ),
    Family(
        "rabbitmq_queue_consumers",
        _GAUGE,
        _RABBIT_QUEUE,
        "consumers",
        Bus.RABBITMQ,
        "Consumers of the queue",
    ),
    Family(
        "rabbitmq_queue_consumer_capacity_ratio",
        _GAUGE,
        _RABBIT_QUEUE,
        "ratio",
        Bus.RABBITMQ,
        "Share of the time in which the queue could hand a message to a consumer at once",
        "Low beside a backlog: consumers are too few or too slow, or their prefetch is too small; 1 without one: they "
        "wait. Absent for a queue without consumers and from AMQP alone.",
    ),
    Family(
        "rabbitmq_queue_redelivery_ratio",
        _GAUGE,
        _RABBIT_QUEUE,
        "ratio",
        Bus.RABBITMQ,
        "Share of the deliveries in the last ten minutes that were not the first of their message",
        "For people; in a rule divide the rates of `rabbitmq_queue_redelivered_total` and "
        "`rabbitmq_queue_delivered_total` over a window of your own. Absent while nothing is delivered.",
    ),
    Family(
        "rabbitmq_queue_published_total",
        _COUNTER,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages published to the queue",
        _BROKER_COUNTER,
    ),
    Family(
        "rabbitmq_queue_delivered_total",
        _COUNTER,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages delivered from the queue to consumers, again and again included",
        _BROKER_COUNTER,
    ),
    Family(
        "rabbitmq_queue_acked_total",
        _COUNTER,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages of the queue that consumers acknowledged",
        _BROKER_COUNTER,
    ),
    Family(
        "rabbitmq_queue_redelivered_total",
        _COUNTER,
        _RABBIT_QUEUE,
        "messages",
        Bus.RABBITMQ,
        "Messages of the queue that were delivered again",
        f"A high share of the delivered ones: consumers crash or reject on. {_BROKER_COUNTER}",
    ),
    Family(
        "rabbitmq_queue_info",
        _GAUGE,
        (*_RABBIT_QUEUE, "type", "role", "dlx", "policy"),
        "flag",
        Bus.RABBITMQ,
        "Type, role, dead-letter exchange and policy of the queue; always 1",
        "`role`: work, retry or dead_letter. Unacknowledged or redelivery rules usually leave dead_letter out.",
    ),
    Family(
        "rabbitmq_dead_lettered_total",
        _COUNTER,
        ("cluster", "reason", "strategy", "queue_type"),
        "messages",
        Bus.RABBITMQ,
        "Messages that were dead-lettered, in the whole cluster",
        "With strategy `disabled` they had no dead-letter exchange and are gone: any `increase()` is loss. "
        f"{_BROKER_COUNTER}",
    ),
    Family(
        "rabbitmq_unroutable_total",
        _COUNTER,
        ("cluster", "outcome"),
        "messages",
        Bus.RABBITMQ,
        "Messages that no binding routed to a queue: dropped, or returned to the publisher",
        f"Any `increase()` of `dropped` is loss. {_BROKER_COUNTER}",
    ),
    Family(
        "rabbitmq_node_alarm",
        _GAUGE,
        ("cluster", "node", "alarm"),
        "flag",
        Bus.RABBITMQ,
        "Whether a resource alarm of the node is set, so that publishers are blocked",
        "Short ones matter: use `max_over_time(...[5m])`.",
    ),
    Family(
        "rabbitmq_publishers_blocked",
        _GAUGE,
        ("cluster",),
        "connections",
        Bus.RABBITMQ,
        "Connections that wait to publish because a node has an alarm",
        "0 without an alarm. An alarm without them has found nobody publishing yet. From the management API, and "
        "absent where its user lacks the tag monitoring or statistics are disabled.",
    ),
)

_APPROXIMATE = "SQS counts approximately; the value may be off for a minute after the last change."
_CLOUDWATCH = (
    "From CloudWatch: each settled datapoint is added once, so it is late by minutes. Absent without CloudWatch."
)

_AWS = (
    Family(
        "sqs_queue_messages_visible",
        _GAUGE,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages of the queue that can be received now",
        _APPROXIMATE,
    ),
    Family(
        "sqs_queue_messages_in_flight",
        _GAUGE,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages of the queue that were received and are neither deleted nor visible again",
        f"Compare with `sqs_queue_in_flight_quota`. {_APPROXIMATE}",
    ),
    Family(
        "sqs_queue_messages_delayed",
        _GAUGE,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages of the queue that are delayed and cannot be received yet",
        _APPROXIMATE,
    ),
    Family(
        "sqs_queue_retention_seconds",
        _GAUGE,
        _SQS_QUEUE,
        "seconds",
        Bus.AWS,
        "Time for which the queue keeps a message",
        "The age of the oldest message divided by this tells how close loss is.",
    ),
    Family(
        "sqs_queue_visibility_timeout_seconds",
        _GAUGE,
        _SQS_QUEUE,
        "seconds",
        Bus.AWS,
        "Time after which a received and not deleted message becomes visible again",
    ),
    Family(
        "sqs_queue_max_receive_count",
        # A gauge, but Prometheus' lint takes the ending of its name for a part of a histogram, unless it has no type.
        Kind.UNTYPED,
        _SQS_QUEUE,
        "receives",
        Bus.AWS,
        "Receives after which the redrive policy moves a message to the dead-letter queue",
        "A gauge without the type, for the sake of its name. Absent without a redrive policy.",
    ),
    Family(
        "sqs_queue_in_flight_quota",
        _GAUGE,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages that AWS allows in flight in this queue",
        "Reached, receives return nothing (FIFO) or fail (standard).",
    ),
    Family(
        "sqs_queue_oldest_message_age_seconds",
        _GAUGE,
        _SQS_QUEUE,
        "seconds",
        Bus.AWS,
        "Age of the oldest message of the queue as CloudWatch reports it",
        "Messages received more than three times move to the back, so poison pills leave this metric: watch "
        "deletes as well. Absent without CloudWatch or a recent datapoint.",
    ),
    Family(
        "sqs_queue_sent_total",
        _COUNTER,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages sent to the queue; automatic moves to a dead-letter queue are not in it",
        _CLOUDWATCH,
    ),
    Family(
        "sqs_queue_received_total",
        _COUNTER,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages received from the queue, again and again included",
        _CLOUDWATCH,
    ),
    Family(
        "sqs_queue_deleted_total",
        _COUNTER,
        _SQS_QUEUE,
        "messages",
        Bus.AWS,
        "Messages deleted from the queue by consumers",
        f"None over 15 minutes while messages are visible: consumption has stalled. {_CLOUDWATCH}",
    ),
    Family(
        "sqs_queue_empty_receives_total",
        _COUNTER,
        _SQS_QUEUE,
        "calls",
        Bus.AWS,
        "Receive calls on the queue that returned nothing",
        _CLOUDWATCH,
    ),
    Family(
        "sqs_queue_info",
        _GAUGE,
        (*_SQS_QUEUE, "fifo", "role", "dlq"),
        "flag",
        Bus.AWS,
        "Whether the queue is FIFO, its role and its dead-letter queue; always 1",
        "`role`: work, retry or dead_letter.",
    ),
    Family(
        "sns_topic_published_total",
        _COUNTER,
        _SNS_TOPIC,
        "messages",
        Bus.AWS,
        "Messages published to the topic",
        _CLOUDWATCH,
    ),
    Family(
        "sns_topic_delivered_total",
        _COUNTER,
        _SNS_TOPIC,
        "notifications",
        Bus.AWS,
        "Notifications delivered from the topic to its subscriptions",
        _CLOUDWATCH,
    ),
    Family(
        "sns_topic_failed_total",
        _COUNTER,
        _SNS_TOPIC,
        "notifications",
        Bus.AWS,
        "Notifications that could not be delivered",
        f"Without a dead-letter queue on the subscription they are gone. {_CLOUDWATCH}",
    ),
    Family(
        "sns_topic_filtered_out_total",
        _COUNTER,
        (*_SNS_TOPIC, "reason"),
        "notifications",
        Bus.AWS,
        "Notifications that a filter policy held back, by reason",
        f"Reasons of invalid or missing attributes hint at a publisher that changed. {_CLOUDWATCH}",
    ),
    Family(
        "sns_topic_redriven_to_dlq_total",
        _COUNTER,
        _SNS_TOPIC,
        "notifications",
        Bus.AWS,
        "Notifications that went to a subscription's dead-letter queue",
        _CLOUDWATCH,
    ),
    Family(
        "sns_topic_failed_to_redrive_total",
        _COUNTER,
        _SNS_TOPIC,
        "notifications",
        Bus.AWS,
        "Notifications that could not even be put into the dead-letter queue, and are lost",
        f"Any `increase()` is loss, mostly by a missing permission or key policy. {_CLOUDWATCH}",
    ),
    Family(
        "sns_subscription_info",
        _GAUGE,
        (*_SNS_TOPIC, "protocol", "endpoint", "has_dlq"),
        "flag",
        Bus.AWS,
        "A subscription of the topic, and whether it has a dead-letter queue; always 1",
    ),
    Family(
        "aws_api_requests_total",
        _COUNTER,
        _API_CALL,
        "calls",
        Bus.AWS,
        "Calls that the monitor made to the AWS API",
    ),
    Family(
        "aws_api_throttled_total",
        _COUNTER,
        _API_CALL,
        "calls",
        Bus.AWS,
        "Calls of the monitor that AWS throttled",
        "Rising for long: make the interval longer or ask for a higher quota.",
    ),
    Family(
        "aws_api_monthly_cost_dollars",
        _GAUGE,
        _API_CALL,
        "US dollars",
        Bus.AWS,
        "What 30 days of this call cost at the present number of queues and topics and the present pace",
        "An estimate by the list prices of us-east-1 without free tiers. CloudWatch is nearly all of it: compare "
        "`sum by (cluster)` with `cloudwatch_monthly_budget_dollars`.",
    ),
    Family(
        "cloudwatch_billable_metrics_total",
        _COUNTER,
        ("cluster",),
        "metrics",
        Bus.AWS,
        "Metrics asked of CloudWatch by GetMetricData, each of which is billed",
        "`increase()` over 30 days, divided by 1,000 and times the price of a thousand, is the bill.",
    ),
    Family(
        "cloudwatch_newest_datapoint_timestamp_seconds",
        _GAUGE,
        ("cluster",),
        "seconds since 1970",
        Bus.AWS,
        "Time of the newest datapoint that CloudWatch gave",
        "`time()` minus this is how far everything from CloudWatch lags behind.",
    ),
    Family(
        "cloudwatch_pace_seconds",
        _GAUGE,
        ("cluster",),
        "seconds",
        Bus.AWS,
        "Time between two passes over CloudWatch",
        "The configured interval, or longer where the budget asks for it. Above five minutes consumers are not judged "
        "by what they delete, and a reported age counts for five minutes beyond the interval only.",
    ),
    Family(
        "cloudwatch_monthly_budget_dollars",
        _GAUGE,
        ("cluster",),
        "dollars",
        Bus.AWS,
        "What asking CloudWatch may cost in 30 days, as configured",
        "The collector asks less often where the interval would cost more. Absent without a budget.",
    ),
)

_COLLECTORS = (
    Family(
        "collector_up",
        _GAUGE,
        _COLLECTOR,
        "flag",
        Bus.MONITOR,
        "Whether the last cycle of the collector succeeded",
        "Absent until the first cycle has ended, at most an interval and a deadline after the start: not known is "
        "neither up nor down. `eventflow_collector_interval_seconds unless on (cluster) eventflow_collector_up` finds "
        "collectors that never finished a cycle. While it is 0 the last values stay for three intervals, then go.",
    ),
    Family(
        "collector_last_success_timestamp_seconds",
        _GAUGE,
        _COLLECTOR,
        "seconds since 1970",
        Bus.MONITOR,
        "When the last cycle that succeeded ended",
        "Absent before the first success. All values of this cluster are as old as this. Stale: "
        "`time() - eventflow_collector_last_success_timestamp_seconds > 3 * eventflow_collector_interval_seconds`.",
    ),
    Family(
        "collector_interval_seconds",
        _GAUGE,
        _COLLECTOR,
        "seconds",
        Bus.MONITOR,
        "Configured time between two cycles of the collector",
        "There for every configured cluster from the start on.",
    ),
    Family(
        "collector_series",
        _GAUGE,
        _COLLECTOR,
        "series",
        Bus.MONITOR,
        "Series that the monitor shows for this cluster, this one included, the duration histogram not",
        "A sudden drop is missing data, a sudden rise costs Prometheus memory.",
    ),
    Family(
        "collector_series_dropped",
        _GAUGE,
        _COLLECTOR,
        "series",
        Bus.MONITOR,
        "Series of this cluster that the page leaves out, since there are more than its configured limit",
        "Above 0, rules see only a part: raise `max_series` of the cluster, or leave out families, topics or groups. "
        "Details by partition go first, and of each table the last rows by name, the same ones in every cycle.",
    ),
    Family(
        "collector_errors_total",
        _COUNTER,
        (*_COLLECTOR, "reason"),
        "errors",
        Bus.MONITOR,
        "Reads that failed, by reason, those of cycles that succeeded in part included",
        "Every reason is there from the start with 0. Reasons: unreachable, timeout, authentication, forbidden, tls, "
        "throttled, bad_answer, internal.",
    ),
    Family(
        "collector_missed_runs_total",
        _COUNTER,
        _COLLECTOR,
        "cycles",
        Bus.MONITOR,
        "Cycles that were not started, or started too late, since the one before had not ended",
        "Rising: the interval is too short for this cluster, or a call hangs.",
    ),
    Family(
        "collector_duration_seconds",
        _HISTOGRAM,
        _COLLECTOR,
        "seconds",
        Bus.MONITOR,
        "Duration of the collector's cycles, one observation a cycle",
        "`_count` counts cycles, failed ones included.",
    ),
    Family(
        "redrive_jobs",
        _GAUGE,
        ("state",),
        "jobs",
        Bus.MONITOR,
        "Redrive jobs by state, ended ones included",
        "Of the database: monitors that share one tell the same, so take `max`.",
    ),
    Family(
        "history_write_errors_total",
        _COUNTER,
        (),
        "errors",
        Bus.MONITOR,
        "Minutes whose history could not be written into the database",
        "Rising: the database is full, locked or gone; curves have gaps, and nothing else suffers.",
    ),
    Family(
        "config_last_reload_successful",
        _GAUGE,
        (),
        "flag",
        Bus.MONITOR,
        "Whether the configuration was fine when it was read last",
        "0: it was refused, and the one before is still in use; the log says why.",
    ),
    Family(
        "config_last_reload_success_timestamp_seconds",
        _GAUGE,
        (),
        "seconds",
        Bus.MONITOR,
        "When the configuration in use was read (Unix time)",
    ),
    Family(
        "build_info",
        _GAUGE,
        ("version", "python"),
        "flag",
        Bus.MONITOR,
        "Version of the monitor and of Python; always 1",
    ),
)

FAMILIES: tuple[Family, ...] = (
    *_SUBSCRIPTIONS,
    *_DEAD_LETTERS,
    *_KAFKA,
    *_RABBITMQ,
    *_AWS,
    *_COLLECTORS,
)
"""All families, in the order of the page."""

BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
"""The families by their name without prefix."""
