"""The only place that calls Kafka's admin API: waiting with deadlines, errors translated, the library's talk kept down.

Facts of confluent-kafka 2.16 (librdkafka) that shape this module:
- Calls give futures that a background thread resolves. Waiting here goes in short steps, so that `close` from another
  thread ends a call under way, and so that the library's callbacks, which it queues until `poll`, are served.
- `list_topics` alone blocks and cannot be broken off; it runs in a thread of its own that is left behind when nobody
  waits for it any more.
- A broker that hangs costs a request its whole timeout. Requests therefore go in lanes, one a broker: the first timeout
  ends its lane, and the other lanes do not notice.
"""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from monitor.config import KafkaCluster, KafkaSecurity
from monitor.errors import (
    AuthenticationFailed,
    BadAnswer,
    BrokerError,
    Forbidden,
    Throttled,
    TimedOut,
    TlsFailed,
    Unreachable,
)

LOG = logging.getLogger(__name__)

R = TypeVar("R")

EARLIEST, LATEST = OFFSET_BEGINNING, OFFSET_END
"""What is asked of a partition: its first offset, or its end. A time in ms asks for the first record from then on."""
NO_SUCH_RECORD = -1
"""The offset that answers a time that is younger than every record."""


_STEP_SECONDS = 0.1
_SHORTEST_TIMEOUT = 0.1
_SHORTEST_ATTEMPT, _LONGEST_ATTEMPT = 0.5, 5.0
_IN_FLIGHT = 64

_AUTHENTICATION = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_TIMEOUT = {KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_UNREACHABLE = {
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._DESTROY,
    KafkaError._WAIT_COORD,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.OFFSET_NOT_AVAILABLE,
}


# "ssl://host:9093/bootstrap: Connect to ... failed: ... (after 2ms in state CONNECT, 3 identical error(s) suppressed)"
_CHATTER = re.compile(r"^\w+://(?=\S+: )|/(bootstrap|\d+)(?=: )| \(after \d+ms in state .*\)$")


def translate(error: KafkaError, target: str = "") -> BrokerError:
    """Put a library's error into the product's words."""
    code, said = error.code(), error.str() or error.name()
    text = _CHATTER.sub("", said)
    if code in _AUTHENTICATION:
        remedy = "check security.mechanism, username and password"
        return AuthenticationFailed(f"the credentials are refused ({text})", target=target, remedy=remedy)
    if code == KafkaError._SSL or "security.protocol" in said or "SSL_HANDSHAKE" in said:
        # That one side speaks TLS and the other does not shows only in a connection that is dropped at once.
        remedy = "check security.protocol and ca_file, and the broker's certificate"
        return TlsFailed(f"a TLS connection cannot be made ({text})", target=target, remedy=remedy)
    if code in _FORBIDDEN:
        return Forbidden(f"not allowed ({text})", target=target)
    if code in _TIMEOUT:
        return TimedOut(f"no answer in time ({text})", target=target)
    if code in _UNREACHABLE:
        return Unreachable(text, target=target)
    if code == KafkaError.THROTTLING_QUOTA_EXCEEDED:
        return Throttled(text, target=target)
    return BadAnswer(text, target=target)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[R]):
    """One request that can be made: `start` takes its timeout in seconds, `finish` reads what its future brought.

    `key` is the caller's own mark on it.
    """

    key: Any
    start: Callable[[float], Future[Any]]
    finish: Callable[[Any], R | BrokerError]


@dataclass(frozen=True, slots=True)
class Offsets:
    """What a leader said about partitions, in the order asked: offsets, and the timestamps of these records (ms).

    `errors` holds, by position, why an offset is not known. -1 in answer to a time says that no record is that young,
    and in place of a timestamp that there is none.
    """

    offsets: list[int]
    timestamps: list[int]
    errors: dict[int, BrokerError]


