"""Asks coordinators what groups have committed, by librdkafka's C interface instead of the Python library's client.

The Python library asks with a handle of the kind *producer*. When a broker answers that it is not, or not yet, the
group's coordinator, librdkafka passes that on to the consumer group of the handle, which such a handle does not have,
and the process dies of it (librdkafka#5040; still so in 2.16.0). That takes no rare moment: the library keeps
coordinators in a cache and does not drop one that denies, so the next request after a leader election is enough. A
handle of the kind *consumer* has a group; the same answer is then an error like any other. The Python library offers
no such handle for this call, so the call is made here, by the public functions of `rdkafka.h` and nothing else. Its
group never subscribes or commits, so nobody ever sees a member of it.
"""

import ctypes
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, KafkaException, cimpl

from monitor.errors import AuthenticationFailed
from monitor.model import Codes, Ids

UNREADABLE = -2_000_000
"""In place of an offset: something has been committed, but it could not be read."""

_CONSUMER, _LIST_GROUP_OFFSETS, _NO_CLOSE = 1, 14, 0x8
_STEP_MS = 100
_NEVER_MS = 3_600_000  # the longest that the library takes
_SAID = 512
_NAMELESS = "eventflow.redrive.nameless"


class _Partition(ctypes.Structure):
    """rd_kafka_topic_partition_t; its pointers are numbers here, as numpy knows no pointers."""

    _fields_ = (
        ("topic", c_size_t),
        ("partition", c_int32),
        ("offset", c_int64),
        ("metadata", c_size_t),
        ("metadata_size", c_size_t),
        ("opaque", c_size_t),
        ("err", c_int),
        ("_private", c_size_t),
    )


_ROW: Any = np.dtype(_Partition)


class _PartitionList(ctypes.Structure):
    """rd_kafka_topic_partition_list_t."""

    _fields_ = (("cnt", c_int), ("size", c_int), ("elems", c_void_p))


_OnToken = ctypes.CFUNCTYPE(None, c_void_p, c_char_p, c_void_p)
_SIGNATURES: Mapping[str, tuple[Any, Sequence[Any]]] = {
    "conf_new": (c_void_p, ()),
    "conf_set": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "conf_destroy": (None, (c_void_p,)),
    "conf_set_oauthbearer_token_refresh_cb": (None, (c_void_p, _OnToken)),
    "conf_enable_sasl_queue": (None, (c_void_p, c_int)),
    "new": (c_void_p, (c_int, c_void_p, c_char_p, c_size_t)),
    "destroy_flags": (None, (c_void_p, c_int)),
    "sasl_background_callbacks_enable": (c_void_p, (c_void_p,)),
    "oauthbearer_set_token": (
        c_int,
        (c_void_p, c_char_p, c_int64, c_char_p, POINTER(c_char_p), c_size_t, c_char_p, c_size_t),
    ),
    "oauthbearer_set_token_failure": (c_int, (c_void_p, c_char_p)),
    "queue_new": (c_void_p, (c_void_p,)),
    "queue_destroy": (None, (c_void_p,)),
    "queue_poll": (c_void_p, (c_void_p, c_int)),
    "AdminOptions_new": (c_void_p, (c_void_p, c_int)),
    "AdminOptions_destroy": (None, (c_void_p,)),
    "AdminOptions_set_request_timeout": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    "AdminOptions_set_opaque": (None, (c_void_p, c_void_p)),
    "topic_partition_list_new": (c_void_p, (c_int,)),
    "topic_partition_list_add": (c_void_p, (c_void_p, c_char_p, c_int32)),
    "topic_partition_list_destroy": (None, (c_void_p,)),
    "ListConsumerGroupOffsets_new": (c_void_p, (c_char_p, c_void_p)),
    "ListConsumerGroupOffsets_destroy": (None, (c_void_p,)),
    "ListConsumerGroupOffsets": (None, (c_void_p, POINTER(c_void_p), c_size_t, c_void_p, c_void_p)),
    "ListConsumerGroupOffsets_result_groups": (POINTER(c_void_p), (c_void_p, POINTER(c_size_t))),
    "event_ListConsumerGroupOffsets_result": (c_void_p, (c_void_p,)),
    "event_error": (c_int, (c_void_p,)),
    "event_error_string": (c_char_p, (c_void_p,)),
    "event_opaque": (c_void_p, (c_void_p,)),
    "event_destroy": (None, (c_void_p,)),
    "group_result_error": (c_void_p, (c_void_p,)),
    "group_result_partitions": (POINTER(_PartitionList), (c_void_p,)),
    "error_code": (c_int, (c_void_p,)),
    "error_string": (c_char_p, (c_void_p,)),
}


