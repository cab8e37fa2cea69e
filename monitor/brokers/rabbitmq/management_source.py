"""The management API: the only one that tells arguments, policies and bindings; numbers too, at a higher price."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from monitor.brokers.rabbitmq.client import HttpClient, NotThere
from monitor.brokers.rabbitmq.facts import (
    Definition,
    NodeFacts,
    QueueFacts,
    Routes,
    binding_facts,
    exchange_facts,
    node_facts,
    policy_definitions,
    queue_facts,
)
from monitor.brokers.rabbitmq.readings import (
    ACKED,
    AUTO_ACKED,
    BYTES,
    CAPACITY,
    CONSUMERS,
    DELIVERED,
    HEAD,
    PUBLISHED,
    READY,
    REDELIVERED,
    UNACKED,
    QueueKey,
    Readings,
)
from monitor.brokers.rabbitmq.totals import Counts
from monitor.clock import Clock
from monitor.errors import BadAnswer, BrokerError, Forbidden
from monitor.model import Floats, as_floats

_PAGE_SIZE = 500  # the most that the API gives
_MOST_PAGES = 10_000
_MOST_ASKED_ALONE = 32  # exchanges, at 2 ms each
_LONGEST_ALONE = 1.0  # seconds for one queue, which take 2 to 20 ms
_TOTALS_ALONE = {"disable_stats": "true", "enable_queue_totals": "true"}
"""What to ask where statistics are not to be had: how many messages wait, and nothing else."""
_FACTS = (
    "vhost,name,type,node,durable,exclusive,auto_delete,arguments,policy,operator_policy,effective_policy_definition"
)
_NUMBERS = (
    "messages_ready,messages_unacknowledged,consumers,message_bytes,head_message_timestamp,"
    "consumer_capacity,consumer_utilisation,"
    "message_stats.publish,message_stats.deliver_get,message_stats.ack,message_stats.deliver_no_ack,"
    "message_stats.get_no_ack,message_stats.redeliver"
)
_COUNTS = {PUBLISHED: "publish", DELIVERED: "deliver_get", ACKED: "ack", REDELIVERED: "redeliver"}
_BINDING_COLUMNS = "vhost,source,destination,destination_type,routing_key"


@dataclass(frozen=True, slots=True)
class Overview:
    """What the API says of itself. `stats` is False when the broker was told not to collect numbers for it.

    `unroutable` by (outcome,), None where it is not counted.
    """

    version: str
    node: str
    stats: bool
    counts: bool
    unroutable: Counts | None


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """All queues that this user can see: what they are, and their numbers as far as the API has them."""

    queues: tuple[QueueFacts, ...]
    readings: Readings


class ManagementSource:
    """The management API of one node, which speaks for the whole cluster."""

    def __init__(self, client: HttpClient, wanted: Callable[[QueueKey], bool]) -> None:
        self._client, self._wanted = client, wanted
        self._keys: tuple[QueueKey, ...] = ()

    def close(self) -> None:
        """Cut the connections. Reading under way raises Unreachable."""
        self._client.close()

    @property
    def target(self) -> str:
        """Return what is asked, for people."""
        return self._client.target

    def read_overview(self, deadline: float) -> Overview:
        """Return what the API says of itself. Raises BrokerError."""
        answer = self._client.get_json("/api/overview", deadline)
        stats = not answer.get("disable_stats", False)
        counts = stats and answer.get("rates_mode") != "none"
        counted = answer.get("message_stats") or {}
        names = {"dropped": "drop_unroutable", "returned": "return_unroutable"}
        unroutable: Counts | None = (
            {(outcome,): float(counted.get(name, 0)) for outcome, name in names.items()} if counts else None
        )
        return Overview(answer["rabbitmq_version"], answer.get("node", ""), stats, counts, unroutable)

    def read_queues(self, deadline: float, overview: Overview) -> Listing:
        """Return all queues. Raises BrokerError.

        Without statistics the API still counts messages where it is asked to, but not consumers. Then it counts all of
        them for every page anew (5,000 queues: 2.2 s by pages, 0.4 s at once), and is asked for all at once.
        """
        query: dict[str, str | int] = {"columns": f"{_FACTS},{_NUMBERS}"}
        if overview.stats:
            found: Iterable[Definition] = self._pages("/api/queues", deadline, query | {"page_size": _PAGE_SIZE})
        else:
            query |= _TOTALS_ALONE
            found = self._client.get_json("/api/queues", deadline, query)
        rows = {(row["vhost"], row["name"]): row for row in found}
        keys = tuple(sorted(filter(self._wanted, rows)))
        if keys == self._keys:
            keys = self._keys
        self._keys = keys
        wanted = [rows[key] for key in keys]
        return Listing(tuple(map(queue_facts, wanted)), _readings(keys, wanted, overview))

    def read_one_by_one(
        self, keys: tuple[QueueKey, ...], asked: Collection[QueueKey], clock: Clock, deadline: float
    ) -> Readings:
        """Return what waits in the queues `asked`, each asked for alone; NaN in the other rows, and where time ran out.

        A node that hangs keeps every list from being told, by whichever node, but not a queue of another one. A queue
        that is not there any more has no row. Raises BrokerError when nothing was told, as before RabbitMQ 4.
        """
        found: dict[QueueKey, Definition] = {}
        gone, failure = set(), None
        for key in asked:
            until = min(deadline, clock.monotonic() + _LONGEST_ALONE)
            try:
                found[key] = self._client.get_json(_path_of(key), until, _TOTALS_ALONE)
            except NotThere:
                gone.add(key)
            except BrokerError as error:
                failure = error
                break
        if not any("messages_ready" in row for row in found.values()) and (failure or not gone):
            raise failure or BadAnswer("tells nothing of a queue alone", target=self.target)
        left = tuple(key for key in keys if key not in gone) if gone else keys
        return Readings(left, _waiting([found.get(key, {}) for key in left]))

    def read_queue(self, key: QueueKey, deadline: float) -> tuple[QueueFacts, bool] | None:
        """Return what one queue is, and whether somebody consumes it. Raises BrokerError.

        None when there is no such queue that this user may see.
        """
        try:
            row = self._client.get_json(_path_of(key), deadline, {"columns": f"{_FACTS},consumers"})
        except (NotThere, Forbidden):
            return None
        return queue_facts(row), bool(row.get("consumers"))

    def read_queues_of(self, vhost: str, deadline: float, *, frugal: bool) -> tuple[QueueFacts, ...]:
        """Return the queues of one virtual host without numbers. Raises BrokerError.

        `frugal` leaves the broker's statistics alone, which takes a fifth of the time (5,000 queues: 0.15 s), and with
        them what policies define.
        """
        path, query = f"/api/queues/{_quoted(vhost)}", {"columns": _FACTS}
        if frugal:
            rows = self._client.get_json(path, deadline, query | {"disable_stats": "true"})
        else:
            rows = self._pages(path, deadline, {**query, "page_size": _PAGE_SIZE})
        return tuple(map(queue_facts, rows))

    def read_routes_of(self, vhost: str, deadline: float) -> Routes:
        """Return the exchanges of one virtual host and their bindings. Raises BrokerError.

        The list of all bindings has one for each queue, that of the default exchange: where there are few exchanges,
        each is asked for its own.
        """
        place = _quoted(vhost)
        policies = policy_definitions(self.read_policies(deadline) or ())
        columns = {"columns": "vhost,name,type,arguments,policy"}
        exchanges = self._client.get_json(f"/api/exchanges/{place}", deadline, columns)
        paths = [f"/api/exchanges/{place}/{_quoted(row['name'])}/bindings/source" for row in exchanges if row["name"]]
        if len(paths) > _MOST_ASKED_ALONE:
            paths = [f"/api/bindings/{place}"]
        found = [row for path in paths for row in self._of_what_is_there(path, deadline)]
        return Routes(
            tuple(exchange_facts(row, policies) for row in exchanges),
            tuple(binding_facts(row) for row in found if row["source"]),
        )

    def _of_what_is_there(self, path: str, deadline: float) -> Sequence[Definition]:
        try:
            return self._client.get_json(path, deadline, {"columns": _BINDING_COLUMNS})  # type: ignore[no-any-return]
        except NotThere:  # deleted since it was listed
            return ()

    def read_routes(self, deadline: float) -> Routes:
        """Return all exchanges and bindings. Raises BrokerError.

        Alternate exchanges that a policy sets are seen by users with the tag `policymaker` alone.
        """
        policies = policy_definitions(self.read_policies(deadline) or ())
        exchanges = self._client.get_json("/api/exchanges", deadline, {"columns": "vhost,name,type,arguments,policy"})
        bindings = self._client.get_json("/api/bindings", deadline, {"columns": _BINDING_COLUMNS})
        return Routes(
            tuple(exchange_facts(row, policies) for row in exchanges),
            # the default exchange's bindings are one for each queue, and known without asking
            tuple(binding_facts(row) for row in bindings if row["source"]),
        )

    def read_policies(self, deadline: float) -> Sequence[Definition] | None:
        """Return all policies, or None when this user may not see them. Raises BrokerError otherwise."""
        try:
            return self._client.get_json("/api/policies", deadline)  # type: ignore[no-any-return]
        except Forbidden:
            return None

    def read_operator_policies(self, deadline: float) -> Sequence[Definition]:
        """Return all operator policies; none where they cannot be seen. Raises BrokerError otherwise."""
        try:
            return self._client.get_json("/api/operator-policies", deadline)  # type: ignore[no-any-return]
        except (Forbidden, NotThere):
            return ()

    def read_nodes(self, deadline: float) -> tuple[NodeFacts, ...]:
        """Return the nodes of the cluster. Raises BrokerError; Forbidden without the tag `monitoring`."""
        columns = {"columns": "name,running,mem_alarm,disk_free_alarm"}
        return tuple(node_facts(row) for row in self._client.get_json("/api/nodes", deadline, columns))

    def count_blocked(self, deadline: float) -> float | None:
        """Return how many connections wait to publish since a node has an alarm; None where this is not told.

        Raises BrokerError. A connection that only consumes is `blocking` then, and not hindered.
        """
        query: dict[str, str | int] = {"columns": "state", "page_size": _PAGE_SIZE}
        states = [row.get("state") for row in self._pages("/api/connections", deadline, query)]
        return None if any(state is None for state in states) else float(states.count("blocked"))

    def read_whoami(self, deadline: float) -> tuple[str, tuple[str, ...]]:
        """Return the user's name and tags. Raises BrokerError."""
        answer = self._client.get_json("/api/whoami", deadline)
        tags = answer.get("tags", [])
        return answer["name"], tuple(tags.split(",") if isinstance(tags, str) else tags)

    def read_vhosts(self, deadline: float) -> tuple[str, ...]:
        """Return the virtual hosts that this user can see. Raises BrokerError."""
        return tuple(row["name"] for row in self._client.get_json("/api/vhosts", deadline, {"columns": "name"}))

    def may_enter(self, vhost: str, deadline: float) -> bool:
        """Say whether this user has any permission in a virtual host, without which its queues are not listed.

        Raises BrokerError.
        """
        try:
            self._client.get(f"/api/queues/{_quoted(vhost)}", deadline, {"page": 1, "page_size": 1})
        except Forbidden:
            return False
        return True

    def _pages(self, path: str, deadline: float, query: dict[str, str | int]) -> Iterator[Definition]:
        for page in range(1, _MOST_PAGES):
            try:
                answer = self._client.get_json(path, deadline, query | {"page": page})
            except NotThere:
                if page == 1:
                    raise
                return  # queues that vanished meanwhile have taken the last page with them
            if isinstance(answer, list):  # before 3.6 there are no pages
                yield from answer
                return
            yield from answer["items"]
            if page >= answer["page_count"]:
                return
        raise BadAnswer(f"{path} has no last page", target=self.target)


