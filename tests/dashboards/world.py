"""A made-up world behind the real API, for what no real broker can be made to show in seconds.

It has curves over hours, many thousand subscriptions, and names that try to act. `python -m tests.dashboards.world
--subscriptions 20000` serves one to look at; whatever it tells is invented, which its cluster notes say.
"""

import argparse
import math
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI

from monitor.api.alerts import make_alert_router
from monitor.api.application import make_api
from monitor.api.catalog import make_catalog_router
from monitor.api.history import make_history_router
from monitor.api.items import dead_letter_item
from monitor.api.marks import make_mark_router
from monitor.api.members import make_member_router
from monitor.api.mutes import make_mute_router
from monitor.api.sources import Sources
from monitor.catalog.loading import load_catalog
from monitor.catalog.model import Catalog
from monitor.clock import Clock
from monitor.config import Alerts, Server
from monitor.exposition.page import MetricsPage
from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    CollectionError,
    DeadLetterQueue,
    FoundBy,
    Health,
    Member,
    Origin,
    Problem,
    Snapshot,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
    encode_id,
)
from monitor.redrive.audit import Actor, Audit
from monitor.shipped import find_shipped
from monitor.storage.database import Database
from monitor.storage.history import Curve, Point, moments, step_of
from monitor.storage.marks import Marks
from monitor.storage.mutes import Mutes
from tests.dashboards.fake_monitor import FakeMonitor, FakeQueue, make_letter
from tests.unit.api.builders import guarded

NOTE = "invented: this cluster is made up, for looking at pages"
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "**bold** `code` $x^2$ :red[red] :material/home: :smile:",
    "https://evil.example/a www.evil.example me@evil.example",
    "a\x1b[31mred\x00\u202egnp.exe",
    "# heading\n- item",
)
"""Names that would act if a page read them as anything but text."""

_STATUSES = (Status.OK,) * 12 + (Status.LAGGING, Status.STALLED, Status.STOPPED, Status.UNKNOWN, Status.REWOUND)
_REASONS = {
    Status.OK: "keeps up",
    Status.LAGGING: "behind, and catching up: it drains in 4 min",
    Status.STALLED: "12,400 messages wait, and nothing was committed for 12 min although 3 members are there",
    Status.STOPPED: "12,400 messages wait and there has been no consumer for 12 min",
    Status.UNKNOWN: "3 of 12 partitions could not be read",
    Status.REWOUND: "its position was set back by 5,000 messages 12 min ago",
}
BROKE_SECONDS_AGO = 720.0
_SYSTEMS = {"kafka": System.KAFKA, "rabbitmq": System.RABBITMQ, "aws": System.SQS}

Judged = tuple[Subscription, Verdict]