@dataclass(slots=True)
class _Lane(Generic[R]):
    """The calls that go to one broker."""

    waiting: deque[Call[R]]
    in_flight: list[Call[R]] = field(default_factory=list)
    failure: BrokerError | None = None


_Done = SimpleQueue[tuple[_Lane[R], Call[R], Future[Any]]]


class _Admin(AdminClient):
    """The library's client, with three calls taken below its Python layer.

    That layer makes a future, with a lock, for each single partition and looks every one of them over: in a large
    cluster a third of a cycle's work, and the futures of a request resolve together anyway. Here a request has one.
    """

    def start_list_offsets(self, asked: list[TopicPartition], isolation: IsolationLevel, seconds: float) -> Future[Any]:
        """Ask for offsets; `asked` carries in `offset` what is wanted. Brings a dict of infos or errors."""
        future = self._create_future()
        below: Any = super(AdminClient, self)  # the stubs leave this call out
        below.list_offsets(asked, future, isolation_level_value=isolation.value, request_timeout=seconds)
        return future

    def start_committed(self, request: list[ConsumerGroupTopicPartitions], seconds: float) -> Future[Any]:
        """Ask for what one group has committed. Brings a list of one result or error."""
        future = self._create_future()
        super(AdminClient, self).list_consumer_group_offsets(request, future, request_timeout=seconds)
        return future

    def start_describe(self, groups: list[str], seconds: float) -> Future[Any]:
        """Ask what groups are. Brings a list of descriptions or errors, in order."""
        future = self._create_future()
        super(AdminClient, self).describe_consumer_groups(groups, future, request_timeout=seconds)
        return future