class _Functions:
    """The functions of the very librdkafka that the Python library is linked with, found through its module."""

    def __init__(self) -> None:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, f"rd_kafka_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)  # tells type checkers that what `setattr` made is there


_RD = _Functions()


class Request:
    """Partitions to ask about: `topics` with their `numbers`, in the order asked; `turns` are where topics begin.

    Made once and used for many groups, since the library's own list costs more to make than all the rest of asking.
    """

    __slots__ = ("__weakref__", "address", "numbers", "topics", "turns")

    def __init__(self, topics: Sequence[str], numbers: Sequence[int]) -> None:
        self.topics, self.numbers = tuple(topics), np.array(numbers, dtype=np.int32)
        self.turns = tuple(i for i, topic in enumerate(topics) if i == 0 or topic != topics[i - 1])
        self.address: int = _RD.topic_partition_list_new(len(topics))
        weakref.finalize(self, _RD.topic_partition_list_destroy, self.address).atexit = False
        for topic, number in zip(topics, numbers, strict=True):
            _RD.topic_partition_list_add(self.address, topic.encode(), number)


@dataclass(frozen=True, slots=True, eq=False)
class Committed:
    """What one group has committed; `offsets` below 0 say that there is none. `errors` is by position.

    `as_asked` says that these are the very partitions of the request, in its order.
    """

    topics: Sequence[str]
    numbers: Codes
    offsets: Ids
    errors: Mapping[int, KafkaError]
    as_asked: bool = False


