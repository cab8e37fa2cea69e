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

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from monitor.brokers.handshakes import find_fault
from monitor.brokers.kafka.committed import Committed, GroupOffsets, Request
from monitor.brokers.kafka.lanes import STEP_SECONDS, Call, Lanes, is_unsettled
from monitor.brokers.kafka.translation import address_in, alert_in, lacks_token, translate
from monitor.brokers.msk import make_signer
from monitor.brokers.tls import open_context, tell_reason
from monitor.config import KafkaCluster, KafkaSecurity, OAuth, split_address
from monitor.errors import AuthenticationFailed, BrokerError, Forbidden, TimedOut, TlsFailed, Unreachable

LOG = logging.getLogger(__name__)

R = TypeVar("R")

EARLIEST, LATEST = OFFSET_BEGINNING, OFFSET_END
"""What is asked of a partition: its first offset, or its end. A time in ms asks for the first record from then on."""
NO_SUCH_RECORD = -1
"""The offset that answers a time that is younger than every record."""

_SHORTEST_TIMEOUT = 0.1
_SHORTEST_ATTEMPT = 0.5
_DROPS_OF_TLS = 2
_FIRST_WORDS = re.compile(r"after (\d+ms in state APIVERSION_QUERY|\d{1,3}ms in state UP)\b")
_LONGEST_HANDSHAKE = 5.0
_TOKEN_SECONDS = 60.0
_MOMENT = 0.5
_TO_FIND_A_BROKER = 1.0
_NEVER_SECONDS = 3600.0  # the longest that the library takes


@dataclass(frozen=True, slots=True)
class Offsets:
    """What a leader said about partitions, in the order asked: offsets, and the timestamps of these records (ms).

    `errors` holds, by position, why an offset is not known. -1 in answer to a time says that no record is that young,
    and in place of a timestamp that there is none.
    """

    offsets: list[int]
    timestamps: list[int]
    errors: dict[int, BrokerError]


class _Admin(AdminClient):
    """The library's client, with two calls taken below its Python layer.

    That layer makes a future, with a lock, for each single partition and looks every one of them over: in a large
    cluster a third of a cycle's work, and the futures of a request resolve together anyway. Here a request has one.
    """

    def start_list_offsets(self, asked: list[TopicPartition], isolation: IsolationLevel, seconds: float) -> Future[Any]:
        """Ask for offsets; `asked` carries in `offset` what is wanted. Brings a dict of infos or errors."""
        future = self._create_future()
        below: Any = super(AdminClient, self)  # the stubs leave this call out
        below.list_offsets(asked, future, isolation_level_value=isolation.value, request_timeout=seconds)
        return future

    def start_describe(self, groups: list[str], seconds: float) -> Future[Any]:
        """Ask what groups are. Brings a list of descriptions or errors, in order."""
        future = self._create_future()
        super(AdminClient, self).describe_consumer_groups(groups, future, request_timeout=seconds)
        return future

    def list_described_groups(self, timeout: float) -> list[Any]:
        """List groups of every kind; blocks."""
        below: Any = super(AdminClient, self)  # above it, the same call warns that it is an old one
        listed: list[Any] = below.list_groups(timeout=timeout)
        return listed


