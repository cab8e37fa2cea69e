"""What the dashboards show. Failed reads leave gaps: nothing here fills them with zeros."""

from collections.abc import Sequence

from dashboards.grafana.panels import (
    ANY_IS_BAD,
    ANY_IS_POOR,
    BLUE,
    CALM,
    GREEN,
    GREY,
    PROCESS,
    RED,
    YELLOW,
    Board,
    Json,
    Panel,
    alert_list,
    rate,
    rise,
    series,
    table,
)

SUB = "system, cluster, destination, subscriber"
QUEUE = "system, cluster, queue"
WHO = "{{subscriber}} on {{destination}} ({{cluster}})"
_LABEL = "${__field.labels.%s}"
_DATA = "${__data.fields.%s}"


def _page(path: str, parts: Sequence[str], pattern: str) -> str:
    return f"${{eventflow_url}}/{path}?" + "&".join(f"{part}={pattern % part}" for part in parts)


SUBSCRIPTION_PAGE = _page("subscriptions", ("system", "cluster", "destination", "subscriber"), _LABEL)
SUBSCRIPTION_ROW = _page("subscriptions", ("system", "cluster", "destination", "subscriber"), _DATA)
QUEUE_PAGE = _page("dead-letters", ("system", "cluster", "queue"), _LABEL)
QUEUE_ROW = _page("dead-letters", ("system", "cluster", "queue"), _DATA)
CLUSTER_PAGE = _page("clusters", ("cluster",), _LABEL)


def _is(label: str, values: str) -> str:
    """Return a matcher for one value, or several with | between."""
    return f'{label}=~"{values}"'


def _most(by: str, what: str) -> str:
    """Return the value whichever monitor was scraped."""
    return f"max by ({by}) ({what})"


def _count(what: str, condition: str) -> str:
    """Return how many fulfil a condition: 0 where none does, and nothing where nothing is known."""
    return f"count({what} {condition}) or 0 * count({what})"


def _sum(by: str, what: str) -> str:
    return f"sum by ({by}) ({what})"


def _worst(system: str = "") -> str:
    return series("subscription_oldest_age_seconds", _is("system", system) if system else "")


def _against_objective(system: str = "") -> str:
    objective = _most(SUB, series("subscription_objective_age_seconds"))
    return f"topk(15, {_most(SUB, _worst(system))} / {objective})"


def _mapped(*values: tuple[str, str, str]) -> Json:
    """Show numbers as words: (number, word, colour)."""
    options = {number: {"text": text, "color": color, "index": i} for i, (number, text, color) in enumerate(values)}
    return {"mappings": [{"type": "value", "options": options}]}


# One number for a status, the worst wins; absent statuses leave a gap.
_STATUS_NUMBER = " or ".join(
    f"{number} * (max by (%s) ({series('subscription_status', _is('status', status))}) == 1)"
    for status, number in (
        ("losing", 6),
        ("stopped", 5),
        ("stalled", 4),
        ("unknown", 3),
        ("rewound", 2),
        ("lagging", 1),
    )
)
_OK = f"0 * max by (%s) ({series('subscription_status', _is('status', 'ok'))})"
_STATUS_WORDS = _mapped(
    ("0", "ok", GREEN),
    ("1", "lagging", YELLOW),
    ("2", "rewound", BLUE),
    ("3", "unknown", GREY),
    ("4", "stalled", "orange"),
    ("5", "stopped", RED),
    ("6", "losing", "dark-red"),
)


def _health(by: str) -> str:
    return f"{_STATUS_NUMBER.replace('%s', by)} or {_OK.replace('%s', by)}"


def _states(by: str, legend: str, width: int = 24, height: int = 8) -> Panel:
    return Panel(
        "Status over time",
        "The worst status at each moment. A gap: nothing was known, which is not ok.",
        "short",
        [(_health(by), legend)],
        kind="state-timeline",
        width=width,
        height=height,
        defaults=_STATUS_WORDS,
    )


