"""What the flow does when a bus is away, when a dead letter has nowhere to go, and when it is told to end."""

import json
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from pika.spec import Queue

from examples.event_flow import inventory, notification, orders
from examples.event_flow.buses.kafka import KafkaConsumer
from examples.event_flow.flow import Flow, set_up
from examples.event_flow.handling import Pause
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Contact, Crew, Stop, Worker
from examples.event_flow.scenarios.books import Books
from examples.event_flow.scenarios.forwarding import Forwarder, through
from tests import waiting

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60.0


wait_for = partial(waiting.wait_for, seconds=DEADLINE_SECONDS)


def flow(buses: Endpoints, names: Names, store: Path) -> Flow:
    tally = Tally()
    return Flow(
        endpoints=buses,
        names=names,
        stop=Stop(),
        tally=tally,
        metrics=Metrics(tally),
        store=store,
        seed=secrets.randbits(32),
        orders_per_second=30.0,
        poison_share=0.0,
        flaky_share=0.0,
        work_seconds=0.0,
        first_redelivery_seconds=0,
    )


@contextmanager
def running(workers: list[Worker], of: Flow) -> Iterator[Crew]:
    crew = Crew(workers, of.stop, of.tally)
    crew.start()
    try:
        yield crew
    finally:
        assert crew.end()


def only(bus: str, workers: list[Worker]) -> list[Worker]:
    return [worker for worker in workers if worker.name.endswith((f"/{bus}", "/shop"))]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_bus_that_is_away_at_the_start_and_cut_later_loses_and_doubles_nothing(
    buses: Endpoints, names: Names, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "event_flow")
    port, target = free_port(), urlsplit(buses.amqp).port or 0
    consuming = flow(replace(buses, amqp=through(port, buses.amqp)), names, tmp_path)
    publishing = replace(consuming, stop=Stop())

    def notified() -> dict[str, int]:
        # The store and not the tally, which misses what was done and could not be acked before the cut.
        return Books(tmp_path).done("notification", "rabbitmq")

    with running(only("rabbitmq", notification.workers(consuming)), consuming):
        with running(only("rabbitmq", orders.workers(publishing)), publishing):
            wait_for(lambda: caplog.text.count("the bus is away") == 2, "both notice that the bus is away")
            with closing(Forwarder(port, target)):
                wait_for(lambda: caplog.text.count("the bus is back") == 2, "both work")
            wait_for(lambda: caplog.text.count("the bus is away") == 4, "both notice the cut")
            forwarder = Forwarder(port, target)
            wait_for(lambda: caplog.text.count("the bus is back") == 4, "both work again")
        published = consuming.tally.get("orders/rabbitmq", Outcome.PUBLISHED)
        wait_for(lambda: len(notified()) >= published, "everything has arrived")
    forwarder.close()
    assert len(notified()) == published > 0
    assert set(notified().values()) == {1}


def test_a_dead_letter_that_no_queue_takes_is_kept_until_one_does(
    buses: Endpoints, names: Names, tmp_path: Path
) -> None:
    consuming = flow(buses, names, tmp_path)
    queue, dead_letter_queue = names.queue("inventory"), names.dead_letter_queue("inventory")
    set_up("rabbitmq", buses, names)
    with (
        pika.BlockingConnection(pika.URLParameters(buses.amqp)) as connection,
        running(only("rabbitmq", inventory.workers(consuming)), consuming),
    ):
        channel = connection.channel()

        def declared(name: str) -> Queue.DeclareOk:
            return channel.queue_declare(name, passive=True).method

        wait_for(lambda: declared(queue).consumer_count, "the service consumes")
        channel.queue_unbind(dead_letter_queue, names.dead_letter_exchange, queue)
        channel.basic_publish("", queue, b"no event")
        wait_for(lambda: declared(dead_letter_queue).message_count == 1, "the dead letter")
        wait_for(lambda: declared(queue).message_count == 0, "the work queue is empty")
    assert consuming.tally.get("inventory/rabbitmq", Outcome.DEAD_LETTERED) == 1


def test_a_consumer_that_ends_in_the_middle_of_a_batch_has_committed_what_it_did(
    buses: Endpoints, names: Names, tmp_path: Path
) -> None:
    stop, handled = Stop(), 0

    def handle(payload: bytes, pause: Pause) -> Outcome:
        nonlocal handled
        handled += 1
        if handled == 3:
            stop.request()
        return Outcome.PROCESSED

    publishing = replace(flow(buses, names, tmp_path), orders=10)
    with running(only("kafka", orders.workers(publishing)), publishing) as crew:
        crew.wait(lambda: False)
    consumer = KafkaConsumer(buses, names, "ending", "classic", stop, Contact("ending/kafka"))
    with closing(consumer):
        consumer.run(handle, lambda outcome: None)
    reader: Consumer = Consumer({"bootstrap.servers": buses.kafka, "group.id": names.kafka_group("ending")})
    with closing(reader):
        committed = reader.committed([TopicPartition(names.kafka_topic, p) for p in range(6)], 5)
    assert sum(max(0, partition.offset) for partition in committed) == handled == 3


@contextmanager
def command(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    whole = [sys.executable, "-m", "examples.event_flow", *arguments]
    with subprocess.Popen(whole, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def endpoints_file(folder: Path, buses: Endpoints) -> str:
    path = folder / "endpoints.json"
    path.write_text(json.dumps({"kafka": buses.kafka, "rabbitmq": {"amqp": buses.amqp}, "aws": buses.aws}))
    return str(path)


def records_on(buses: Endpoints, topic: str) -> int:
    consumer: Consumer = Consumer({"bootstrap.servers": buses.kafka, "group.id": "unused", "log_level": 2})
    with closing(consumer), suppress(KafkaException):  # while the topic is not there yet
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), 5)[1] for p in range(6))
    return 0


def test_a_bounded_command_publishes_that_many_orders_and_ends(buses: Endpoints, names: Names, tmp_path: Path) -> None:
    before = records_on(buses, names.kafka_topic)
    file = endpoints_file(tmp_path, buses)
    with command("orders", "--endpoints", file, "--prefix", names.prefix, "--count", "7") as process:
        _, log = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, log
    assert "orders: aws 7 published, kafka 7 published, rabbitmq 7 published" in log
    assert records_on(buses, names.kafka_topic) == before + 7


def test_a_flow_with_a_bus_away_serves_the_others_and_ends_cleanly_on_sigterm(
    buses: Endpoints, names: Names, tmp_path: Path
) -> None:
    file = endpoints_file(tmp_path, replace(buses, aws=f"http://127.0.0.1:{free_port()}"))
    before = records_on(buses, names.kafka_dead_letter_topic)
    options = ("--endpoints", file, "--prefix", names.prefix, "--rate", "50", "--poison", "0.5")
    with command(*options) as process:
        wait_for(lambda: records_on(buses, names.kafka_dead_letter_topic) > before, "the flow works on Kafka")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, log
    assert "notification/aws: the bus is away" in log
    assert "Traceback" not in log