class KafkaClient:
    """One Kafka cluster's admin API. Made without connecting; `close` may come from another thread, and twice."""

    def __init__(self, cluster: KafkaCluster, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._monotonic = cluster, monotonic
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._admin: _Admin | None = None
        self._group_offsets: GroupOffsets | None = None
        self._fault: BrokerError | None = None
        self._fault_address = ""
        self._hopeless_since: float | None = None
        self._drops = 0
        self._works = self._refused = False
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
                listing = self._result(_start_aside(self._handle().list_topics, seconds), seconds)
            except BrokerError as error:
                ended = self._closed.is_set() or self._is_hopeless() or self.remaining(deadline) < _SHORTEST_ATTEMPT
                if ended or error.permanent:
                    raise self._give_up(error, deadline) from error
                self._let_go()
            else:
                self._forget_faults()
                self._works, self._refused = True, not listing.topics
                return listing

    def _give_up(self, error: BrokerError, deadline: float) -> BrokerError:
        """Forget what went wrong, and return it as it is told."""
        address = self._fault_address or self._cluster.bootstrap_servers.split(",")[0].strip()
        self._forget_faults()
        if isinstance(error, TlsFailed | AuthenticationFailed):
            # The next handle reads the files anew, which may have been renewed, and asks for a token at once.
            self._let_go()
        if isinstance(error, TlsFailed) and self._cluster.security.protocol.endswith("ssl"):
            return self._tell_tls(error, address, self.remaining(deadline))
        return error

    def _tell_tls(self, error: TlsFailed, address: str, left: float) -> TlsFailed:
        files = self._cluster.security
        alert = alert_in(error.problem)
        if alert:
            return tell_reason(alert, address, certified=files.certificate_file is not None)
        seconds = min(_LONGEST_HANDSHAKE, max(_SHORTEST_TIMEOUT, left))
        return find_fault(*split_address(address), files, address, seconds) or error

    def _forget_faults(self) -> None:
        self._fault, self._fault_address, self._hopeless_since, self._drops = None, "", None, 0

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
        listed = self._result(_start_aside(self._handle().list_described_groups, seconds), seconds)
        return [(group.id, group.state, group.protocol_type) for group in listed]

    def describe_cluster(self, seconds: float) -> Any:
        """Return the cluster's nodes and what these credentials may do to it. Raises BrokerError."""
        handle = self._handle()
        future = handle.describe_cluster(include_authorized_operations=True, request_timeout=_timeout(seconds))
        return self._result(future, seconds)

    def descriptions(self, key: Any, groups: Sequence[str]) -> Call[list[Any]]:
        """Prepare describing groups of one coordinator. The result has a description or a KafkaError for each."""
        names = list(groups)
        return Call(key, lambda _: self._handle().start_describe(names, _NEVER_SECONDS), _read_descriptions)

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
            lambda found: _read_offsets(asked, found),
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
            self._result(_start_aside(self._handle().list_topics, seconds), seconds)
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
                if self.remaining(deadline) <= 0 or self._is_hopeless():
                    raise self._explain(TimedOut("no answer in time")) from None

    def _explain(self, error: BrokerError) -> BrokerError:
        """Prefer what the connections told: a request that nobody took only knows that it timed out."""
        handle = self._admin
        if handle is not None:
            handle.poll(0)
        if not isinstance(error, TimedOut | Unreachable):
            return error
        if self._fault is None and self._drops >= (1 if self._is_hopeless() else _DROPS_OF_TLS):
            return self._tell_drops()
        return self._fault or error

    def _tell_drops(self) -> BrokerError:
        target, remedy = self._cluster.bootstrap_servers, "check security.protocol"
        problem = "the broker drops connections at the first word: this listener probably"
        if self._cluster.security.protocol.endswith("ssl"):
            return AuthenticationFailed(f"{problem} wants a login", target=target, remedy=remedy)
        return TlsFailed(f"{problem} speaks TLS, or wants a login", target=target, remedy=remedy)

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

    def _open(self) -> _Admin:
        security = self._cluster.security
        if security.ca_file or security.certificate_file:
            open_context(security, self._cluster.bootstrap_servers)  # which says better what is wrong with a file
        if security.aws_msk_iam:
            make_signer(security.aws_msk_iam)("")  # in vain the library would wait for it, and tell nothing
        self._works, self._refused, self._opened_at = False, False, self._monotonic()
        try:
            return _Admin(library_settings(self._cluster) | {"error_cb": self._on_error}, logger=_Log(self._on_log))
        except KafkaException as error:
            raise translate(error.args[0]) from error

    def _on_log(self, line: str) -> None:
        # A TLS listener takes plain words for noise and hangs up; nothing but the log tells in which state that was.
        # One that wants a login does so in the middle of a conversation, as far as the library can tell.
        if not self._works and "Disconnected" in line and _FIRST_WORDS.search(line):
            self._drops += 1

    def _is_hopeless(self) -> bool:
        """Say whether every broker is down or refuses, and has had a moment for thinking better of it."""
        return self._hopeless_since is not None and self._monotonic() - self._hopeless_since > _MOMENT

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # comes after the reason for it, and does not tell it
            hopeless = True
        else:
            tokenless, oauth = lacks_token(error), self._cluster.security.oauth
            new = translate(error, oauth.token_url if tokenless and oauth else "")
            if self._fault is None or not self._fault.permanent or new.permanent:
                self._fault = new
                self._fault_address = address_in(error)
            # With a connection that stands, a token that cannot be renewed is no reason to give up yet.
            hopeless = not self._works if tokenless else new.permanent
        if hopeless and self._hopeless_since is None:
            self._hopeless_since = self._monotonic()


class _Log:
    """Takes the library's log lines. They repeat with each attempt; what matters reaches people as errors."""

    def __init__(self, listener: Callable[[str], None]) -> None:
        self._listener = listener

    def log(self, _level: int, text: str, *arguments: object) -> None:
        """Take one line; the library calls this."""
        line = text % arguments
        self._listener(line)
        LOG.debug("%s", line)


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
    key = security.key_file or security.certificate_file
    settings = {
        "security.protocol": security.protocol,
        "sasl.mechanism": "OAUTHBEARER" if security.aws_msk_iam else security.mechanism,
        "sasl.username": security.username,
        "sasl.password": security.password and security.password.get_secret_value(),
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.certificate_file,
        "ssl.key.location": key,
        "ssl.key.password": security.key_password and security.key_password.get_secret_value(),
        "oauth_cb": security.aws_msk_iam and make_signer(security.aws_msk_iam),
        **(_token_settings(security.oauth) if security.oauth else {}),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _token_settings(oauth: OAuth) -> dict[str, Any]:
    """Have the library fetch tokens, and new ones at four fifths of their time."""
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": oauth.token_url,
        "sasl.oauthbearer.client.id": oauth.client_id,
        "sasl.oauthbearer.client.secret": oauth.client_secret.get_secret_value(),
        "sasl.oauthbearer.scope": oauth.scope,
        "sasl.oauthbearer.extensions": ",".join(f"{key}={value}" for key, value in oauth.extensions.items()) or None,
        # The library's own default is a path of the machine that it was built on, and it takes no folder.
        "https.ca.location": oauth.ca_file or ssl.get_default_verify_paths().cafile,
    }


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


def _is_refused(result: Any) -> bool:
    if isinstance(result, Offsets):
        return any(isinstance(error, Forbidden) for error in result.errors.values())
    return isinstance(result, Forbidden)


def _tells_a_move(result: Any) -> bool:
    return any(map(is_unsettled, result)) if isinstance(result, list) else is_unsettled(result)


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
