"""RabbitMQ's dead letters: seen, planned for, and taken into the hand of a job."""

import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from monitor.brokers.rabbitmq.addresses import Address, parse_address
from monitor.brokers.rabbitmq.client import HttpClient, NotThere
from monitor.brokers.rabbitmq.dead_letters import message_ttl, resolve
from monitor.brokers.rabbitmq.facts import by_key
from monitor.brokers.rabbitmq.held import Connections, RabbitHeld, Target
from monitor.brokers.rabbitmq.looking import DEEPEST, Dangers, Look, what_looking_changes
from monitor.brokers.rabbitmq.lookup import configured_queues
from monitor.brokers.rabbitmq.management_source import ManagementSource
from monitor.brokers.rabbitmq.messages import Reader
from monitor.brokers.rabbitmq.planning import Findings, build_survey
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.returning import RabbitReturner, purge
from monitor.brokers.rabbitmq.rights import try_rights
from monitor.brokers.rabbitmq.routing import Router, RoutingKey
from monitor.brokers.rabbitmq.sending import Sender
from monitor.brokers.rabbitmq.session import Line, Session
from monitor.brokers.rabbitmq.standing import QUORUM, STREAM, Standing, find_standing, possible_keys, read_standing
from monitor.brokers.rabbitmq.survey import Surroundings, alarms_of, look_around, take_survey
from monitor.brokers.rabbitmq.taking import Taker
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, RabbitCluster
from monitor.errors import BadAnswer, BadRequest, BrokerError, Forbidden, Unreachable
from monitor.letters import Choose, DeadMessage, Job, Page, PlanRequest, Survey
from monitor.model import Finding, Role

_OPEN_SECONDS = 20.0
_SAMPLES = 20
_NAME = "eventflow redrive"
_PLACE = re.compile("[0-9]{1,18}")  # in 64 bits, as the offsets of streams are