def _readings(keys: tuple[QueueKey, ...], rows: Sequence[Definition], overview: Overview) -> Readings:
    columns = _waiting(rows)
    if overview.stats:
        columns |= {
            CONSUMERS: as_floats(_number(row, "consumers") for row in rows),
            BYTES: as_floats(_number(row, "message_bytes") for row in rows),
            HEAD: as_floats(_number(row, "head_message_timestamp") for row in rows),
            CAPACITY: as_floats(_capacity(row) for row in rows),
        }
    if overview.counts:
        # a queue that nothing happened to has no statistics yet: its counters stand at zero
        counts = [row.get("message_stats") or {} for row in rows]
        columns |= {column: np.array([float(c.get(name, 0)) for c in counts]) for column, name in _COUNTS.items()}
        columns[AUTO_ACKED] = np.array([float(c.get("deliver_no_ack", 0) + c.get("get_no_ack", 0)) for c in counts])
    return Readings(keys, columns)


def _waiting(rows: Sequence[Definition]) -> dict[str, Floats]:
    return {
        READY: as_floats(_number(row, "messages_ready") for row in rows),
        UNACKED: as_floats(_number(row, "messages_unacknowledged") for row in rows),
    }


def _path_of(key: QueueKey) -> str:
    return f"/api/queues/{_quoted(key[0])}/{_quoted(key[1])}"


def _capacity(row: Definition) -> float | None:
    found = _number(row, "consumer_capacity")
    return _number(row, "consumer_utilisation") if found is None else found  # its name before 3.9


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _number(row: Definition, name: str) -> float | None:
    value: Any = row.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
