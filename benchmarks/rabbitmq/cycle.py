"""Times the RabbitMQ collector's cycles on many queues, source by source.

    python -m benchmarks.rabbitmq.cycle --amqp URL --management URL --prometheus URL [--queues 5000] [--cycles 6]

Half of the queues have a consumer, each holds a message, all share fifty dead-letter queues. They are made in a virtual
host of their own, which is removed at the end. Beside the cycles stand the same pages asked for with nothing done with
them: what the broker itself takes.
"""

import argparse
import contextlib
import resource
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx
import pika
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.clock import Clock
from monitor.config import Filter, RabbitCluster
from monitor.model import Snapshot

_DEADLINE = 120.0
_DEAD_LETTER_QUEUES = 50
_CHANNELS = 10
_PAUSE_SECONDS = 2.0
_SETTLING_SECONDS = 60.0
_PAGES = {
    "plugin's page": "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics",
    "API's list": "/api/queues?columns=vhost,name,messages_ready,message_stats.publish",
}


@dataclass(frozen=True)
class Broker:
    """Addresses of one node, credentials within."""

    amqp: str
    management: str
    prometheus: str


def main() -> None:
    """Print a table of cycles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("amqp", "management", "prometheus"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--queues", type=int, default=5_000)
    parser.add_argument("--cycles", type=int, default=6)
    asked = parser.parse_args()
    broker = Broker(asked.amqp, asked.management, asked.prometheus)
    table = Table(title=f"{asked.queues:,} queues")
    for heading in ("source", "first s", "best s", "median s", "worst s", "processor s", "queues", "peak MB"):
        table.add_column(heading, justify="left" if heading == "source" else "right", no_wrap=True)
    with many_queues(broker, asked.queues) as (vhost, names):
        wait_until_told(broker, vhost, asked.queues)
        for title, config in configurations(broker, vhost, names).items():
            table.add_row(title, *time_cycles(config, asked.cycles))
        for title, row in time_pages(broker, asked.cycles):
            table.add_row(f"[dim]{title} alone", *row)
    Console(width=100).print(table)


@contextlib.contextmanager
def many_queues(broker: Broker, count: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Make a virtual host with so many queues, and remove it at the end."""
    vhost = f"bench-{secrets.token_hex(4)}"
    names = [f"work.queue-{number:05d}" for number in range(count - _DEAD_LETTER_QUEUES)]
    user = urlsplit(broker.management).username
    with httpx.Client(base_url=broker.management, trust_env=False, timeout=_DEADLINE) as admin:
        admin.put(f"/api/vhosts/{vhost}").raise_for_status()
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        admin.put(f"/api/permissions/{vhost}/{quote(user or '')}", json=rights).raise_for_status()
        try:
            with consuming(broker, vhost, names):
                yield vhost, [*names, *dead_letter_names()]
        finally:
            admin.delete(f"/api/vhosts/{vhost}").raise_for_status()


@contextlib.contextmanager
def consuming(broker: Broker, vhost: str, names: Sequence[str]) -> Iterator[None]:
    """Declare and fill the queues, and hold a consumer on every second one."""
    parameters = pika.URLParameters(broker.amqp)
    parameters.virtual_host, parameters.heartbeat = vhost, 0
    with pika.BlockingConnection(parameters) as connection:
        channels = [connection.channel() for _ in range(_CHANNELS)]
        fill(channels[0], names)
        for number, name in enumerate(names[::2]):
            channel = channels[number % _CHANNELS]
            channel.basic_consume(name, lambda *_: None)
        done = threading.Event()
        serving = threading.Thread(target=_serve, args=(connection, done))
        serving.start()
        try:
            yield
        finally:
            done.set()
            serving.join()