@dataclass
class Invented:
    """Curves that begin calmly and break twelve minutes before now, as the statuses say."""

    statuses: Mapping[str, Status]
    clock: Clock

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        now = self.clock.now()
        width = step_of(start, end, step, now)
        of_cluster = Status.STALLED if subject == "cluster:mail" else Status.OK
        status = self.statuses.get(subject.partition(":")[2], of_cluster)
        phase = sum(map(ord, subject)) % 50
        return Curve(width, [_point(at, now, status, phase) for at in moments(int(start // width * width), end, width)])

    def read_many(
        self, subjects: Sequence[str], start: float, end: float, step: float | None, values: Collection[str]
    ) -> Mapping[str, Curve]:
        return {subject: self.read(subject, start, end, step) for subject in subjects}


def _point(at: int, now: float, status: Status, phase: int) -> Point:
    if 9000 < now - at < 9300:
        return Point(at)  # the monitor was away
    wave = 20 + 8 * math.sin((at / 60 + phase) / 25)
    late = max(0.0, BROKE_SECONDS_AGO - (now - at))
    if status in (Status.OK, Status.UNKNOWN) or not late:
        return Point(at, round(wave * 3), wave / 10, wave, wave, 3.0, "ok")
    out = wave * 1.6 if status is Status.LAGGING else 0.0
    consumers = 0.0 if status is Status.STOPPED else 3.0
    return Point(at, round(wave * 3 + late * 17), late, wave, out, consumers, status.value)


@dataclass
class World:
    """What is made up: three clusters that share the subscriptions among them.

    `frozen`: Kafka does not answer any more. `hostile`: the names of destinations try to act. `forced`: the statuses of
    subscriptions that a test wants, the rest is `calm` or as it comes. `drains_in`: of what lags. `dead`: how many dead
    letters lie in the fullest queues.
    """

    subscriptions: int = 12
    clock: Clock = field(default_factory=Clock)
    hostile: bool = False
    frozen: bool = False
    calm: bool = False
    drains_in: float = 240.0
    forced: dict[str, Status] = field(default_factory=dict)
    dead: int = 1_240
    catalog: Catalog | None = None
    views: list[ClusterView] = field(default_factory=list)
    statuses: dict[str, Status] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Have everything read anew."""
        now, third = self.clock.now(), self.subscriptions // 3
        kafka = [self._group(number, now) for number in range(self.subscriptions - 2 * third)]
        rabbit = [self._queue("rabbitmq", "mail", number, now) for number in range(third)]
        sqs = [self._queue("aws", "aws", number, now) for number in range(third)]
        self.views = [
            self._view("orders", "kafka", kafka, now, self._partitions(kafka)),
            self._view("mail", "rabbitmq", rabbit, now, {}),
            self._view("aws", "aws", sqs, now, self._topics(sqs)),
        ]

    def _judge(self, it: Subscription, number: int, now: float) -> Judged:
        status = self.forced.get(it.id, Status.OK if self.calm else _STATUSES[number * 7 % len(_STATUSES)])
        self.statuses[it.id] = status
        known, bad = status is not Status.UNKNOWN, status not in (Status.OK, Status.UNKNOWN)
        drain = 0.0 if not bad else self.drains_in if status is Status.LAGGING else math.inf
        out = 32.0 if status is Status.LAGGING else 0.0 if bad else 20.0
        measured = replace(
            it,
            backlog_messages=(12_400.0 + number if bad else float(number % 70)) if known else None,
            oldest_age=Age(BROKE_SECONDS_AGO if bad else 2.0, AgeMethod.INTERPOLATED) if known else Age.unknown(),
            consumers=0 if status is Status.STOPPED else 3,
            published_messages_total=1_000_000.0,
            consumed_messages_total=990_000.0,
            measured=it.expected if known else it.expected - 3,
        )
        objective = number % 4 == 0
        verdict = Verdict(
            status,
            _REASONS[status],
            now - (BROKE_SECONDS_AGO if bad else 86_400.0),
            published_per_second=20.0,
            consumed_per_second=out if known else None,
            drain_seconds=drain if known else None,
            owner=("checkout", "billing", "")[number % 3],
            objective_age_seconds=30.0 if objective else None,
            objective_target=0.99 if objective else None,
            objective_lifetime={"met": 90_000.0, "missed": 100.0 + 70.0 * (number % 20)} if objective else None,
        )
        return measured, verdict

    def _name(self, number: int, plain: str) -> str:
        return HOSTILE[number % len(HOSTILE)] if self.hostile else plain

    def _group(self, number: int, now: float) -> Judged:
        topic, group = self._name(number, f"order-events-{number // 3}"), f"service-{number % 40}-{number}"
        id_, scope = encode_id("orders", group, topic), {"group": group, "topic": topic}
        seen = Subscription(id_, System.KAFKA, "orders", topic, group, expected=12, scope=scope)
        return self._judge(seen, number, now)

    def _queue(self, kind: str, cluster: str, number: int, now: float) -> Judged:
        plain = f"{'mailings' if kind == 'rabbitmq' else 'invoices'}-{number}"
        queue = f"{self._name(number, plain)} {number}" if self.hostile else plain
        seen = Subscription(encode_id(cluster, queue), _SYSTEMS[kind], cluster, queue, queue, in_flight_messages=4.0)
        return self._judge(replace(seen, scope={"queue": queue}), number + 5, now)

    def _partitions(self, kafka: Sequence[Judged]) -> dict[str, Table]:
        rows = [(it.subscriber, it.destination, str(part)) for it, _ in kafka[:200] for part in range(12)]
        lag = [float(9000 if part == "7" else int(part) * 3) for _, _, part in rows]
        columns = {
            "kafka_consumer_group_lag_messages": lag,
            "kafka_consumer_group_lag_seconds": [it / 12 for it in lag],
        }
        return {"group_partitions": Table.of_rows(("group", "topic", "partition"), rows, columns)}

    def _topics(self, sqs: Sequence[Judged]) -> dict[str, Table]:
        """Return one topic that feeds the first queues."""
        arns = [f"arn:aws:sqs:eu-central-1:000000000000:{it.destination}" for it, _ in sqs[:3]]
        rows = [(self._name(0, "invoice-events"), "sqs", arn, "true") for arn in arns]
        labels = ("topic", "protocol", "endpoint", "has_dlq")
        return {"sns_subscriptions": Table.of_rows(labels, rows, {"sns_subscription_info": [1.0] * len(rows)})}

    def _dead(self, kind: str, cluster: str, now: float) -> Iterator[DeadLetterQueue]:
        for number in range(3 if self.subscriptions else 0):
            queue = f"{self._name(number, ('payments', 'mailings', 'audits')[number])}.dlq"
            yield DeadLetterQueue(
                encode_id(cluster, queue),
                _SYSTEMS[kind],
                cluster,
                queue,
                FoundBy.NAME,
                messages=(float(self.dead), 3.0, 0.0)[number],
                oldest_age=Age((7_200.0, 90.0, 0.0)[number], AgeMethod.EXACT),
                retention_seconds=345_600.0,
                expires_at=now + 90_000.0,
                arrivals_total=1_300.0,
                origins=(Origin(f"{'order-events-0' if kind == 'kafka' else 'mailings-0'}", FoundBy.NAME),),
                problems=(Problem.RETENTION_TOO_SHORT,) if number == 1 else (),
            )

    def _view(
        self, cluster: str, kind: str, judged: Sequence[Judged], now: float, tables: Mapping[str, Table]
    ) -> ClusterView:
        parts = 12 * len(judged)
        subscriptions, dead = tuple(it for it, _ in judged), tuple(self._dead(kind, cluster, now))
        snapshot = Snapshot(
            cluster, kind, now - 4, 0.4, subscriptions, dead, tables, expected=parts, measured=parts, notes=(NOTE,)
        )
        health = Health(cluster, kind, 15.0, up=True, last_success=now - 4, cycle_seconds=0.4)
        if self.frozen and kind == "kafka":
            error = CollectionError("timeout", "broker 2", "no answer within 5 s to describing groups")
            health = replace(health, up=False, last_success=now - 40, errors=(error,))
        return ClusterView(health, snapshot, tuple(it for _, it in judged))

    def make_app(self, folder: Path, server: Server | None = None) -> FastAPI:
        """Return the API over this world; what is remembered lies in `folder`."""
        database = Database.open(f"sqlite:///{folder}/world.db")
        mutes, page = Mutes(database, self.clock), MetricsPage("made up")
        sources = Sources(lambda: self.views, page.page, page.series, self.clock, mutes.find)
        marks = Marks(database, self.clock)
        marks.add("deploy service-2", "v42", self.clock.now() - BROKE_SECONDS_AGO - 90, "ci")
        audit = Audit(database, self.clock)
        made_up = Actor("alice <b>", "operator", "127.0.0.1")
        for number in range(3):
            audit.write(made_up, "mute", "refused" if number == 1 else "allowed", subject="orders/*", reason="deploy")
        routers = [
            _audit_router(audit),
            make_catalog_router(lambda: self.catalog, sources),
            make_member_router(sources, _members),
            make_mark_router(marks, lambda *_, **__: None, self.clock),
            make_alert_router(Alerts, sources, find_shipped("alerts/runbooks"), lambda *_, **__: None),
            make_history_router(Invented(self.statuses, self.clock), self.clock),
            make_mute_router(mutes, lambda: self.views, lambda *_, **__: None, self.clock),
        ]
        asked = server or Server()
        return make_api(sources, lambda: asked, routers)


def add_letters(app: FastAPI, world: World) -> FakeMonitor:
    """Let the pages look into the dead-letter queues of a world and act on them, as the fake monitor answers."""
    fake = FakeMonitor(role="admin")
    snapshots = [view.snapshot for view in world.views if view.snapshot]
    for snapshot in snapshots:
        for place in range(len(snapshot.dead_letters)):
            fake.add(FakeQueue(dict(dead_letter_item(snapshot, place, world.clock.now())), make_letter))
    letters = ("messages", "groups", "purge", "redrives", "archive")
    # The general paths come last, since an id may hold slashes.
    app.router.routes[:0] = [route for route in fake.app.routes if any(name in route.path for name in letters)]  # type: ignore[attr-defined]
    return fake


def _members(it: Subscription) -> Sequence[Member] | None:
    if it.system is System.SQS:
        return None
    return [
        Member(f"consumer-{n}", f"client-{n} <b>", f"10.0.0.{n}", tuple(map(str, range(4 * n, 4 * n + 4))))
        for n in range(it.consumers or 0)
    ]


def _audit_router(audit: Audit) -> APIRouter:
    """Return the path of the audit log alone: the router of redrives, which has it, needs brokers."""
    router = APIRouter()

    @router.get("/api/v1/audit")
    def list_audit(limit: int = 100) -> dict[str, object]:
        return {"items": audit.read(limit), "next": None}

    return router


def main() -> None:
    """Serve a made-up world until interrupted; it is read anew from time to time."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--subscriptions", type=int, default=60)
    arguments.add_argument("--port", type=int, default=19610)
    arguments.add_argument("--dead", type=int, default=World.dead, help="messages in the fullest dead-letter queues")
    arguments.add_argument("--every", type=float, default=5.0, help="seconds from one reading to the next")
    arguments.add_argument("--hostile", action="store_true")
    arguments.add_argument("--frozen", action="store_true")
    arguments.add_argument("--tokens", action="store_true", help="ask for tokens: viewer, operator, admin")
    given = arguments.parse_args()
    print(f"{NOTE}: {given.subscriptions} subscriptions on port {given.port}", flush=True)
    catalog = load_catalog(Path("config/catalog.yml"))
    world = World(given.subscriptions, hostile=given.hostile, frozen=given.frozen, dead=given.dead, catalog=catalog)
    with tempfile.TemporaryDirectory() as folder:
        app = world.make_app(Path(folder), guarded() if given.tokens else None)
        add_letters(app, world)
        server = uvicorn.Server(uvicorn.Config(app, port=given.port, log_level="warning"))

        def renew() -> None:
            while not server.should_exit:
                time.sleep(given.every)
                world.refresh()

        threading.Thread(target=renew, daemon=True).start()
        server.run()


if __name__ == "__main__":
    main()