class RabbitRedriveBus:
    """The dead letters of one RabbitMQ cluster. Thread-safe.

    It needs AMQP, and the management API, which alone tells a queue's type and whether looking does harm.
    """

    def __init__(self, config: RabbitCluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock) -> None:
        self._config, self._mappings, self._clock = config, dead_letters, clock
        url, self._tls = config.redrive_access
        self._address = parse_address(url) if url is not None else None
        self._client = self._open_client()
        self._dangers = Dangers()
        self._guard = threading.Lock()
        # Two looks at once would each see what the other leaves.
        self._looking: dict[QueueKey, threading.Lock] = defaultdict(threading.Lock)
        self._closed = False

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return messages from the head on, without harming them; with limit 0 only what looking would change.

        Raises BrokerError; Forbidden where the next delivery could remove a message.
        """
        standing = self._standing(queue, deadline)
        warning = what_looking_changes(standing)
        if standing.facts.type == STREAM and limit > 0:
            return self._browse_stream(standing, min(limit, DEEPEST), cursor, deadline)
        skip = _place(cursor) or 0
        number = min(limit, DEEPEST - skip)
        if number <= 0:
            return Page((), None, warning)
        messages, more = self._look(standing, self._reader(standing), skip, number, deadline)
        following = skip + number if more and skip + number < DEEPEST else None
        return Page(tuple(messages), None if following is None else str(following), warning)

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say. Raises BrokerError."""
        standing = self._standing(queue, deadline)
        around = self._look_around(standing.key, self._targets_of(standing.key, request), deadline)
        router = Router(around.queues, around.routes)
        topology = resolve(
            tuple(around.queues.values()),
            around.routes,
            configured_queues(self._config.name, self._mappings, tuple(around.queues)),
            around.consumed,
        )
        samples: Sequence[DeadMessage] = ()
        looks = standing.facts.type != STREAM and standing.limits_known and standing.delivery_limit is None
        if looks:
            samples, _ = self._look(standing, self._reader(standing, router), 0, _SAMPLES, deadline)
        found = Findings(
            standing,
            self._count_ready(standing.key, deadline),
            around.queues,
            router,
            topology.dead_letters.get(standing.key),
            samples,
            looks,
            self._amqp.username or "guest",
            self._permissions(standing.key[0], deadline),
            alarms_of(around.nodes or ()),
        )
        survey = build_survey(found, request, self._config.name)
        return replace(survey, bounds={**survey.bounds, "planned_at": self._clock.now()})

    def open(self, job: Job, choose: Choose) -> RabbitHeld:
        """Connect for a job. Raises BrokerError."""
        deadline = self._clock.monotonic() + _OPEN_SECONDS
        key = (str(job.bounds["vhost"]), str(job.bounds["queue"]))
        target = Target.from_bounds(job.bounds["target"])
        try:
            standing = read_standing(self._management, key, deadline)
        except NotThere as error:
            raise BadAnswer(
                "there is no such queue any more, or its node does not run", target=label_of(key)
            ) from error
        router = None
        if target.each_origin:
            around = self._look_around(key, (), deadline)
            router = Router(around.queues, around.routes)
        session = Session(self._clock)
        try:
            taker = Taker(self._connect(session, key[0], deadline), key[1])
            sender = Sender(self._connect(session, target.vhost, deadline), standing.window)
            session.ask(taker.open, deadline, standing.label)
            session.ask(sender.open, deadline, target.label)
        except BrokerError:
            session.close()
            raise
        connections = Connections(session, taker, sender, self._amqp.username or "guest")
        held = RabbitHeld(connections, job, standing, target, self._reader(standing, router), self._clock)
        planned_at = job.bounds.get("planned_at")
        # A quorum queue remembers what was acknowledged.
        if planned_at is not None and standing.facts.type != QUORUM:
            held.removed_may_return = self._has_restarted(float(planned_at), deadline)
        return held

    def count_waiting(self, bounds: Mapping[str, Any], deadline: float) -> int:
        """Return how many messages of a job's queue are ready, by a question to the queue. Raises BrokerError."""
        return self._count_ready((str(bounds["vhost"]), str(bounds["queue"])), deadline)

    def open_return(self, queue: str) -> RabbitReturner:
        """Connect so that messages can be put back into a queue. Raises BrokerError."""
        deadline = self._clock.monotonic() + _OPEN_SECONDS
        standing = self._standing(queue, deadline)
        session = Session(self._clock)
        try:
            sender = Sender(self._connect(session, standing.key[0], deadline), standing.window)
            session.ask(sender.open, deadline, standing.label)
        except BrokerError:
            session.close()
            raise
        return RabbitReturner(session, sender, standing.key, self._amqp.username or "guest", self._clock)

    def purge(self, queue: str, deadline: float) -> int:
        """Remove all messages of a queue that are ready, and return how many that were. Raises BrokerError."""
        standing = self._standing(queue, deadline)
        with self._session() as session:
            line = self._connect(session, standing.key[0], deadline)
            begin = partial(purge, line, standing.key[1], standing.label)
            return int(session.ask(begin, deadline, standing.label))

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what is missing for redriving, changing nothing. A broker's errors are findings."""
        try:
            source = ManagementSource(self._management, self._is_watched)
            reading = take_survey(source, self._clock.monotonic(), deadline, None)
            configured = configured_queues(self._config.name, self._mappings, tuple(by_key(reading.queues)))
            roles = resolve(reading.queues, reading.routes, configured).roles
            dead = [key for key, role in roles.items() if role is Role.DEAD_LETTER]
            with self._session() as session:
                found = try_rights(session, partial(self._enter, deadline), dead, self._amqp.vhost, deadline)
                return list(found)
        except BrokerError as error:
            return [Finding(f"redrive: {error.target}", ok=False, message=error.problem, remedy=error.remedy)]

    def close(self) -> None:
        """Let go of the connections to the management API; those of a job are closed with it."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    # looking

    def _browse_stream(self, standing: Standing, limit: int, cursor: str | None, deadline: float) -> Page:
        begin = {"x-stream-offset": "first" if cursor is None else _place(cursor)}
        with self._session() as session:
            line = self._connect(session, standing.key[0], deadline)
            taker = Taker(line, standing.key[1], begin)
            session.ask(taker.open, deadline, standing.label)
            look = Look(session, taker, line, self._clock, standing, self._dangers)
            messages, following = look.read_stream(self._reader(standing), limit, deadline)
        return Page(tuple(messages), None if following is None else str(following))

    def _look(
        self, standing: Standing, reader: Reader, skip: int, number: int, deadline: float
    ) -> tuple[Sequence[DeadMessage], bool]:
        self._dangers.refuse(standing)
        with self._guard:
            lock = self._looking[standing.key]
        with lock, self._session() as session:
            line = self._connect(session, standing.key[0], deadline)
            taker = Taker(line, standing.key[1])
            session.ask(taker.open, deadline, standing.label)
            look = Look(session, taker, line, self._clock, standing, self._dangers)
            return look.read(reader, skip, number, deadline)

    def _count_ready(self, key: QueueKey, deadline: float) -> int:
        with self._session() as session:
            taker = Taker(self._connect(session, key[0], deadline), key[1])
            session.ask(taker.open, deadline, label_of(key))
            return int(session.ask(taker.count, deadline, label_of(key)))

    # asking

    def _standing(self, queue: str, deadline: float) -> Standing:
        return find_standing(self._management, self._config.name, queue, deadline)

    def _targets_of(self, key: QueueKey, request: PlanRequest) -> Sequence[QueueKey]:
        """Return which queues the target that is asked for may be."""
        name = request.target
        return () if name is None else ((key[0], name), *possible_keys(self._config.name, name))

    def _look_around(self, key: QueueKey, others: Sequence[QueueKey], deadline: float) -> Surroundings:
        return look_around(ManagementSource(self._management, lambda _key: True), key, others, deadline)

    def _has_restarted(self, since: float, deadline: float) -> bool:
        """Say whether a node was started after a time (Unix seconds); False where this user may not know."""
        try:
            nodes = self._management.get_json("/api/nodes", deadline, {"columns": "uptime"})
        except (Forbidden, NotThere):
            return False
        # In milliseconds; a node that has just been started, or does not run, has none yet (and is an empty list then).
        uptimes = [float(node["uptime"]) if "uptime" in node else 0.0 for node in nodes]
        return any(self._clock.now() - uptime / 1000 > since for uptime in uptimes)

    def _permissions(self, vhost: str, deadline: float) -> Mapping[str, str] | None:
        """Return the permissions of the user who redrives; None where the management API does not tell them."""
        user = quote(self._amqp.username or "guest", safe="")
        try:
            rows = self._management.get_json(f"/api/users/{user}/permissions", deadline)
        except (Forbidden, NotThere):
            return None
        return next((row for row in rows if row.get("vhost") == vhost), None)

    def _reader(self, standing: Standing, router: Router | None = None) -> Reader:
        ttl, vhost = message_ttl(standing.facts), standing.key[0]
        if router is None:
            return Reader(standing.key, ttl)

        def find_queue(exchange: str, key: str) -> str | None:
            found = router.queues_behind(vhost, exchange, frozenset({RoutingKey(key)}))
            return label_of(next(iter(found))) if len(found) == 1 else None

        return Reader(standing.key, ttl, find_queue)

    # connecting

    @property
    def _management(self) -> HttpClient:
        if self._client is None:
            raise Forbidden(
                "the management API is not configured, and nothing else tells whether looking does harm",
                target=self._config.name,
                remedy="enable rabbitmq_management and set management_url",
            )
        return self._client

    @property
    def _amqp(self) -> Address:
        if self._address is None:
            raise Forbidden(
                "no AMQP address is configured, and messages travel by no other way",
                target=self._config.name,
                remedy="set redrive.amqp_url, or amqp_url",
            )
        return self._address

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = Session(self._clock)
        try:
            yield session
        finally:
            session.close()

    def _is_watched(self, key: QueueKey) -> bool:
        return self._config.vhosts.matches(key[0]) and self._config.queues.matches(key[1])

    def _enter(self, deadline: float, session: Session, vhost: str) -> Line:
        return self._connect(session, vhost, deadline)

    def _connect(self, session: Session, vhost: str, deadline: float) -> Line:
        if self._closed:
            raise Unreachable("the connection was closed by the monitor", target=self._config.name)
        return session.connect(self._amqp, vhost, _NAME, deadline, self._tls)

    def _open_client(self) -> HttpClient | None:
        if self._config.management_url is None:
            return None
        address = parse_address(self._config.management_url)
        return HttpClient(address, self._clock, target="management API", tls=self._config)


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not _PLACE.fullmatch(cursor):
        raise BadRequest("cursor: is none that a page has given", parameter="cursor")
    return int(cursor)
