"""Names, types and labels that rules, dashboards and scripts outside of the code rely on. Add to them, change none."""

import pytest

from monitor.errors import REASONS
from monitor.exposition.families import BY_NAME, FAMILIES
from monitor.model import AgeMethod, Problem, Status

SUBSCRIPTION = "system cluster destination subscriber"
DEAD_LETTER = "system cluster queue"
GROUP_PARTITION = "cluster group topic partition"
GROUP_TOPIC = "cluster group topic"
PARTITION = "cluster topic partition"
RABBIT_QUEUE = "cluster vhost queue"
SQS_QUEUE = "cluster queue"
SNS_TOPIC = "cluster topic"
COLLECTOR = "cluster system"
API_CALL = "cluster service operation"

PINNED = {
    "subscription_backlog_messages": ("gauge", SUBSCRIPTION),
    "subscription_oldest_age_seconds": ("gauge", SUBSCRIPTION),
    "subscription_in_flight_messages": ("gauge", SUBSCRIPTION),
    "subscription_consumers": ("gauge", SUBSCRIPTION),
    "subscription_drain_seconds": ("gauge", SUBSCRIPTION),
    "subscription_published_messages_total": ("counter", SUBSCRIPTION),
    "subscription_consumed_messages_total": ("counter", SUBSCRIPTION),
    "subscription_status": ("gauge", f"{SUBSCRIPTION} status"),
    "subscription_abandoned": ("gauge", SUBSCRIPTION),
    "subscription_info": ("gauge", f"{SUBSCRIPTION} owner age_method"),
    "subscription_objective_age_seconds": ("gauge", SUBSCRIPTION),
    "subscription_objective_seconds_total": ("counter", f"{SUBSCRIPTION} outcome"),
    "dead_letter_messages": ("gauge", DEAD_LETTER),
    "dead_letter_oldest_age_seconds": ("gauge", DEAD_LETTER),
    "dead_letter_retention_seconds": ("gauge", DEAD_LETTER),
    "dead_letter_expiry_timestamp_seconds": ("gauge", DEAD_LETTER),
    "dead_letter_arrivals_total": ("counter", DEAD_LETTER),
    "dead_letter_info": ("gauge", f"{DEAD_LETTER} origin found_by"),
    "dead_letter_problem": ("gauge", f"{DEAD_LETTER} problem"),
    "kafka_consumer_group_lag_messages": ("gauge", GROUP_PARTITION),
    "kafka_consumer_group_lag_seconds": ("gauge", GROUP_PARTITION),
    "kafka_consumer_group_committed_offset": ("gauge", GROUP_PARTITION),
    "kafka_consumer_group_topic_partitions_expected": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_topic_partitions_measured": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_members": ("gauge", "cluster group"),
    "kafka_consumer_group_state": ("gauge", "cluster group state"),
    "kafka_consumer_group_info": ("gauge", "cluster group type"),
    "kafka_partition_start_offset": ("gauge", PARTITION),
    "kafka_partition_end_offset": ("gauge", PARTITION),
    "kafka_partition_last_stable_offset": ("gauge", PARTITION),
    "kafka_partition_leader_available": ("gauge", PARTITION),
    "kafka_partition_replicas": ("gauge", PARTITION),
    "kafka_partition_in_sync_replicas": ("gauge", PARTITION),
    "kafka_consumer_group_unread_lost_messages_total": ("counter", GROUP_TOPIC),
    "kafka_consumer_group_rewinds_total": ("counter", GROUP_TOPIC),
    "kafka_consumer_group_retention_margin_ratio": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_time_to_loss_seconds": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_unowned_lagging_partitions": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_idle_members": ("gauge", "cluster group"),
    "kafka_consumer_group_state_changes_total": ("counter", "cluster group"),
    "kafka_consumer_group_rebalances_total": ("counter", "cluster group"),
    "kafka_consumer_group_partitions_ahead_of_log": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_hottest_partition_lag_ratio": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_last_advance_timestamp_seconds": ("gauge", GROUP_TOPIC),
    "kafka_consumer_group_stable_lag_messages": ("gauge", GROUP_PARTITION),
    "kafka_partition_open_transaction_seconds": ("gauge", PARTITION),
    "kafka_topic_consumer_groups": ("gauge", "cluster topic"),
    "kafka_probe_round_trip_seconds": ("gauge", "cluster broker"),
    "kafka_probe_commit_seconds": ("gauge", "cluster"),
    "kafka_probe_messages_total": ("counter", "cluster broker outcome"),
    "kafka_probe_last_round_timestamp_seconds": ("gauge", "cluster"),
    "rabbitmq_queue_messages_ready": ("gauge", RABBIT_QUEUE),
    "rabbitmq_queue_messages_unacked": ("gauge", RABBIT_QUEUE),
    "rabbitmq_queue_messages_bytes": ("gauge", RABBIT_QUEUE),
    "rabbitmq_queue_consumers": ("gauge", RABBIT_QUEUE),
    "rabbitmq_queue_published_total": ("counter", RABBIT_QUEUE),
    "rabbitmq_queue_delivered_total": ("counter", RABBIT_QUEUE),
    "rabbitmq_queue_acked_total": ("counter", RABBIT_QUEUE),
    "rabbitmq_queue_redelivered_total": ("counter", RABBIT_QUEUE),
    "rabbitmq_queue_info": ("gauge", f"{RABBIT_QUEUE} type role dlx policy"),
    "rabbitmq_dead_lettered_total": ("counter", "cluster reason strategy queue_type"),
    "rabbitmq_unroutable_total": ("counter", "cluster outcome"),
    "rabbitmq_node_alarm": ("gauge", "cluster node alarm"),
    "rabbitmq_queue_consumer_capacity_ratio": ("gauge", RABBIT_QUEUE),
    "rabbitmq_queue_redelivery_ratio": ("gauge", RABBIT_QUEUE),
    "rabbitmq_publishers_blocked": ("gauge", "cluster"),
    "sqs_queue_messages_visible": ("gauge", SQS_QUEUE),
    "sqs_queue_messages_in_flight": ("gauge", SQS_QUEUE),
    "sqs_queue_messages_delayed": ("gauge", SQS_QUEUE),
    "sqs_queue_retention_seconds": ("gauge", SQS_QUEUE),
    "sqs_queue_visibility_timeout_seconds": ("gauge", SQS_QUEUE),
    "sqs_queue_max_receive_count": ("untyped", SQS_QUEUE),
    "sqs_queue_in_flight_quota": ("gauge", SQS_QUEUE),
    "sqs_queue_oldest_message_age_seconds": ("gauge", SQS_QUEUE),
    "sqs_queue_sent_total": ("counter", SQS_QUEUE),
    "sqs_queue_received_total": ("counter", SQS_QUEUE),
    "sqs_queue_deleted_total": ("counter", SQS_QUEUE),
    "sqs_queue_empty_receives_total": ("counter", SQS_QUEUE),
    "sqs_queue_info": ("gauge", f"{SQS_QUEUE} fifo role dlq"),
    "sns_topic_published_total": ("counter", SNS_TOPIC),
    "sns_topic_delivered_total": ("counter", SNS_TOPIC),
    "sns_topic_failed_total": ("counter", SNS_TOPIC),
    "sns_topic_filtered_out_total": ("counter", f"{SNS_TOPIC} reason"),
    "redrive_messages_total": ("counter", "system cluster source target outcome"),
    "redrive_jobs": ("gauge", "state"),
    "sns_topic_redriven_to_dlq_total": ("counter", SNS_TOPIC),
    "sns_topic_failed_to_redrive_total": ("counter", SNS_TOPIC),
    "sns_subscription_info": ("gauge", f"{SNS_TOPIC} protocol endpoint has_dlq"),
    "collector_up": ("gauge", COLLECTOR),
    "collector_last_success_timestamp_seconds": ("gauge", COLLECTOR),
    "collector_interval_seconds": ("gauge", COLLECTOR),
    "collector_series": ("gauge", COLLECTOR),
    "collector_series_dropped": ("gauge", COLLECTOR),
    "collector_errors_total": ("counter", f"{COLLECTOR} reason"),
    "collector_missed_runs_total": ("counter", COLLECTOR),
    "collector_duration_seconds": ("histogram", COLLECTOR),
    "aws_api_requests_total": ("counter", API_CALL),
    "aws_api_throttled_total": ("counter", API_CALL),
    "aws_api_monthly_cost_dollars": ("gauge", API_CALL),
    "cloudwatch_billable_metrics_total": ("counter", "cluster"),
    "cloudwatch_newest_datapoint_timestamp_seconds": ("gauge", "cluster"),
    "cloudwatch_pace_seconds": ("gauge", "cluster"),
    "build_info": ("gauge", "version python"),
    "config_last_reload_successful": ("gauge", ""),
    "config_last_reload_success_timestamp_seconds": ("gauge", ""),
}


@pytest.mark.parametrize("name", PINNED)
def test_a_family_keeps_its_type_and_labels(name: str) -> None:
    kind, labels = PINNED[name]

    assert BY_NAME[name].full_name == f"eventflow_{name}"
    assert (BY_NAME[name].kind, set(BY_NAME[name].labels)) == (kind, set(labels.split()))


def test_families_of_one_bus_leave_system_out() -> None:
    for family in FAMILIES:
        if family.name.split("_")[0] in ("kafka", "rabbitmq", "sqs", "sns", "aws", "cloudwatch"):
            assert "system" not in family.labels


def test_label_values_that_rules_select_by_stay() -> None:
    assert set(Status) == {"ok", "lagging", "stalled", "stopped", "rewound", "losing", "unknown"}
    assert set(Problem) == {
        "none_configured",
        "target_missing",
        "retention_too_short",
        "not_allowed",
        "other_region",
        "drops_everything",
    }
    assert {"exact", "interpolated", "reported", "unknown"} <= set(AgeMethod)
    assert {"unreachable", "timeout", "authentication", "forbidden", "internal"} <= set(REASONS)
