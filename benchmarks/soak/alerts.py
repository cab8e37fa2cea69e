"""Alerts provoked on real brokers, and how long each takes to arrive, over real Prometheus and Alertmanager.

    python -m benchmarks.soak alerts

Everything that can be provoked side by side is, then brokers are broken one after another, and at last the monitor. The
waits of the rules are shortened as by `eventflow rules --time-scale`; the last column puts the real ones back. It takes
a quarter of an hour, most of it for the ten minutes after which a consumer counts as stalled.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.soak import rabbitmq_redrive as rabbitmq
from benchmarks.soak.grounds import ENVIRONMENT
from benchmarks.soak.mischief import (
    Expected,
    OnKafka,
    OnRabbitmq,
    OnSns,
    OnSqs,
    Trouble,
    busy_aws,
    refuse_fewer_replicas,
)
from monitor.config.clusters.kafka import KAFKA_PROBE_TOPIC
from stack.control import Stack
from stack.ports import reserve_ports
from stack.state import Endpoints, Options
from tests.alerts.live import GROUP_WAIT_SECONDS, SHORTER_SCALES, TIME_SCALE, Alerting, alerting
from tests.alerts.promql import read_rules
from tests.integration.aws.conftest import REGION, Aws, open_aws
from tests.integration.kafka.link import Link
from tests.integration.kafka.playground import Playground
from tests.integration.rabbitmq.nodes import ControlledNode, node_of
from tests.integration.redrive.server import Server, running
from tests.waiting import wait_for

_PATIENCE_SECONDS = 1_200.0
_LOOK_SECONDS = 0.1
_INTERVAL = "2s"
_ALL = _KAFKA, _MAIL, _CUT, _TORN, _SLOW, _SHOP, _QUIET, _BUSY = (
    "orders", "mail", "cut", "torn", "slow", "shop", "quiet", "busy",
)  # fmt: skip
_LATE_INTERVAL = "1500ms"
"""Two thirds of what the slow cluster's cycles take: each second one is missed, and none is so late as to be stale."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Told:
    """An alert, and after how many seconds it arrived or, where another is told `instead`, fired; None: never."""

    what: str
    expected: Expected
    seconds: float | None
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Brokers, what is on them, and the monitor that watches."""

    stack: Stack
    node: ControlledNode
    kafka: Playground
    vhost: str
    aws: Aws
    link: Link
    server: Server
    live: Alerting
    began: float


def main() -> int:
    """Print the table; return 1 when an alert did not come."""
    with _place() as place:
        told = [
            *_side_by_side(place), *_from_the_beginning(place), *_blocked(place), *_frozen_kafka(place),
            *_frozen_rabbitmq(place), *_no_monitor(place),
        ]  # fmt: skip
    table = Table("alert", "provoked by", "arrived after", "kept quiet by", "with real waits")
    for it in sorted(told, key=lambda it: it.expected.alert):
        seconds = ("never", "") if it.seconds is None else (f"{it.seconds:.1f} s", f"{_with_real_waits(it):.0f} s")
        table.add_row(it.expected.alert, it.what, seconds[0], it.instead, seconds[1])
    Console(width=180).print(table)
    came = {it.expected.alert for it in told if it.seconds is not None}
    Console().print(f"{len(came)} of {len(_RULES)} alerts came; waits of rules times {TIME_SCALE:g}")
    return int(any(it.seconds is None for it in told))


_RULES = {rule["alert"]: rule for rule in read_rules() if "alert" in rule}


def _with_real_waits(told: Told) -> float:
    """Put the rule's own wait, the time that it looks back on, and Alertmanager's wait in the place of short ones."""
    rule = _RULES[told.expected.alert]
    waits = _seconds(rule.get("for", "0s")) + told.expected.span_seconds
    grouping = _seconds({"critical": "10s", "none": "0s"}.get(rule["labels"]["severity"], "30s")) - GROUP_WAIT_SECONDS
    scale = SHORTER_SCALES.get(told.expected.alert, TIME_SCALE)
    return (told.seconds or 0.0) + (1 - scale) * waits + (0 if told.instead else grouping)


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * _UNITS[duration[-1]]


# -- what happens -----------------------------------------------------------------------------------------------------


def _side_by_side(place: Place) -> list[Told]:
    with ExitStack() as stack:
        kafka = OnKafka(place.kafka, place.server, _KAFKA, stack)
        mail = OnRabbitmq(place.stack.endpoints.rabbitmq, place.vhost, _MAIL, stack)
        sqs, sns = OnSqs(place.aws, _SHOP), OnSns(place.aws, _SHOP, stack)
        troubles = [
            kafka.stalled(), kafka.stopped(), kafka.late(), kafka.lagging(), kafka.lost(), kafka.rewound(),
            kafka.unowned(), kafka.uncommitted(), kafka.looping(), kafka.refused(), kafka.expiring(), kafka.seldom(),
            mail.stopped(), mail.held(), mail.storm(), mail.dropped(), mail.unroutable(), mail.misconfigured(),
            mail.dying(), mail.interrupted(place.server, place.link, _CUT), sqs.expiring(), sqs.lying(),
            sns.undeliverable(), sns.unreadable(), sns.silent(_QUIET),
        ]  # fmt: skip
        return _provoke(place.live, troubles)


def _from_the_beginning(place: Place) -> list[Told]:
    """Return what the place itself brings about."""
    already = [
        ("a source that does not answer", Expected("EventflowCollectorErrors", {"cluster": _TORN})),
        (
            "an AWS that throttles every other call (a fake)",
            Expected("EventflowAwsThrottled", {"cluster": _BUSY}, 900.0),
        ),
        ("a queue with 110,000 in flight (a fake)", Expected("EventflowSqsInFlightQuota", {"cluster": _BUSY})),
        ("a broker that answers too slowly", Expected("EventflowCollectorLate", {"cluster": _SLOW}, 900.0)),
        ("nothing: it always fires", Expected("EventflowWatchdog", {})),
    ]
    troubles = [Trouble(what, lambda: None, [expected]) for what, expected in already]
    return _provoke(place.live, troubles, since=place.began)


def _blocked(place: Place) -> list[Told]:
    def set_limit(share: str) -> None:
        place.node.control("rabbitmqctl", "set_vm_memory_high_watermark", share).check_returncode()

    expected = Expected("EventflowRabbitmqPublishersBlocked", {"cluster": _MAIL, "alarm": "memory"})
    told = _provoke(place.live, [Trouble("too little memory for RabbitMQ", lambda: set_limit("0.00001"), [expected])])
    set_limit("0.4")
    _wait_until_resolved(place.live, expected)
    return told


def _frozen_kafka(place: Place) -> list[Told]:
    topic = place.kafka.topic("alone", replicas=1, partitions=3)  # one of them on each broker
    strict = place.kafka.topic("strict", config={"min.insync.replicas": "3"})
    place.kafka.produce(topic, 1)
    # Where a leader hangs another one leads soon, and takes what the probe sends, unless it wants all replicas.
    refuse_fewer_replicas(place.kafka, KAFKA_PROBE_TOPIC, 3)
    missing = Expected("EventflowKafkaBrokersMissing", {"cluster": _KAFKA})
    alerts = [
        missing,
        Expected("EventflowKafkaUnderReplicated", {"topic": strict}, explained_by=missing.alert),
        Expected("EventflowKafkaUnderMinIsr", {"topic": strict}),
        Expected("EventflowKafkaPartitionsOffline", {"topic": topic}),
        Expected("EventflowKafkaProbeFailing", {"cluster": _KAFKA}),
    ]
    trouble = Trouble("one of three Kafka brokers hangs", partial(place.stack.freeze, "kafka-3"), alerts)
    told = _provoke(place.live, [trouble])
    place.stack.thaw("kafka-3")
    _wait_until_resolved(place.live, missing)
    return told


def _frozen_rabbitmq(place: Place) -> list[Told]:
    expected = Expected("EventflowCollectorStale", {"cluster": _MAIL})
    told = _provoke(place.live, [Trouble("RabbitMQ hangs", partial(place.stack.freeze, "rabbitmq"), [expected])])
    place.stack.thaw("rabbitmq")
    _wait_until_resolved(place.live, expected)
    return told


def _no_monitor(place: Place) -> list[Told]:
    absent = Expected("EventflowMonitorAbsent", {})
    missing = Expected("EventflowCollectorMissing", {"cluster": _MAIL}, explained_by=absent.alert)
    stop = partial(os.kill, place.server.pid, signal.SIGSTOP)
    told = _provoke(place.live, [Trouble("the monitor hangs", stop, [absent, missing])])
    os.kill(place.server.pid, signal.SIGCONT)
    _wait_until_resolved(place.live, absent)
    return told


def _provoke(live: Alerting, troubles: Sequence[Trouble], since: float | None = None) -> list[Told]:
    """Begin everything, and wait for all alerts. What began earlier is counted from `since`."""
    awaited: list[tuple[Trouble, Expected, float]] = []
    for trouble in troubles:
        begun = time.monotonic() if since is None else since
        trouble.begin()
        awaited += [(trouble, expected, begun) for expected in trouble.alerts]
    told: list[Told] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while awaited and time.monotonic() < deadline:
        firing = live.firing()
        for item in list(awaited):
            trouble, expected, begun = item
            moment = _came(live, expected, firing, begun)
            if moment is not None:
                awaited.remove(item)
                told.append(Told(trouble.what, expected, moment - begun))
                print(f"{expected.alert}: {moment - begun:.1f} s ({trouble.what})", file=sys.stderr)
        time.sleep(_LOOK_SECONDS)
    time.sleep(2 * GROUP_WAIT_SECONDS)  # what is told beside that which explains it has arrived by now
    told += [Told(trouble.what, expected, None) for trouble, expected, _ in awaited]
    return [replace(it, instead="" if _arrival(live, it.expected) else it.expected.explained_by) for it in told]


def _came(live: Alerting, expected: Expected, firing: Sequence[Mapping[str, str]], begun: float) -> float | None:
    """Return when an alert arrived; of one that another explains, that it fires now."""
    wanted = {"alertname": expected.alert, **expected.labels}.items()
    fires = expected.explained_by and any(wanted <= labels.items() for labels in firing)
    return _arrival(live, expected, begun) or (time.monotonic() if fires else None)


def _arrival(live: Alerting, expected: Expected, since: float = 0.0) -> float | None:
    return live.webhook.arrival("firing", expected.alert, expected.labels, since)


def _wait_until_resolved(live: Alerting, expected: Expected) -> None:
    since = time.monotonic()

    def is_over() -> bool:
        # What is inhibited when it ends, as by a collector that is stale for a moment, is not told to have ended.
        told = live.webhook.arrival("resolved", expected.alert, expected.labels, since)
        return told is not None or not live.fires(expected.alert, expected.labels)

    wait_for(is_over, f"the end of {expected.alert}", _PATIENCE_SECONDS)


# -- where it happens -------------------------------------------------------------------------------------------------


@contextmanager
def _place() -> Iterator[Place]:
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        stack = Stack(folder / "stack", Options(kafka_brokers=3))
        exits.callback(stack.stop)
        endpoints = stack.start()
        kafka = Playground(endpoints.kafka)
        vhost = exits.enter_context(rabbitmq.virtual_host(endpoints.rabbitmq))
        aws = exits.enter_context(open_aws(endpoints.aws))
        ports = reserve_ports(["amqp", "slow"], folder)
        link = Link(ports["amqp"], _port(endpoints.rabbitmq.amqp))
        slow = Link(ports["slow"], _port(endpoints.rabbitmq.management))
        exits.callback(slow.close)
        slow.delay_seconds = 0.3
        busy = exits.enter_context(busy_aws())
        clusters = _clusters(endpoints, kafka, vhost, aws, link, slow) + _fake_cluster(busy.url)
        server = Server(folder, clusters, ENVIRONMENT, _objectives(kafka.prefix))
        exits.enter_context(running(server))
        wait_for(lambda: len(server.client.collectors()) == len(_ALL), "all collectors", 60)
        began = time.monotonic()
        live = exits.enter_context(alerting(folder, server.url, scrape_seconds=2))
        yield Place(stack, node_of(stack), kafka, vhost, aws, link, server, live, began)


def _port(address: str) -> int:
    return urlsplit(address).port or 0


def _clusters(endpoints: Endpoints, kafka: Playground, vhost: str, aws: Aws, link: Link, slow: Link) -> str:
    """Return the configuration: each bus, and RabbitMQ thrice more over addresses that have something wrong."""
    where = endpoints.rabbitmq
    own = f'{{include: ["{kafka.prefix}*"]}}'
    queues = f'{{include: ["{aws.prefix}*"]}}'
    rabbit = f"kind: rabbitmq, interval: {_INTERVAL}, vhosts: {{include: [{vhost}]}}"
    cut, late = _moved(where.amqp, link.port), _moved(where.management, slow.port)
    return f"""
  - {{name: {_KAFKA}, kind: kafka, bootstrap_servers: "{endpoints.kafka}", interval: {_INTERVAL},
     topics: {own}, groups: {own}, probe: {{interval: 1s, timeout: 1s}}, redrive: {{}}}}
  - {{name: {_MAIL}, {rabbit}, management_url: "{where.management}", prometheus_url: "{where.prometheus}"}}
  - {{name: {_CUT}, {rabbit}, amqp_url: "{cut}", management_url: "{where.management}", redrive: {{}}}}
  - {{name: {_TORN}, {rabbit}, management_url: "{where.management}", prometheus_url: "http://127.0.0.1:9"}}
  - {{name: {_SLOW}, {rabbit.replace(_INTERVAL, _LATE_INTERVAL)}, management_url: "{late}"}}
  - {{name: {_SHOP}, kind: aws, region: {REGION}, endpoint_url: "{endpoints.aws}", interval: {_INTERVAL},
     queues: {queues}, topics: {queues}, topics_interval: 2s, cloudwatch: {{interval: 5s, settle: 1m}}}}
  - {{name: {_QUIET}, kind: aws, region: {REGION}, endpoint_url: "{endpoints.aws}", interval: {_INTERVAL},
     queues: {{exclude: ["*"]}}, topics: {{include: ["{aws.prefix}quiet"]}}, topics_interval: 2s,
     cloudwatch: {{interval: 5s, settle: 45m}}}}
"""


def _fake_cluster(url: str) -> str:
    return f"""
  - {{name: {_BUSY}, kind: aws, region: {REGION}, endpoint_url: "{url}", interval: {_INTERVAL},
     cloudwatch: {{enabled: false}}}}
"""


def _moved(address: str, port: int) -> str:
    return address.replace(f":{_port(address)}", f":{port}")


def _objectives(prefix: str) -> str:
    judged = "".join(
        f'  - {{subscription: "{_KAFKA}/{prefix}-{name}/*", max_age: 2s, target: 99%}}\n'
        for name in ("late", "blind", "seldom")
    )
    return f"objectives:\n{judged}"


if __name__ == "__main__":
    sys.exit(main())