class GroupOffsets:
    """One handle, to be thrown away when a coordinator hangs or denies. Made without connecting; thread-safe.

    `settings` are the library's, `group` is any that may be described: its name is all that the handle's own group has.
    Requests never time out inside the library (see `KafkaClient`): closing the handle ends them.
    Raises KafkaException where the library does not take the settings.
    """

    def __init__(self, settings: Mapping[str, Any], group: str) -> None:
        self._lock = threading.Lock()
        self._closing = False
        self._numbers = count(1)
        self._waiting: dict[int, tuple[Future[Committed], Request | None]] = {}
        self._refresh_token = _OnToken(_token_refresher(settings["oauth_cb"])) if "oauth_cb" in settings else None
        # Without a name, which is a name that Kafka takes, the handle would have no group.
        self._handle = self._open({**settings, "group.id": group or _NAMELESS})
        self._queue = _RD.queue_new(self._handle)
        threading.Thread(target=self._serve, name="kafka-committed", daemon=True).start()

    def ask(self, group: str, request: Request | None) -> Future[Committed]:
        """Ask what a group has committed: on these partitions, or on all where it has."""
        future: Future[Committed] = Future()
        with self._lock:
            if self._closing:
                raise KafkaException(KafkaError(KafkaError._DESTROY))
            number = next(self._numbers)
            self._waiting[number] = future, request
            self._send(number, group, request)
        return future

    def close(self) -> None:
        """Begin to let go of the connections; what is still asked ends with an error."""
        with self._lock:
            self._closing = True

    def _open(self, settings: Mapping[str, Any]) -> int:
        said = ctypes.create_string_buffer(_SAID)
        configuration = _RD.conf_new()
        for key, value in {**settings, "enable.auto.commit": False, "log_level": 0}.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if not callable(value) and _RD.conf_set(configuration, key.encode(), text.encode(), said, _SAID):
                _RD.conf_destroy(configuration)
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG, said.value.decode()))
        if self._refresh_token is not None:
            _RD.conf_set_oauthbearer_token_refresh_cb(configuration, self._refresh_token)
            _RD.conf_enable_sasl_queue(configuration, 1)  # without it there is nothing to serve in the background
        handle: int | None = _RD.new(_CONSUMER, configuration, said, _SAID)
        if not handle:
            _RD.conf_destroy(configuration)
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, said.value.decode()))
        if self._refresh_token is not None:
            _RD.sasl_background_callbacks_enable(handle)
        return handle

    def _send(self, number: int, group: str, request: Request | None) -> None:
        options = _RD.AdminOptions_new(self._handle, _LIST_GROUP_OFFSETS)
        _RD.AdminOptions_set_request_timeout(options, _NEVER_MS, None, 0)
        _RD.AdminOptions_set_opaque(options, number)
        # It copies the list.
        asked = _RD.ListConsumerGroupOffsets_new(group.encode(), None if request is None else request.address)
        _RD.ListConsumerGroupOffsets(self._handle, (c_void_p * 1)(asked), 1, options, self._queue)
        _RD.ListConsumerGroupOffsets_destroy(asked)
        _RD.AdminOptions_destroy(options)

    def _serve(self) -> None:
        """Hand out results until somebody closes; the handle ends in the thread that reads from it."""
        try:
            while not self._closing:
                event = _RD.queue_poll(self._queue, _STEP_MS)
                if event:
                    self._take(event)
                    _RD.event_destroy(event)
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:  # whoever is sending has the handle still
            self._closing = True
            left, self._waiting = list(self._waiting.values()), {}
        for future, _ in left:
            future.set_exception(KafkaException(KafkaError(KafkaError._DESTROY)))
        _RD.queue_destroy(self._queue)
        _RD.destroy_flags(self._handle, _NO_CLOSE)

    def _take(self, event: int) -> None:
        future, request = self._waiting.pop(_RD.event_opaque(event))
        code = _RD.event_error(event)
        if code:
            future.set_exception(KafkaException(KafkaError(code, (_RD.event_error_string(event) or b"").decode())))
            return
        amount = c_size_t()
        result = _RD.event_ListConsumerGroupOffsets_result(event)
        group = _RD.ListConsumerGroupOffsets_result_groups(result, ctypes.byref(amount))[0]
        error = _RD.group_result_error(group)
        if error:
            said = (_RD.error_string(error) or b"").decode()
            future.set_exception(KafkaException(KafkaError(_RD.error_code(error), said)))
        else:
            future.set_result(_read_list(_RD.group_result_partitions(group), request))


def _read_list(found: Any, request: Request | None) -> Committed:
    """Copy a list of the library's; what it points to is gone with the event."""
    length = found.contents.cnt if found else 0
    if not length:
        return Committed((), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64), {})
    found_rows: Any = (_Partition * length).from_address(found.contents.elems)
    rows = np.frombuffer(found_rows, dtype=_ROW)
    numbers, offsets, names = rows["partition"].copy(), rows["offset"].copy(), rows["topic"]
    errors = {int(i): KafkaError(int(rows["err"][i])) for i in np.flatnonzero(rows["err"])}
    # Names cost more than all the rest. Asked for by name, brokers answer in the order asked; looking where the topic
    # changes is enough to be sure of it.
    if (
        request is not None
        and np.array_equal(numbers, request.numbers)
        and all(_name_at(names[turn]) == request.topics[turn] for turn in request.turns)
    ):
        return Committed(request.topics, numbers, offsets, errors, as_asked=True)
    return Committed([_name_at(name) for name in names], numbers, offsets, errors)


def _name_at(address: int) -> str:
    return ctypes.string_at(int(address)).decode()


def _token_refresher(sign: Callable[[str], tuple[str, float]]) -> Callable[[int, bytes | None, int | None], None]:
    """Return what the library calls, in a thread of its own, when it wants a token."""

    def refresh(handle: int, configuration: bytes | None, _opaque: int | None) -> None:
        said = ctypes.create_string_buffer(_SAID)
        try:
            token, expires_at = sign((configuration or b"").decode())
        except AuthenticationFailed as error:  # the library tells it as its own, and tries again
            _RD.oauthbearer_set_token_failure(handle, str(error).encode())
            return
        if _RD.oauthbearer_set_token(handle, token.encode(), int(expires_at * 1000), b"", None, 0, said, _SAID):
            _RD.oauthbearer_set_token_failure(handle, said.value or b"no token")

    return refresh
