"""The only place that calls Kafka's admin API: waiting with deadlines, errors translated, the library's talk kept down.

Facts of confluent-kafka 2.16 (librdkafka) that shape this module:
- Calls give futures that a background thread resolves. Waiting here goes in short steps, so that `close` from another
  thread ends a call under way, and so that the library's callbacks, which it queues until `poll`, are served.
- `list_topics` alone blocks and cannot be broken off; it runs in a thread of its own that is left behind when nobody
  waits for it any more. It goes to the broker that was used last, again and again, also if that one hangs.
- A request to a group's coordinator that times out while the library still looks for the coordinator, or waits for its
  connection, leaves a dangling pointer, and the process is *aborted* when the coordinator comes back
  (`rd_kafka_enq_once_del_source_return: Assertion`; also librdkafka#4605). The library also keeps believing in a
  coordinator that hangs, after others have taken over. So these requests never time out inside the library; when one
  is given up here, the whole handle is given up with it, which ends them in order, and the next handle asks anew.
- The listing of consumer groups leaves out every other kind of group; only an older call, which blocks, has them all.
- Asking for committed offsets by the library's own call kills the process when a broker answers that it is not the
  group's coordinator (librdkafka#5040), so that call is made by `committed` on a handle that survives the answer.
- The library keeps a group's coordinator in mind and asks it again and again, also when it says that it is none any
  more. After such an answer handles are given up, too.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from monitor.brokers.kafka.admin import Admin, Offsets, read_descriptions, read_offsets, start_aside
from monitor.brokers.kafka.committed import Committed, GroupOffsets, Request
from monitor.brokers.kafka.faults import Faults
from monitor.brokers.kafka.lanes import STEP_SECONDS, Call, Lanes, is_unsettled
from monitor.brokers.kafka.settings import library_settings
from monitor.brokers.kafka.translation import translate
from monitor.brokers.msk import make_signer
from monitor.brokers.tls import open_context
from monitor.config import KafkaCluster
from monitor.errors import AuthenticationFailed, BrokerError, Forbidden, TimedOut, TlsFailed, Unreachable

R = TypeVar("R")

_SHORTEST_TIMEOUT = 0.1
_SHORTEST_ATTEMPT = 0.5
_TOKEN_SECONDS = 60.0
_TO_FIND_A_BROKER = 1.0
_NEVER_SECONDS = 3600.0  # the longest that the library takes


class KafkaClient:
    """One Kafka cluster's admin API. Made without connecting; `close` may come from another thread, and twice."""

    def __init__(self, cluster: KafkaCluster, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._monotonic = cluster, monotonic
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._admin: Admin | None = None
        self._group_offsets: GroupOffsets | None = None
        self._faults = Faults(cluster, monotonic)
        self._refused = False
        self._opened_at = 0.0

    def close(self) -> None:
        """Let go of the connections; what waits in another thread ends with `Unreachable` within a moment."""
        self._closed.set()
        self._let_go()

    def remaining(self, deadline: float) -> float:
        """Return the seconds until a deadline (of the monotonic clock)."""
        return deadline - self._monotonic()

    def until(self, deadline: float, share: float) -> float:
        """Return the moment (of the monotonic clock) when a share of the time to a deadline is used up."""
        return self._monotonic() + max(0.0, self.remaining(deadline)) * share

    def list_topics(self, deadline: float) -> Any:
        """Return the library's cluster metadata: brokers, topics, partitions, leaders, replicas.

        An attempt that meets a hung broker is given up early enough for others, with a new handle: that one asks only
        brokers that have answered it. Raises BrokerError.
        """
        if self._holds_stale_token():
            self._let_go()
        while True:
            left = self.remaining(deadline)
            seconds = max(left * 0.4, min(left, _SHORTEST_ATTEMPT), _SHORTEST_TIMEOUT)
            try:
                listing = self._result(start_aside(self._handle().list_topics, seconds), seconds)
            except BrokerError as error:
                ended = self._closed.is_set() or self._faults.hopeless or self.remaining(deadline) < _SHORTEST_ATTEMPT
                if ended or error.permanent:
                    raise self._give_up(error, deadline) from error
                self._let_go()
            else:
                self._faults.forget()
                self._faults.works, self._refused = True, not listing.topics
                return listing

    def _give_up(self, error: BrokerError, deadline: float) -> BrokerError:
        if isinstance(error, TlsFailed | AuthenticationFailed):
            # The next handle reads the files anew, which may have been renewed, and asks for a token at once.
            self._let_go()
        return self._faults.settle(error, self.remaining(deadline))

    def _holds_stale_token(self) -> bool:
        """Say whether a refusal may come from a token that was good when the connection was made.

        A broker that does not end sessions with their tokens (`connections.max.reauth.ms` is not set) goes on with the
        old one for what the client may do, however many new ones it has fetched.
        """
        by_token = self._cluster.security.mechanism in ("OAUTHBEARER", "AWS_MSK_IAM")
        return by_token and self._refused and self._monotonic() - self._opened_at > _TOKEN_SECONDS

    def list_groups(self, seconds: float) -> Future[Any]:
        """Start listing consumer groups; the result has `.valid` and `.errors` (brokers that did not answer)."""
        return self._handle().list_consumer_groups(request_timeout=_timeout(seconds))

    def list_groups_of_all_kinds(self, seconds: float) -> list[tuple[str, str, str]]:
        """Return name, state and protocol of every group, also of those that are no consumer groups.

        Every group is described for that, in the protocol of classic groups. Raises BrokerError.
        """
        listed = self._result(start_aside(self._handle().list_described_groups, seconds), seconds)
        return [(group.id, group.state, group.protocol_type) for group in listed]

    def describe_cluster(self, seconds: float) -> Any:
        """Return the cluster's nodes and what these credentials may do to it. Raises BrokerError."""
        handle = self._handle()
        future = handle.describe_cluster(include_authorized_operations=True, request_timeout=_timeout(seconds))
        return self._result(future, seconds)

    def descriptions(self, key: Any, groups: Sequence[str]) -> Call[list[Any]]:
        """Prepare describing groups of one coordinator. The result has a description or a KafkaError for each."""
        names = list(groups)
        return Call(key, lambda _: self._handle().start_describe(names, _NEVER_SECONDS), read_descriptions)

    def describe_group_rights(self, group: str, seconds: float) -> Any:
        """Return a group's description with what these credentials may do to it. Raises BrokerError."""
        asked = self._handle().describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=_NEVER_SECONDS
        )
        try:
            return self._result(asked[group], seconds)
        except TimedOut:
            self._let_go()  # a request to a coordinator that is given up goes with its handle, see above
            raise

    def describe_topics(self, names: Sequence[str], seconds: float, *, operations: bool = False) -> dict[str, Any]:
        """Return a description or a BrokerError for each topic."""
        if not names:
            return {}
        futures = self._handle().describe_topics(
            TopicCollection(list(names)), include_authorized_operations=operations, request_timeout=_timeout(seconds)
        )
        return self._results(futures, seconds)

    def describe_topic_configs(self, names: Sequence[str], seconds: float) -> dict[str, Any]:
        """Return the configuration (name to entry) or a BrokerError for each topic."""
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = self._handle().describe_configs(resources, request_timeout=_timeout(seconds))
        return self._results({resource.name: future for resource, future in futures.items()}, seconds)

    def committed(self, key: Any, group: str, request: Request | None) -> Call[Committed]:
        """Prepare reading what a group has committed: on these partitions, or on all where it has."""
        return Call(key, lambda _: self._asker(group).ask(group, request), lambda committed: committed)

    def offsets(self, key: Any, asked: list[TopicPartition], *, stable: bool = False) -> Call[Offsets]:
        """Prepare asking one leader about at most 1,000 partitions: `asked` carries in `offset` what is wanted of each.

        `stable` asks for what readers of committed data see: the last stable offset instead of the end.
        """
        isolation = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
        return Call(
            key,
            lambda seconds: self._handle().start_list_offsets(asked, isolation, seconds),
            lambda found: read_offsets(asked, found),
        )

    def run(self, calls: Mapping[Any, Iterable[Call[R]]], seconds: float) -> Iterator[tuple[Call[R], R | BrokerError]]:
        """Carry out calls, in lanes by broker, and yield each with its result as it comes; see `Lanes.run`.

        Raises Unreachable when the client is closed.
        """
        lanes = Lanes(calls, seconds, self._monotonic)
        moved = False
        for call, result in lanes.run(self._serve):
            moved = moved or _tells_a_move(result)
            self._refused = self._refused or _is_refused(result)
            yield call, result
        if lanes.hung or moved:
            self._start_afresh(min(_TO_FIND_A_BROKER, seconds / 2))

    def _start_afresh(self, seconds: float) -> None:
        """Take a new handle, and have it find a broker that answers: coordinator requests alone would not make it."""
        self._let_go()
        try:
            self._result(start_aside(self._handle().list_topics, seconds), seconds)
        except BrokerError:
            if self._closed.is_set():
                raise

    def wait(self, future: Future[R], seconds: float) -> R:
        """Return a future's result. Raises BrokerError."""
        return self._result(future, seconds)

    def _results(self, futures: Mapping[str, Future[Any]], seconds: float) -> dict[str, Any]:
        deadline = self._monotonic() + seconds
        results: dict[str, Any] = {}
        for name, future in futures.items():
            try:
                results[name] = self._result(future, max(0.0, self.remaining(deadline)))
            except BrokerError as error:
                results[name] = error
        return results

    def _result(self, future: Future[R], seconds: float) -> R:
        # One step more than was asked: the library's own timeout, which tells more, should come first.
        deadline = self._monotonic() + seconds + STEP_SECONDS
        while True:
            try:
                return future.result(min(STEP_SECONDS, max(0.0, self.remaining(deadline))))
            except KafkaException as error:
                raise self._explain(translate(error.args[0])) from error
            except TimeoutError:
                self._serve()
                if self.remaining(deadline) <= 0 or self._faults.hopeless:
                    raise self._explain(TimedOut("no answer in time")) from None

    def _explain(self, error: BrokerError) -> BrokerError:
        handle = self._admin
        if handle is not None:
            handle.poll(0)
        return self._faults.explain(error)

    def _serve(self) -> None:
        handle = self._handle()
        handle.poll(0)

    def _handle(self) -> Admin:
        with self._lock:
            if self._closed.is_set():
                raise Unreachable("the connection has been closed")
            if self._admin is None:
                self._admin = self._open()
            return self._admin

    def _asker(self, group: str) -> GroupOffsets:
        """Return the handle for committed offsets; its own group is one that may be described, which is all it does."""
        with self._lock:
            if self._closed.is_set():
                raise Unreachable("the connection has been closed")
            if self._group_offsets is None:
                self._group_offsets = GroupOffsets(library_settings(self._cluster), group)
            return self._group_offsets

    def _let_go(self) -> None:
        """Drop the library's handles. One is destroyed when its last user lets go of it; that may take a moment."""
        with self._lock:
            dropped, self._admin = [self._admin], None
            if self._group_offsets is not None:
                self._group_offsets.close()
                self._group_offsets = None
        threading.Thread(target=dropped.clear, name="kafka-close", daemon=True).start()

    def _open(self) -> Admin:
        security = self._cluster.security
        if security.ca_file or security.certificate_file:
            open_context(security, self._cluster.bootstrap_servers)  # which says better what is wrong with a file
        if security.aws_msk_iam:
            make_signer(security.aws_msk_iam)("")  # in vain the library would wait for it, and tell nothing
        self._faults.works, self._refused, self._opened_at = False, False, self._monotonic()
        try:
            return Admin(library_settings(self._cluster) | {"error_cb": self._faults.take}, logger=self._faults)
        except KafkaException as error:
            raise translate(error.args[0]) from error


def _timeout(seconds: float) -> float:
    return max(seconds, _SHORTEST_TIMEOUT)


def _is_refused(result: Any) -> bool:
    if isinstance(result, Offsets):
        return any(isinstance(error, Forbidden) for error in result.errors.values())
    return isinstance(result, Forbidden)


def _tells_a_move(result: Any) -> bool:
    return any(map(is_unsettled, result)) if isinstance(result, list) else is_unsettled(result)
