"""From a real broker to metrics, API and command, through a monitor that runs as it does in production."""

import json
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stack.control import Stack
from tests.integration.app.running import ENDS_WITHIN_SECONDS, Process, eventflow, serving, wait_until
from tests.integration.kafka.playground import Playground


def sample(process: Process, family: str, **labels: str) -> float | None:
    """The value of the one sample with these labels among others, None where there is none."""
    text = process.get("/metrics").text
    found = [
        sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
        if sample.name == f"eventflow_{family}" and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_lag_is_the_same_in_metrics_api_and_command_and_ends_with_the_group(
    kafka: Playground, monitor: Process
) -> None:
    topic, group = kafka.topic("orders"), kafka.name("readers")
    kafka.produce(topic, 1000)
    kafka.commit(group, topic, 400)

    def lag() -> float | None:
        return sample(monitor, "kafka_consumer_group_lag_messages", group=group, topic=topic, partition="0")

    wait_until("a lag of 600", lambda: lag() == 600)
    assert sample(monitor, "subscription_backlog_messages", subscriber=group, destination=topic) == 600
    item = monitor.get(f"/api/v1/subscriptions/orders/{group}/{topic}").json()
    assert (item["backlog_messages"], item["system"], item["measured"]) == (600, "kafka", 1)
    told = json.loads(eventflow("status", "--json", "--url", monitor.url).stdout)
    (row,) = [row for row in told["subscriptions"] if row["id"] == f"orders/{group}/{topic}"]
    assert row["backlog_messages"] == 600

    kafka.commit(group, topic, 1000)
    wait_until("no lag", lambda: lag() == 0)
    kafka.delete_group(group)
    wait_until("its series are gone", lambda: group not in monitor.get("/metrics").text)
    assert monitor.get(f"/api/v1/subscriptions/orders/{group}/{topic}").status_code == 404


def test_a_frozen_broker_costs_only_itself_and_recovers(breakable: Stack, tmp_path: Path) -> None:
    kafka = Playground(breakable.endpoints.kafka)
    topic, group = kafka.topic("orders"), kafka.name("readers")
    kafka.produce(topic, 50)
    kafka.commit(group, topic, 10)
    config = f"""
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{breakable.endpoints.kafka}", interval: 1s, deadline: 2s}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{breakable.endpoints.aws}", interval: 1s}}
"""
    with serving(tmp_path, config) as monitor:
        seen: list[float | None] = []

        def lag() -> float | None:
            seen.append(sample(monitor, "subscription_backlog_messages", subscriber=group))
            return seen[-1]

        def is_up(cluster: str) -> float | None:
            return sample(monitor, "collector_up", cluster=cluster)

        wait_until("the lag", lambda: lag() == 40)
        breakable.freeze("kafka")
        wait_until("the collector is down", lambda: lag() is not None and is_up("orders") == 0)
        wait_until("its series are gone", lambda: lag() is None)
        success = "collector_last_success_timestamp_seconds"
        before = sample(monitor, success, cluster="aws") or 0.0
        wait_until("the other cluster goes on", lambda: (sample(monitor, success, cluster="aws") or 0.0) > before)
        breakable.thaw("kafka")
        wait_until("the lag is back", lambda: lag() == 40)
        assert is_up("orders") == 1
        assert set(seen) <= {40.0, None}, "no lag turned into 0, or anything else"
        assert monitor.end()[0] == 0


def test_the_monitor_ends_in_time_while_a_broker_hangs(breakable: Stack, tmp_path: Path) -> None:
    config = f"""
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{breakable.endpoints.kafka}", interval: 1s, deadline: 30s}}
"""
    with serving(tmp_path, config) as monitor:
        monitor.wait_until_ready()
        breakable.freeze("kafka")
        before = sample(monitor, "collector_last_success_timestamp_seconds", cluster="orders")
        missed = "a cycle hangs"
        wait_until(missed, lambda: (sample(monitor, "collector_missed_runs_total", cluster="orders") or 0) > 0)
        code, seconds = monitor.end()
        assert (code, before is not None) == (0, True)
        assert seconds < ENDS_WITHIN_SECONDS
        breakable.thaw("kafka")


def test_metrics_are_served_plain_and_compressed_with_the_same_content(monitor: Process) -> None:
    plain = httpx.get(f"{monitor.url}/metrics", headers={"Accept-Encoding": "identity"}, trust_env=False)
    packed = httpx.get(f"{monitor.url}/metrics", headers={"Accept-Encoding": "gzip"}, trust_env=False)
    assert packed.headers["content-encoding"] == "gzip"
    families = [{f.name for f in text_string_to_metric_families(answer.text)} for answer in (plain, packed)]
    assert families[0] == families[1]
    assert "eventflow_collector_up" in families[0]