def _worst_table(system: str = "") -> Panel:
    chosen = _is("system", system) if system else ""
    ages = _most(SUB, series("subscription_oldest_age_seconds", chosen))
    return table(
        "Subscriptions, oldest first",
        "The 50 whose oldest message has waited longest, with what else is known of them. Each row opens its page.",
        [
            (f"topk(50, {ages})", "Oldest", "s"),
            (_most(SUB, series("subscription_objective_age_seconds", chosen)), "Objective", "s"),
            (_most(SUB, series("subscription_backlog_messages", chosen)), "Waiting", "short"),
            (_sum(SUB, rate("subscription_consumed_messages_total", chosen)), "Consumed", "cps"),
            (_sum(SUB, rate("subscription_published_messages_total", chosen)), "Published", "cps"),
            (_most(SUB, series("subscription_drain_seconds", chosen)), "Drained in", "s"),
            (_most(SUB, series("subscription_consumers", chosen)), "Consumers", "short"),
        ],
        link=SUBSCRIPTION_ROW,
    )


OVERVIEW = Board(
    "overview",
    "Overview",
    "What is behind, what dies, and whether anybody is looking: all buses at once.",
    [
        alert_list("Firing", "Alerts of Eventflow that fire or are about to, from this Prometheus.", width=8),
        Panel(
            "Stopped, stalled or losing",
            "Subscriptions whose consumers are away, finish nothing, or lose messages.",
            "short",
            [
                (
                    _count(_most(SUB, series("subscription_status", _is("status", "losing|stopped|stalled"))), "== 1"),
                    "subscriptions",
                )
            ],
            kind="stat",
            width=4,
            thresholds=ANY_IS_BAD,
        ),
        Panel(
            "Dead letters",
            "All dead letters that wait, on each bus.",
            "short",
            [(_sum("system", _most(QUEUE, series("dead_letter_messages"))), "{{system}}")],
            kind="stat",
            width=6,
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Collectors that do not succeed",
            "Clusters of which nothing new is known.",
            "short",
            [(_count(_most("cluster", series("collector_up")), "== 0"), "clusters")],
            kind="stat",
            width=6,
            thresholds=ANY_IS_BAD,
        ),
        _states("system, cluster", "{{system}} ({{cluster}})"),
        Panel(
            "Ten oldest backlogs",
            "How long the oldest message has waited, the worst ten subscriptions.",
            "s",
            [(f"topk(10, {_most(SUB, _worst())})", WHO)],
            kind="bargauge",
            height=10,
            thresholds=((None, GREEN), (60, YELLOW), (600, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Dead letters arriving",
            "Messages that died, on each dead-letter queue.",
            "short",
            [(f"topk(10, {_sum(QUEUE, rise('dead_letter_arrivals_total'))})", "{{queue}} ({{cluster}})")],
            height=10,
            link=QUEUE_PAGE,
        ),
        Panel(
            "Published",
            "What comes in, on each cluster.",
            "cps",
            [(_sum("system, cluster", rate("subscription_published_messages_total")), "{{system}} ({{cluster}})")],
        ),
        Panel(
            "Consumed",
            "What is processed, on each cluster.",
            "cps",
            [(_sum("system, cluster", rate("subscription_consumed_messages_total")), "{{system}} ({{cluster}})")],
        ),
        _worst_table(),
    ],
)

GT = "cluster, group, topic"
GTP = "cluster, group, topic, partition"
CTP = "cluster, topic, partition"
_IN_SYNC = _most(CTP, series("kafka_partition_in_sync_replicas"))
_REPLICAS = _most(CTP, series("kafka_partition_replicas"))
_LAG = _sum(GT, _most(GTP, series("kafka_consumer_group_lag_messages")))
_OPEN = f"{series('kafka_partition_end_offset')} - {series('kafka_partition_last_stable_offset')}"
KAFKA = Board(
    "kafka",
    "Kafka",
    "Lag in seconds and messages, partitions, replicas, brokers.",
    [
        Panel(
            "Brokers",
            "Brokers that the metadata names as alive.",
            "short",
            [(_most("cluster", series("kafka_brokers")), "{{cluster}}")],
            kind="stat",
            width=6,
            height=4,
        ),
        Panel(
            "Partitions without a leader",
            "They can be neither written nor read.",
            "short",
            [
                (
                    _count(_most("cluster, topic, partition", series("kafka_partition_leader_available")), "== 0"),
                    "partitions",
                )
            ],
            kind="stat",
            width=6,
            height=4,
            thresholds=ANY_IS_BAD,
        ),
        Panel(
            "Partitions with replicas out of sync",
            "One more failure may stop them.",
            "short",
            [(_count(_IN_SYNC, f"< {_REPLICAS}"), "partitions")],
            kind="stat",
            width=6,
            height=4,
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Messages lost unread",
            "Deleted by retention before a group had read them.",
            "short",
            [(f"sum({rise('kafka_consumer_group_unread_lost_messages_total')})", "messages")],
            kind="stat",
            width=6,
            height=4,
            thresholds=ANY_IS_BAD,
        ),
        Panel(
            "Age against the objective",
            "Age of the oldest unread message, in parts of its objective: above 1 it is late.",
            "percentunit",
            [(_against_objective("kafka"), WHO)],
            thresholds=((None, GREEN), (1, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Lag in seconds",
            "Age of the first message that a group has not committed, its worst partition.",
            "s",
            [(f"topk(15, {_most(GT, series('kafka_consumer_group_lag_seconds'))})", "{{group}} on {{topic}}")],
        ),
        Panel(
            "Lag in messages",
            "Messages between commit and end, over all partitions.",
            "short",
            [(f"topk(15, {_LAG})", "{{group}} on {{topic}}")],
        ),
        Panel(
            "Lag by partition",
            "One colour a partition: a single hot or stuck partition stands out.",
            "short",
            [
                (
                    f"topk(100, {_most('group, topic, partition', series('kafka_consumer_group_lag_messages'))})",
                    "{{group}} {{topic}}/{{partition}}",
                )
            ],
            kind="state-timeline",
            defaults={"color": {"mode": "continuous-GrYlRd"}, "max": 1000, "min": 0},
        ),
        Panel(
            "Produced and consumed",
            "Where the lines part, the lag grows.",
            "cps",
            [
                (
                    _sum("cluster", rate("subscription_published_messages_total", _is("system", "kafka"))),
                    "produced ({{cluster}})",
                ),
                (
                    _sum("cluster", rate("subscription_consumed_messages_total", _is("system", "kafka"))),
                    "consumed ({{cluster}})",
                ),
            ],
        ),
        Panel(
            "Retention left",
            "Share of the retention time that is left to the oldest unread message; at 0 it is lost.",
            "percentunit",
            [
                (
                    f"bottomk(15, min by ({GT}) ({series('kafka_consumer_group_retention_margin_ratio')}))",
                    "{{group}} on {{topic}}",
                )
            ],
            thresholds=((None, RED), (0.3, YELLOW), (0.5, GREEN)),
            defaults={"min": 0, "max": 1},
        ),
        table(
            "Groups",
            "Lag, members and retention of each group and topic, worst first.",
            [
                (f"topk(100, {_most(GT, series('kafka_consumer_group_lag_seconds'))})", "Lag", "s"),
                (_LAG, "Messages", "short"),
                (_most(GT, series("kafka_consumer_group_unowned_lagging_partitions")), "Partitions of nobody", "short"),
                (f"min by ({GT}) ({series('kafka_consumer_group_time_to_loss_seconds')})", "Lost in", "s"),
            ],
        ),
        Panel(
            "Open transactions",
            "Records that readers of committed data cannot have yet: for long, a producer hangs.",
            "short",
            [(f"topk(10, {_sum('cluster, topic', _OPEN)} > 0)", "{{topic}}")],
        ),
        Panel(
            "Rewinds",
            "Times that a committed offset went back.",
            "short",
            [(f"{_sum(GT, rise('kafka_consumer_group_rewinds_total'))} > 0", "{{group}} on {{topic}}")],
        ),
        Panel(
            "Age of open transactions",
            "Since the first record of the oldest one: readers of committed data wait behind it.",
            "s",
            [
                (
                    f"topk(10, {_most('cluster, topic', series('kafka_partition_open_transaction_seconds'))} > 0)",
                    "{{topic}} ({{cluster}})",
                )
            ],
            thresholds=((None, GREEN), (60, YELLOW), (900, RED)),
        ),
        Panel(
            "Share in the hottest partition",
            "How much of a backlog lies in one partition: near 1, one key or one consumer holds it up.",
            "percentunit",
            [
                (
                    f"topk(10, {_most(GT, series('kafka_consumer_group_hottest_partition_lag_ratio'))})",
                    "{{group}} on {{topic}}",
                )
            ],
            defaults={"min": 0, "max": 1},
        ),
        Panel(
            "Members",
            "Of each group; the idle ones own no partition.",
            "short",
            [
                (f"topk(10, {_most('cluster, group', series('kafka_consumer_group_members'))})", "{{group}}"),
                (f"{_most('cluster, group', series('kafka_consumer_group_idle_members'))} > 0", "{{group}} idle"),
            ],
        ),
        Panel(
            "Rebalances",
            "Each one stops the group for a moment; many in a row, for good.",
            "short",
            [(f"{_sum('cluster, group', rise('kafka_consumer_group_rebalances_total'))} > 0", "{{group}}")],
        ),
        Panel(
            "Groups by protocol",
            "Classic, the newer consumer protocol (KIP-848), and share groups (KIP-932).",
            "short",
            [(f"count by (type) ({_most('cluster, group, type', series('kafka_consumer_group_info'))})", "{{type}}")],
            kind="stat",
            width=6,
        ),
        Panel(
            "Topics that nobody consumes",
            "No watched group has committed on them or owns a partition of them.",
            "short",
            [(_count(_most("cluster, topic", series("kafka_topic_consumer_groups")), "== 0"), "topics")],
            kind="stat",
            width=6,
        ),
        Panel(
            "Probe, there and back",
            "From sending a record through each broker to reading it back, and a commit. Only with `probe` configured.",
            "s",
            [
                (_most("cluster, broker", series("kafka_probe_round_trip_seconds")), "broker {{broker}} ({{cluster}})"),
                (_most("cluster", series("kafka_probe_commit_seconds")), "commit ({{cluster}})"),
            ],
        ),
        Panel(
            "Probe, records by outcome",
            "What is refused or lost here, producers with acks=all and their consumers meet as well.",
            "short",
            [
                (
                    _sum("cluster, broker, outcome", rise("kafka_probe_messages_total")),
                    "broker {{broker}} {{outcome}} ({{cluster}})",
                )
            ],
            width=24,
        ),
    ],
)

VQ = "cluster, vhost, queue"
_AGAIN = _sum(VQ, rate("rabbitmq_queue_redelivered_total"))
_DELIVERED = _sum(VQ, rate("rabbitmq_queue_delivered_total"))
RABBITMQ = Board(
    "rabbitmq",
    "RabbitMQ",
    "Queues, deliveries, alarms, dead-lettering.",
    [
        Panel(
            "Alarms",
            "A node with an alarm blocks the publishers of the whole cluster.",
            "short",
            [(_most("cluster, node, alarm", series("rabbitmq_node_alarm")), "{{node}} {{alarm}}")],
            kind="state-timeline",
            width=12,
            thresholds=ANY_IS_BAD,
            defaults=_mapped(("0", "clear", GREEN), ("1", "alarm", RED)),
        ),
        Panel(
            "Ready, not acknowledged",
            "Messages that wait, and messages that consumers hold.",
            "short",
            [
                (_sum("cluster", _most(VQ, series("rabbitmq_queue_messages_ready"))), "ready ({{cluster}})"),
                (
                    _sum("cluster", _most(VQ, series("rabbitmq_queue_messages_unacked"))),
                    "not acknowledged ({{cluster}})",
                ),
            ],
        ),
        Panel(
            "Publish, deliver, acknowledge",
            "In step while all is well.",
            "cps",
            [
                (_sum("cluster", rate("rabbitmq_queue_published_total")), "published ({{cluster}})"),
                (_sum("cluster", rate("rabbitmq_queue_delivered_total")), "delivered ({{cluster}})"),
                (_sum("cluster", rate("rabbitmq_queue_acked_total")), "acknowledged ({{cluster}})"),
                (_sum("cluster", rate("rabbitmq_queue_redelivered_total")), "delivered again ({{cluster}})"),
            ],
        ),
        Panel(
            "Share delivered again",
            "Repeated deliveries: above a fifth something goes round.",
            "percentunit",
            [
                (
                    f"topk(10, {_AGAIN} / {_DELIVERED})",
                    "{{queue}} ({{vhost}})",
                )
            ],
            thresholds=((None, GREEN), (0.2, RED)),
        ),
        Panel(
            "Consumer capacity",
            "Share of the time in which a queue could hand over a message at once: below 1, consumers hold it up.",
            "percentunit",
            [
                (
                    f"bottomk(10, min by ({VQ}) ({series('rabbitmq_queue_consumer_capacity_ratio')}))",
                    "{{queue}} ({{vhost}})",
                )
            ],
            defaults={"min": 0, "max": 1},
        ),
        Panel(
            "Publishers blocked",
            "Connections that wait to publish because a node has an alarm.",
            "short",
            [(_most("cluster", series("rabbitmq_publishers_blocked")), "{{cluster}}")],
            thresholds=ANY_IS_BAD,
        ),
        Panel(
            "Dead-lettered",
            "By reason and strategy. With `disabled` they are gone.",
            "short",
            [
                (
                    _sum("cluster, reason, strategy", rise("rabbitmq_dead_lettered_total")),
                    "{{reason}}, {{strategy}} ({{cluster}})",
                )
            ],
        ),
        Panel(
            "Unroutable",
            "Messages that matched no binding.",
            "short",
            [(_sum("cluster, outcome", rise("rabbitmq_unroutable_total")), "{{outcome}} ({{cluster}})")],
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Bytes in queues",
            "What queues hold: the nearer to the memory or disk limit, the nearer a block.",
            "bytes",
            [(f"topk(10, {_most(VQ, series('rabbitmq_queue_messages_bytes'))})", "{{queue}} ({{vhost}})")],
        ),
        Panel(
            "Age against the objective",
            "Age of the oldest message in parts of its objective: above 1 it is late.",
            "percentunit",
            [(_against_objective("rabbitmq"), WHO)],
            thresholds=((None, GREEN), (1, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        table(
            "Queues",
            "Ready, held, consumers, type and dead-letter exchange of each queue.",
            [
                (f"topk(100, {_most(VQ, series('rabbitmq_queue_messages_ready'))})", "Ready", "short"),
                (_most(VQ, series("rabbitmq_queue_messages_unacked")), "Not acknowledged", "short"),
                (_most(VQ, series("rabbitmq_queue_consumers")), "Consumers", "short"),
                (_most(VQ + ", type, role, dlx, policy", series("rabbitmq_queue_info")), "Known", "short"),
            ],
            hidden=("Known",),
        ),
    ],
)

CQ, CTOPIC = "cluster, queue", "cluster, topic"
_SQS_AGE = _most(CQ, series("sqs_queue_oldest_message_age_seconds"))
_SQS_RETENTION = _most(CQ, series("sqs_queue_retention_seconds"))
_SQS_IN_FLIGHT = _most(CQ, series("sqs_queue_messages_in_flight"))
_SQS_QUOTA = _most(CQ, series("sqs_queue_in_flight_quota"))
AWS = Board(
    "aws",
    "SQS and SNS",
    "Queues, topics, and how fresh what CloudWatch says is.",
    [
        Panel(
            "Visible",
            "Messages that can be received now.",
            "short",
            [(f"topk(10, {_most(CQ, series('sqs_queue_messages_visible'))})", "{{queue}}")],
        ),
        Panel(
            "In flight and delayed",
            "Received and not deleted; and not yet to be received.",
            "short",
            [
                (f"topk(10, {_most(CQ, series('sqs_queue_messages_in_flight'))})", "{{queue}} in flight"),
                (f"topk(10, {_most(CQ, series('sqs_queue_messages_delayed'))} > 0)", "{{queue}} delayed"),
            ],
        ),
        Panel(
            "Age against the objective",
            "Above 1 it is late.",
            "percentunit",
            [(_against_objective("sqs"), WHO)],
            thresholds=((None, GREEN), (1, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Age against retention",
            "At 1 the oldest message is deleted.",
            "percentunit",
            [
                (
                    f"topk(15, {_SQS_AGE} / {_SQS_RETENTION})",
                    "{{queue}}",
                )
            ],
            thresholds=((None, GREEN), (0.5, YELLOW), (0.8, RED)),
            defaults={"min": 0},
        ),
        Panel(
            "Sent, received, deleted",
            "From CloudWatch, some minutes late.",
            "cps",
            [
                (_sum("cluster", rate("sqs_queue_sent_total")), "sent ({{cluster}})"),
                (_sum("cluster", rate("sqs_queue_received_total")), "received ({{cluster}})"),
                (_sum("cluster", rate("sqs_queue_deleted_total")), "deleted ({{cluster}})"),
            ],
        ),
        Panel(
            "Quota of messages in flight",
            "At 100 % nothing can be received.",
            "percentunit",
            [
                (
                    f"topk(8, {_SQS_IN_FLIGHT} / {_SQS_QUOTA})",
                    "{{queue}}",
                )
            ],
            kind="gauge",
            thresholds=((None, GREEN), (0.8, RED)),
            defaults={"min": 0, "max": 1},
        ),
        Panel(
            "Delivered and failed",
            "Notifications of each topic.",
            "short",
            [
                (_sum(CTOPIC, rise("sns_topic_delivered_total")), "{{topic}} delivered"),
                (_sum(CTOPIC, rise("sns_topic_failed_total")), "{{topic}} failed"),
                (_sum(CTOPIC, rise("sns_topic_redriven_to_dlq_total")), "{{topic}} to its dead-letter queue"),
                (_sum(CTOPIC, rise("sns_topic_failed_to_redrive_total")), "{{topic}} lost"),
            ],
        ),
        Panel(
            "Filtered out",
            "By reason: missing and invalid attributes are no filtering, but a mistake.",
            "short",
            [(_sum("cluster, topic, reason", rise("sns_topic_filtered_out_total")), "{{topic}} {{reason}}")],
        ),
        Panel(
            "Age of the newest datapoint",
            "How late everything from CloudWatch is.",
            "s",
            [(f"time() - {_most('cluster', series('cloudwatch_newest_datapoint_timestamp_seconds'))}", "{{cluster}}")],
            kind="stat",
            width=6,
            thresholds=((None, GREEN), (900, YELLOW), (1800, RED)),
        ),
        Panel(
            "Empty receives",
            "Calls that returned nothing: polling that costs.",
            "cps",
            [(f"topk(10, {_sum(CQ, rate('sqs_queue_empty_receives_total'))})", "{{queue}}")],
            width=18,
        ),
    ],
)

PAIR = "system, cluster, source, target"
# Redrives are told for a pair of queues; their jobs for the monitor as a whole.
_JOBS = f"eventflow_redrive_jobs{{{PROCESS}}}"


def _redriven(outcome: str) -> str:
    return _sum(PAIR, rise("redrive_messages_total", _is("outcome", outcome)))


DEAD_LETTERS = Board(
    "dead-letters",
    "Dead letters and redrive",
    "Where they lie, how long they may, and what becomes of those that are put back.",
    [
        table(
            "Dead-letter queues",
            "Depth, age and the worst-case time until the first is deleted.",
            [
                (f"topk(100, {_most(QUEUE, series('dead_letter_messages'))})", "Messages", "short"),
                (_most(QUEUE, series("dead_letter_oldest_age_seconds")), "Oldest", "s"),
                (f"min by ({QUEUE}) ({series('dead_letter_expiry_timestamp_seconds')}) - time()", "Deleted in", "s"),
                (_sum(QUEUE, rise("dead_letter_arrivals_total")), "Arrived", "short"),
            ],
            link=QUEUE_ROW,
            width=16,
        ),
        table(
            "Mistakes in the set-up",
            "Sources without a dead-letter queue, targets that are missing, and more.",
            [(_most(QUEUE + ", problem", series("dead_letter_problem")), "There", "short")],
            hidden=("There",),
            width=8,
        ),
        Panel(
            "Arriving",
            "Messages that died.",
            "short",
            [(f"topk(10, {_sum(QUEUE, rise('dead_letter_arrivals_total'))})", "{{queue}} ({{cluster}})")],
            link=QUEUE_PAGE,
        ),
        Panel(
            "Waiting",
            "Depth over time.",
            "short",
            [(f"topk(10, {_most(QUEUE, series('dead_letter_messages'))})", "{{queue}} ({{cluster}})")],
            link=QUEUE_PAGE,
        ),
        Panel(
            "First deleted in",
            "Worst case; for standard SQS queues it counts from the first sending.",
            "s",
            [
                (
                    f"bottomk(10, min by ({QUEUE}) ({series('dead_letter_expiry_timestamp_seconds')}) - time())",
                    "{{queue}} ({{cluster}})",
                )
            ],
            kind="bargauge",
            thresholds=((None, RED), (86400, YELLOW), (259200, GREEN)),
            link=QUEUE_PAGE,
        ),
        Panel(
            "Origins",
            "How many sources each queue has that are known.",
            "short",
            [
                (
                    f"count by ({QUEUE}) ({_most(QUEUE + ', origin', series('dead_letter_info'))})",
                    "{{queue}} ({{cluster}})",
                )
            ],
            kind="bargauge",
        ),
        Panel(
            "Redriven",
            "Messages by what became of them.",
            "short",
            [(_sum("outcome", rise("redrive_messages_total")), "{{outcome}}")],
        ),
        Panel(
            "Share that came back",
            "Bounced of sent: above a half it is a loop.",
            "percentunit",
            [(f"{_redriven('bounced')} / {_redriven('sent')}", "{{source}} to {{target}}")],
            thresholds=((None, GREEN), (0.5, RED)),
        ),
        Panel("Jobs", "Redrive jobs by state.", "short", [(f"max by (state) ({_JOBS})", "{{state}}")], width=24),
    ],
)


def _seconds(outcome: str) -> str:
    return _sum(SUB, rate("subscription_objective_seconds_total", _is("outcome", outcome)))


_BUDGET = f"(1 - {_most(SUB, series('subscription_objective_target_ratio'))})"
_MISSED = f"{_seconds('missed')} / {_seconds('met|missed')}"
OBJECTIVES = Board(
    "objectives",
    "Objectives",
    "How well each objective is kept, and how fast its budget burns.",
    [
        Panel(
            "Kept",
            "Share of the time shown in which each objective was met; unknown time is neither.",
            "percentunit",
            [(f"{_seconds('met')} / {_seconds('met|missed')}", WHO)],
            kind="bargauge",
            reduced="mean",
            height=10,
            thresholds=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
            defaults={"max": 1},
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Budget left",
            "Of the time shown. Below 0 the objective was not kept.",
            "percentunit",
            [(f"1 - ({_MISSED}) / {_BUDGET}", WHO)],
            kind="bargauge",
            reduced="mean",
            height=10,
            thresholds=((None, RED), (0, YELLOW), (0.25, GREEN)),
            defaults={"max": 1},
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Burn rate",
            "1 spends the budget exactly in its time; 6 and 14.4 are where alerts begin.",
            "short",
            [(f"topk(15, ({_MISSED}) / {_BUDGET})", WHO)],
            width=24,
            thresholds=((None, GREEN), (6, YELLOW), (14.4, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Age against the objective",
            "Above 1 the objective is missed at this moment.",
            "percentunit",
            [(_against_objective(), WHO)],
            thresholds=((None, GREEN), (1, RED)),
            link=SUBSCRIPTION_PAGE,
        ),
        Panel(
            "Not judged",
            "Share of the time in which nobody could tell.",
            "percentunit",
            [(f"{_seconds('unknown')} / {_seconds('met|missed|unknown')} > 0", WHO)],
            thresholds=((None, GREEN), (0.1, YELLOW)),
        ),
    ],
)

CS = "cluster, system"
_NOT_WRITTEN = f"increase(eventflow_history_write_errors_total{{{PROCESS}}}[$__rate_interval])"
MONITOR = Board(
    "monitor",
    "The monitor itself",
    "Whether anybody is looking, how fresh it is, and what it costs.",
    [
        Panel(
            "Collectors",
            "Whether each cycle succeeds.",
            "short",
            [(_most(CS, series("collector_up")), "{{cluster}}")],
            kind="state-timeline",
            width=24,
            height=6,
            thresholds=CALM,
            defaults=_mapped(("0", "fails", RED), ("1", "succeeds", GREEN)),
            link=CLUSTER_PAGE,
        ),
        Panel(
            "Age of the data",
            "Time since the last cycle that succeeded.",
            "s",
            [(f"time() - {_most(CS, series('collector_last_success_timestamp_seconds'))}", "{{cluster}}")],
            thresholds=((None, GREEN), (60, YELLOW), (180, RED)),
        ),
        Panel(
            "Duration of cycles",
            "Median and 95th percentile.",
            "s",
            [
                (
                    f"histogram_quantile(0.5, {_sum('cluster, le', rate('collector_duration_seconds_bucket'))})",
                    "{{cluster}}, median",
                ),
                (
                    f"histogram_quantile(0.95, {_sum('cluster, le', rate('collector_duration_seconds_bucket'))})",
                    "{{cluster}}, 95 %",
                ),
            ],
        ),
        Panel(
            "Failed reads",
            "By reason, those of cycles that succeeded in part included.",
            "short",
            [(f"{_sum('cluster, reason', rise('collector_errors_total'))} > 0", "{{cluster}} {{reason}}")],
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Missed runs",
            "Cycles that began late or not at all.",
            "short",
            [(_sum("cluster", rise("collector_missed_runs_total")), "{{cluster}}")],
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Series",
            "What each cluster costs Prometheus. A sudden drop is missing data.",
            "short",
            [(_most(CS, series("collector_series")), "{{cluster}}")],
        ),
        Panel(
            "Calls of the AWS API",
            "By operation; the throttled ones apart.",
            "cps",
            [
                (_sum("service, operation", rate("aws_api_requests_total")), "{{service}} {{operation}}"),
                (
                    f"{_sum('service, operation', rate('aws_api_throttled_total'))} > 0",
                    "{{service}} {{operation}} throttled",
                ),
            ],
        ),
        Panel(
            "Cost of 30 days by call",
            "What AWS takes for asking, at the present numbers of queues and topics and the present intervals.",
            "currencyUSD",
            [(_sum("service, operation", series("aws_api_monthly_cost_dollars")), "{{service}} {{operation}}")],
        ),
        Panel(
            "Estimated cost of CloudWatch in 30 days",
            "By the rate of what is asked now, at $0.01 for 1,000 metrics.",
            "currencyUSD",
            [
                (f"{_sum('cluster', rate('cloudwatch_billable_metrics_total'))} * 2592000 * 0.00001", "{{cluster}}"),
                (_most("cluster", series("cloudwatch_monthly_budget_dollars")), "{{cluster}} budget"),
            ],
        ),
        Panel(
            "Series left out",
            "Beyond `max_series` of the cluster: they are known to the API, and not to Prometheus.",
            "short",
            [(_most(CS, series("collector_series_dropped")), "{{cluster}}")],
            thresholds=ANY_IS_POOR,
        ),
        Panel(
            "Configuration and history",
            "Whether the configuration was fine when it was read last, and minutes whose curves could not be written.",
            "short",
            [
                (f"min by (instance) (eventflow_config_last_reload_successful{{{PROCESS}}})", "{{instance}} is fine"),
                (f"sum by (instance) ({_NOT_WRITTEN})", "{{instance}} minutes not written"),
            ],
        ),
        Panel(
            "Memory",
            "Of the monitor's process.",
            "bytes",
            [(f"max by (instance) (process_resident_memory_bytes{{{PROCESS}}})", "{{instance}}")],
        ),
        Panel(
            "Processor",
            "Share of one core.",
            "percentunit",
            [
                (
                    f"sum by (instance) (rate(process_cpu_seconds_total{{{PROCESS}}}[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
        ),
        Panel(
            "Versions",
            "Which monitors there are.",
            "short",
            [
                (
                    f"max by (instance, version, python) (eventflow_build_info{{{PROCESS}}})",
                    "{{instance}}: {{version}}, Python {{python}}",
                )
            ],
            kind="stat",
            options={"textMode": "name"},
        ),
    ],
)

BOARDS = (OVERVIEW, KAFKA, RABBITMQ, AWS, DEAD_LETTERS, OBJECTIVES, MONITOR)