def fill(channel: pika.adapters.blocking_connection.BlockingChannel, names: Sequence[str]) -> None:
    """Declare the queues, bind their dead-letter queues, and put a message into each."""
    channel.exchange_declare("dlx", durable=True)
    for dead in dead_letter_names():
        channel.queue_declare(dead, durable=True)
        channel.queue_bind(dead, "dlx", dead)
    for number, name in enumerate(names):
        dead = f"dead-{number % _DEAD_LETTER_QUEUES}"
        arguments = {"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": dead}
        channel.queue_declare(name, durable=True, arguments=arguments)
        channel.basic_publish("", name, b"x" * 100)


def dead_letter_names() -> Sequence[str]:
    """Return the names of the dead-letter queues."""
    return [f"dead-{number}" for number in range(_DEAD_LETTER_QUEUES)]


def _serve(connection: pika.BlockingConnection, done: threading.Event) -> None:
    while not done.is_set():
        connection.process_data_events(time_limit=1)


def wait_until_told(broker: Broker, vhost: str, count: int) -> None:
    """Wait until the broker tells of all queues: it does so some seconds after they were made."""
    config = RabbitCluster(
        name="bench", kind="rabbitmq", prometheus_url=SecretStr(broker.prometheus), vhosts=Filter(include=[vhost])
    )
    end = time.monotonic() + _SETTLING_SECONDS
    with contextlib.closing(RabbitCollector(config, (), Clock())) as collector:
        while collector.collect(time.monotonic() + _DEADLINE).measured < count:
            if time.monotonic() > end:
                raise SystemExit(f"the broker does not tell of all queues within {_SETTLING_SECONDS:g} s")
            time.sleep(1.0)


def configurations(broker: Broker, vhost: str, names: Sequence[str]) -> dict[str, RabbitCluster]:
    """Return a configuration for each choice of sources."""
    plugin, management = SecretStr(broker.prometheus), SecretStr(broker.management)
    base = RabbitCluster(name="bench", kind="rabbitmq", prometheus_url=plugin, vhosts=Filter(include=[vhost]))
    named = Filter(include=list(names))
    return {
        "plugin and API": base.model_copy(update={"management_url": management}),
        "plugin": base,
        "API": base.model_copy(update={"prometheus_url": None, "management_url": management}),
        "AMQP": base.model_copy(update={"prometheus_url": None, "amqp_url": SecretStr(broker.amqp), "queues": named}),
    }


def time_cycles(config: RabbitCluster, cycles: int) -> Sequence[str]:
    """Run cycles of one collector and put their figures into words. The first one connects and learns the names."""
    walls, processors = [], []
    with contextlib.closing(RabbitCollector(config, (), Clock())) as collector:
        for _ in range(cycles + 1):
            wall, processor = time.perf_counter(), time.process_time()
            snapshot = collector.collect(time.monotonic() + _DEADLINE)
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
            check(snapshot)
            time.sleep(_PAUSE_SECONDS)
    processor = statistics.median(processors[1:])
    return (*tell(walls), f"{processor:.2f}", f"{snapshot.measured:,}", f"{peak_megabytes():.0f}")


def check(snapshot: Snapshot) -> None:
    """Stop when a cycle did not do what is timed."""
    if snapshot.errors or snapshot.measured < snapshot.expected:
        raise SystemExit(f"only {snapshot.measured} of {snapshot.expected} queues: {snapshot.errors}")


def time_pages(broker: Broker, times: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Ask for the pages of the broker and do nothing with them."""
    bases = {"plugin's page": broker.prometheus, "API's list": broker.management}
    for title, path in _PAGES.items():
        with httpx.Client(base_url=bases[title], trust_env=False, timeout=_DEADLINE) as client:
            walls = [timed(lambda client=client, path=path: client.get(path)) for _ in range(times + 1)]  # type: ignore[misc]
        yield title, (*tell(walls), "", "", "")


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def tell(walls: Sequence[float]) -> Sequence[str]:
    """Put the first, and the best, the median and the worst of the later times into words."""
    later = walls[1:]
    return tuple(f"{seconds:.2f}" for seconds in (walls[0], min(later), statistics.median(later), max(later)))


def peak_megabytes() -> float:
    """Return the largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