class KafkaClient:
    """One Kafka cluster's admin API. Made without connecting; `close` may come from another thread, and twice."""

    def __init__(self, cluster: KafkaCluster, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._monotonic = cluster, monotonic
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._admin: _Admin | None = None
        self._fault: BrokerError | None = None

    def close(self) -> None:
        """Let go of the connections; what waits in another thread ends with `Unreachable` within a moment.

        The library's handle goes when its last user lets go of it: destroying it under a call would crash.
        """
        self._closed.set()
        with self._lock:
            self._admin = None

    def remaining(self, deadline: float) -> float:
        """Return the seconds until a deadline (of the monotonic clock)."""
        return deadline - self._monotonic()

    def until(self, deadline: float, share: float) -> float:
        """Return the moment (of the monotonic clock) when a share of the time to a deadline is used up."""
        return self._monotonic() + max(0.0, self.remaining(deadline)) * share

    def list_topics(self, deadline: float) -> Any:
        """Return the library's cluster metadata: brokers, topics, partitions, leaders, replicas.

        Any broker can answer and the library picks one: an attempt that meets a hung broker is given up early enough to
        ask again. Raises BrokerError.
        """
        while True:
            seconds = min(max(self.remaining(deadline) / 4, _SHORTEST_ATTEMPT), _LONGEST_ATTEMPT)
            seconds = max(min(seconds, self.remaining(deadline)), _SHORTEST_TIMEOUT)
            try:
                listing = self._result(_start_aside(self._handle().list_topics, seconds), seconds + 2 * _STEP_SECONDS)
            except BrokerError as error:
                if error.permanent or self._closed.is_set() or self.remaining(deadline) <= _SHORTEST_ATTEMPT:
                    raise
            else:
                self._fault = None
                return listing

    def list_groups(self, seconds: float) -> Future[Any]:
        """Start listing consumer groups; the result has `.valid` and `.errors` (brokers that did not answer)."""
        return self._handle().list_consumer_groups(request_timeout=_timeout(seconds))

    def describe_cluster(self, seconds: float) -> Any:
        """Return the cluster's nodes and what these credentials may do to it. Raises BrokerError."""
        handle = self._handle()
        future = handle.describe_cluster(include_authorized_operations=True, request_timeout=_timeout(seconds))
        return self._result(future, seconds)

    def descriptions(self, key: Any, groups: Sequence[str]) -> Call[list[Any]]:
        """Prepare describing groups of one coordinator. The result has a description or a KafkaError for each."""
        names = list(groups)
        return Call(key, lambda seconds: self._handle().start_describe(names, seconds), _read_descriptions)

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

    def committed(self, key: Any, group: str, partitions: list[TopicPartition] | None) -> Call[list[TopicPartition]]:
        """Prepare reading what a group has committed: on these partitions, or on all where it has."""
        request = [ConsumerGroupTopicPartitions(group, partitions)]
        return Call(key, lambda seconds: self._handle().start_committed(request, seconds), _read_committed)

    def offsets(self, key: Any, asked: list[TopicPartition], *, stable: bool = False) -> Call[Offsets]:
        """Prepare asking one leader about at most 1,000 partitions: `asked` carries in `offset` what is wanted of each.

        `stable` asks for what readers of committed data see: the last stable offset instead of the end.
        """
        isolation = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
        return Call(
            key,
            lambda seconds: self._handle().start_list_offsets(asked, isolation, seconds),
            lambda found: _read_offsets(asked, found),
        )

    def run(
        self, lanes: Mapping[Any, Iterable[Call[R]]], seconds: float, in_flight: int = _IN_FLIGHT
    ) -> Iterator[tuple[Call[R], R | BrokerError]]:
        """Carry out calls, in lanes that do not wait for each other, and yield each with its result as it comes.

        After a timeout no more of its lane is asked: the rest gets the same error. Everything ends within `seconds`.
        Raises Unreachable when the client is closed.
        """
        deadline = self._monotonic() + seconds
        done: _Done[R] = SimpleQueue()
        running = [_Lane(deque(calls)) for calls in lanes.values()]
        window = max(1, in_flight // max(1, len(running)))
        for lane in running:
            yield from self._fill(lane, window, deadline, done)
        while any(lane.in_flight for lane in running):
            try:
                lane, call, future = done.get(timeout=_STEP_SECONDS)
            except Empty:
                self._serve()
                if self.remaining(deadline) < -_STEP_SECONDS:
                    break  # the library's own timeouts should have come before
                continue
            lane.in_flight.remove(call)
            result = _outcome(call, future)
            if isinstance(result, TimedOut | Unreachable):
                lane.failure = result
            yield call, result
            yield from self._fill(lane, window, deadline, done)
        for lane in running:
            yield from ((call, TimedOut("no answer in time")) for call in (*lane.in_flight, *lane.waiting))

    def _fill(
        self, lane: _Lane[R], window: int, deadline: float, done: "_Done[R]"
    ) -> Iterator[tuple[Call[R], R | BrokerError]]:
        while lane.waiting and len(lane.in_flight) < window:
            call = lane.waiting.popleft()
            left = self.remaining(deadline)
            if lane.failure is None and left < _SHORTEST_TIMEOUT:
                lane.failure = TimedOut("the time of this cycle is used up")
            if lane.failure is not None:
                yield call, lane.failure
                continue
            try:
                future = call.start(left)
            except KafkaException as error:
                yield call, translate(error.args[0])
                continue
            lane.in_flight.append(call)
            future.add_done_callback(partial(_put, done, lane, call))

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
        deadline = self._monotonic() + seconds + _STEP_SECONDS
        while True:
            try:
                return future.result(min(_STEP_SECONDS, max(0.0, self.remaining(deadline))))
            except KafkaException as error:
                raise self._explain(translate(error.args[0])) from error
            except TimeoutError:
                self._serve()
                if self.remaining(deadline) <= 0:
                    raise self._explain(TimedOut("no answer in time")) from None

    def _explain(self, error: BrokerError) -> BrokerError:
        """Prefer what the connections told: a request that nobody took only knows that it timed out."""
        handle = self._admin
        if handle is not None:
            handle.poll(0)
        if self._fault is not None and isinstance(error, TimedOut | Unreachable):
            return self._fault
        return error

    def _serve(self) -> None:
        handle = self._handle()
        handle.poll(0)

    def _handle(self) -> _Admin:
        with self._lock:
            if self._closed.is_set():
                raise Unreachable("the connection has been closed")
            if self._admin is None:
                self._admin = self._open()
            return self._admin

    def _open(self) -> _Admin:
        try:
            return _Admin(library_settings(self._cluster) | {"error_cb": self._on_error}, logger=_Quiet())
        except KafkaException as error:
            raise translate(error.args[0]) from error

    def _on_error(self, error: KafkaError) -> None:
        # "All brokers are down" comes after the reason for it, and says less.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            known, new = self._fault, translate(error)
            if known is None or not known.permanent or new.permanent:
                self._fault = new


class _Quiet:
    """Takes the library's log lines, which repeat with each attempt; what matters reaches people as errors."""

    def log(self, _level: int, text: str, *arguments: object) -> None:
        LOG.debug(text, *arguments)


def library_settings(cluster: KafkaCluster) -> dict[str, Any]:
    """Return librdkafka's configuration for a cluster."""
    return {
        "bootstrap.servers": cluster.bootstrap_servers,
        "client.id": "eventflow-monitor",
        "reconnect.backoff.max.ms": 2000,  # a broker that came back should be seen by the next cycle
        "api.version.request.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        "enable.metrics.push": False,
    } | _security_settings(cluster.security)


def _security_settings(security: KafkaSecurity) -> dict[str, Any]:
    settings = {
        "security.protocol": security.protocol,
        "sasl.mechanism": security.mechanism,
        "sasl.username": security.username,
        "sasl.password": security.password and security.password.get_secret_value(),
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.certificate_file,
        "ssl.key.location": security.key_file,
        "ssl.key.password": security.key_password and security.key_password.get_secret_value(),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _timeout(seconds: float) -> float:
    return max(seconds, _SHORTEST_TIMEOUT)


def _start_aside(call: Callable[..., R], seconds: float) -> Future[R]:
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call(timeout=seconds))
        except KafkaException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="kafka-metadata", daemon=True).start()
    return future


def _put(done: "_Done[R]", lane: _Lane[R], call: Call[R], future: Future[Any]) -> None:
    done.put((lane, call, future))


def _outcome(call: Call[R], future: Future[Any]) -> R | BrokerError:
    try:
        return call.finish(future.result())
    except KafkaException as error:
        return translate(error.args[0])


def _read_committed(results: list[Any]) -> Any:
    (result,) = results
    return translate(result) if isinstance(result, KafkaError) else result.topic_partitions


def _read_descriptions(results: list[Any]) -> list[Any] | BrokerError:
    errors = [translate(result) for result in results if isinstance(result, KafkaError)]
    hung = [error for error in errors if isinstance(error, TimedOut | Unreachable)]
    return hung[0] if len(hung) == len(results) else results


def _read_offsets(asked: Sequence[TopicPartition], found: Mapping[TopicPartition, Any]) -> Offsets | BrokerError:
    infos = [found[partition] for partition in asked]
    answer = Offsets([], [], {})
    for position, info in enumerate(infos):
        if isinstance(info, KafkaError):
            answer.errors[position] = translate(info)
            answer.offsets.append(OFFSET_INVALID)
            answer.timestamps.append(NO_SUCH_RECORD)
            continue
        if info.offset < NO_SUCH_RECORD:
            # A leader that hangs makes the library's call succeed, with this offset, when the timeout is over.
            answer.errors[position] = TimedOut("the leader did not answer in time")
        answer.offsets.append(info.offset)
        answer.timestamps.append(info.timestamp)
    hung = [error for error in answer.errors.values() if isinstance(error, TimedOut)]
    return hung[0] if len(hung) == len(infos) else answer
