"""Alerts arrive: a real broker, the monitor, Prometheus, Alertmanager, a webhook. Waits are a fiftieth.

`make soak NAME=alerts` provokes all others that can be, and prints how long each takes.
"""

import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from stack.state import Endpoints
from tests.alerts.live import alerting
from tests.integration.app.running import serving, wait_until


@pytest.fixture
def channel(endpoints: Endpoints) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(endpoints.rabbitmq.amqp))
    yield connection.channel()
    connection.close()


@pytest.fixture
def queue(channel: BlockingChannel) -> Iterator[str]:
    """A queue whose rejected messages go to a dead-letter queue."""
    name = f"alerts-{secrets.token_hex(4)}"
    channel.queue_declare(f"{name}.dlq", durable=True)
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.dlq"}
    channel.queue_declare(name, durable=True, arguments=dead)
    yield name
    for it in (name, f"{name}.dlq"):
        channel.queue_delete(it)


def test_alerts_arrive_are_told_once_and_resolve(
    endpoints: Endpoints, channel: BlockingChannel, queue: str, tmp_path: Path
) -> None:
    rabbit = endpoints.rabbitmq
    config = f"""
clusters:
  - name: mail
    kind: rabbitmq
    amqp_url: "{rabbit.amqp}"
    management_url: "{rabbit.management}"
    prometheus_url: "{rabbit.prometheus}"
    interval: 1s
    queues: {{include: ["{queue}*"]}}
objectives:
  - {{subscription: "mail/{queue}", max_age: 1s, target: 99%}}
owners:
  - {{match: "mail/{queue}", team: postmen}}
"""
    with serving(tmp_path, config) as monitor, alerting(tmp_path, monitor.url) as live:
        monitor.wait_until_ready()
        webhook = live.webhook
        wait_until("the watchdog calls the dead man", lambda: webhook.find("dead-man", "firing", "EventflowWatchdog"))
        # On a busy machine a collector may be late; nothing else is wrong yet.
        assert {it for it in webhook.names() if "Collector" not in it} == {"EventflowWatchdog"}

        begun = time.monotonic()
        for _ in range(3):
            channel.basic_publish("", queue, b"letter")
        method, _, _ = channel.basic_get(queue)
        assert method
        assert method.delivery_tag
        channel.basic_reject(method.delivery_tag, requeue=False)
        dead = wait_until(
            "dead letters are told",
            lambda: webhook.find("warnings", "firing", "EventflowDeadLettersArriving", queue=f"{queue}.dlq"),
        )
        print(f"EventflowDeadLettersArriving after {time.monotonic() - begun:.1f} s")
        late = wait_until(
            "the late subscription is told",
            lambda: webhook.find("critical", "firing", "EventflowAgeOverObjective", subscriber=queue),
            60,
        )
        print(f"EventflowAgeOverObjective after {time.monotonic() - begun:.1f} s")
        assert late["labels"]["owner"] == "postmen"
        assert queue in late["annotations"]["summary"]
        assert dead["annotations"]["description"].startswith("About ")
        grouped = [set(body["groupLabels"]) for _, path, body in webhook.arrived if path == "critical"]
        assert all(labels <= {"alertname", "system", "cluster"} for labels in grouped)

        channel.queue_purge(queue)
        wait_until("it resolves", lambda: webhook.find("critical", "resolved", "EventflowAgeOverObjective"), 60)

        monitor.popen.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        wait_until("the monitor is missed", lambda: webhook.find("critical", "firing", "EventflowMonitorAbsent"), 60)
        print(f"EventflowMonitorAbsent after {time.monotonic() - begun:.1f} s")
        wait_until("its collector is missed as well", lambda: live.fires("EventflowCollectorMissing", {}), 60)
        monitor.popen.send_signal(signal.SIGCONT)
        wait_until("the monitor is back", lambda: webhook.find("critical", "resolved", "EventflowMonitorAbsent"), 60)
        # It fired all the time, and nobody was told: what explains it had been told.
        assert "EventflowCollectorMissing" not in webhook.names()
