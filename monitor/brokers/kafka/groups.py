"""Consumer groups: who is in them, which partitions they own, and what they have committed.

What a group has committed is asked in one of two ways. The whole group at once tells partitions that were not known,
but the library's work grows with the square of the answer; named partitions in chunks cost a fraction of it for large
groups, but tell nothing new. So small groups are asked whole in every cycle, large ones at first sight and every
`_WHOLE_EVERY` cycles (not all in the same one), and in between by the partitions known and those that members own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import KafkaError

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.committed import UNREADABLE, Committed, Request
from monitor.brokers.kafka.lanes import Call, Unsettled
from monitor.brokers.kafka.metadata import (
    NO_LEADER,
    OFFSETS_TOPIC,
    PARTITION_BITS,
    Directory,
    coordinator_of,
    is_watched,
    keeper_of,
)
from monitor.brokers.kafka.offsets_topic import REMEDY, OffsetsTopic, State
from monitor.brokers.kafka.problems import Problems
from monitor.config import Filter
from monitor.errors import BrokerError, Forbidden, TimedOut, Unreachable
from monitor.model import Codes, Floats, Ids

STATES = ("stable", "preparing_rebalance", "completing_rebalance", "empty", "dead", "unknown")
_STATE_NAMES = {"preparing_rebalancing": "preparing_rebalance", "completing_rebalancing": "completing_rebalance"}
REBALANCING = frozenset({"preparing_rebalance", "completing_rebalance"})
_CHUNK = 250
_WHOLE_EVERY = 20
_UNUSED_REQUESTS = 100
_GROUPS_A_CALL = 50  # one answer holds all of them, and larger batches have made the library abort (librdkafka#4605)
_NO_KEYS: Ids = np.empty(0, dtype=np.int64)
_NOBODY = hash(frozenset[Any]())


@dataclass(slots=True)
class Group:
    """One consumer group.

    `keys` are the partitions (rising) that it has committed on or that its members own; `committed` has the offset for
    each, NaN where there is none or it could not be read; `uncommitted` says which of these have none for certain.
    `owned` are the partitions that a member owns and `consumers` the members that own any, by topic; `idle` are the
    members that own none, `assignment` tells one distribution of partitions from another. All None while that is not
    known (the group was not described, is rebalancing, or assigns its partitions by itself).
    """

    name: str
    code: int
    state: str = "unknown"
    type: str = "unknown"
    simple: bool = False
    coordinator: int = NO_LEADER
    members: int | None = None
    owned: Ids | None = None
    consumers: Mapping[str, int] | None = None
    idle: int | None = None
    assignment: int | None = None
    keys: Ids = field(default_factory=lambda: _NO_KEYS)
    committed: Floats = field(default_factory=lambda: np.empty(0))
    uncommitted: np.ndarray[Any, np.dtype[np.bool_]] = field(default_factory=lambda: np.empty(0, dtype=bool))
    read_whole: bool = False
    whole_in: int = 0
    requests: tuple[tuple[Ids, Request], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether it has no members for certain."""
        return self.state in ("empty", "dead")


@dataclass(slots=True)
class _Answer:
    """What has come in of one group's committed offsets in this cycle: partitions with their offsets, chunk by chunk.

    An offset below 0 says that there is none, `UNREADABLE` that it could not be read. `unread` are the partitions of
    whole requests that failed; `whole` is False when such a request was for whatever there is.
    """

    keys: list[Ids] = field(default_factory=list)
    offsets: list[Ids] = field(default_factory=list)
    unread: list[Ids] = field(default_factory=list)
    whole: bool = True

    def fail(self, group: Group, keys: Ids | None) -> None:
        """Note that these partitions could not be read, or with None, that nothing of the group could."""
        self.unread.append(group.keys if keys is None else keys)
        self.whole = self.whole and keys is not None


class Groups:
    """All groups that are watched, from cycle to cycle. Codes of groups are never given again."""

    def __init__(self, names: Filter) -> None:
        self._filter = names
        self._next_code = 0
        self._chunks: dict[bytes, Request] = {}
        self._missing: set[str] = set()  # in the last listing, which was whole
        self._silent: set[int] = set()  # coordinators that did not answer in this cycle
        self.by_name: dict[str, Group] = {}

    def update(self, listing: Any, problems: Problems) -> None:
        """Take over a listing. Groups that are missing in it go if every broker has answered, and `describe` agrees.

        A broker that has just begun to serve lists the groups that it has loaded, and says of no others that they
        are missing.
        """
        listed = {group.group_id: group for group in listing.valid if is_watched(group.group_id, self._filter)}
        for error in listing.errors:
            problems.add(error, "listing groups")
        self._missing = set() if listing.errors else self.by_name.keys() - listed.keys()
        for name in sorted(listed.keys() - self.by_name.keys()):
            self.by_name[name] = Group(name, self._next_code)
            self._next_code += 1
        for name, group in self.by_name.items():
            _take_listing(group, listed.get(name))

    def describe(self, client: KafkaClient, directory: Directory, seconds: float, problems: Problems) -> None:
        """Find out members and what they own, and whether groups that are missing in a whole listing are gone.

        A group without members, as the listing tells, need not be asked.
        """
        self._silent = set()
        lanes: dict[int, list[str]] = {}
        for group in self.by_name.values():
            coordinator = self._coordinator(group, directory)
            if group.is_empty and coordinator != NO_LEADER:
                group.members, group.owned, group.consumers = 0, None if group.simple else _NO_KEYS, {}
                group.idle, group.assignment = 0, _NOBODY
            else:
                group.members = group.owned = group.consumers = group.idle = group.assignment = None
                lanes.setdefault(coordinator, []).append(group.name)
        calls = {
            broker: [client.descriptions((broker, batch), batch) for batch in _batches(names, _GROUPS_A_CALL)]
            for broker, names in lanes.items()
        }
        for call, results in client.run(calls, seconds):
            broker, names = call.key
            if isinstance(results, BrokerError):
                self._note(results, broker, "describing groups", len(names), problems)
                continue
            for name, result in zip(names, results, strict=True):
                if name in self._missing and _is_gone(result):
                    del self.by_name[name]
                elif isinstance(result, KafkaError):
                    problems.add(result, "describing groups")
                else:
                    _take_description(self.by_name[name], result, directory)

    def read_committed(self, client: KafkaClient, directory: Directory, seconds: float, problems: Problems) -> None:
        """Ask the coordinators what all groups have committed."""
        answers = {name: _Answer() for name in self.by_name}
        self._ask(self.by_name.values(), answers, client, directory, seconds, problems)
        self._take(answers)

    def take_committed(
        self,
        topic: OffsetsTopic,
        states: Codes,
        client: KafkaClient,
        directory: Directory,
        seconds: float,
        problems: Problems,
    ) -> None:
        """Take what has been read in the offsets topic, and ask about the groups that a transaction holds up there.

        `states` are those of the topic's partitions. What is not read to its end is unknown, but known to be there.
        """
        answers = {name: _Answer() for name in self.by_name}
        commits, held = topic.log.commits(directory), []
        if answers and not len(states):
            problems.add(Forbidden("it cannot be seen", remedy=REMEDY), f"reading {OFFSETS_TOPIC}")
        for name, group in self.by_name.items():
            keys, offsets = commits.of(name)
            state = states[keeper_of(name, len(states))] if len(states) else State.SILENT
            if state == State.READ:
                answers[name].keys.append(keys)
                answers[name].offsets.append(offsets)
            elif state == State.HELD:
                held.append(group)
            else:
                answers[name].fail(group, None)
                answers[name].unread.append(keys)
        self._ask(held, answers, client, directory, seconds, problems)
        self._take(answers)

    def _ask(
        self,
        groups: Iterable[Group],
        answers: Mapping[str, _Answer],
        client: KafkaClient,
        directory: Directory,
        seconds: float,
        problems: Problems,
    ) -> None:
        """Ask about groups, side by side for each coordinator."""
        lanes: dict[int, list[Call[Any]]] = {}
        for group in groups:
            coordinator = self._coordinator(group, directory)
            if coordinator in self._silent:
                answers[group.name].fail(group, None)
            else:
                lanes.setdefault(coordinator, []).extend(self._calls(client, group, coordinator, directory))
        for call, result in client.run(lanes, seconds):
            broker, name, keys = call.key
            answer = answers[name]
            if isinstance(result, BrokerError):
                self._note(result, broker, "reading committed offsets", 1, problems)
                answer.fail(self.by_name[name], keys)
            else:
                _take_offsets(answer, result, keys, directory, problems)

    def _take(self, answers: Mapping[str, _Answer]) -> None:
        for name, answer in answers.items():
            _take_answer(self.by_name[name], answer)
        self._drop_unused_requests()

    def _coordinator(self, group: Group, directory: Directory) -> int:
        """Return the broker to ask about a group: by Kafka's rule, or, where that cannot be seen, as told last."""
        told = coordinator_of(group.name, directory.coordinators)
        return group.coordinator if told == NO_LEADER else told

    def _note(self, error: BrokerError, broker: int, doing: str, times: int, problems: Problems) -> None:
        if isinstance(error, TimedOut | Unreachable) and not isinstance(error, Unsettled) and broker != NO_LEADER:
            self._silent.add(broker)
        problems.add(error, doing if broker == NO_LEADER else f"{doing} that broker {broker} coordinates", times)

    def _calls(self, client: KafkaClient, group: Group, coordinator: int, directory: Directory) -> Iterator[Call[Any]]:
        if len(group.keys) <= _CHUNK or group.whole_in <= 0:
            # Spread by code: all large groups of a cluster are first seen in the same cycle.
            group.whole_in = _WHOLE_EVERY + group.code % _WHOLE_EVERY
            yield client.committed((coordinator, group.name, None), group.name, None)
            return
        group.whole_in -= 1
        if not group.requests:
            group.requests = tuple(self._requests(group.keys, directory))
        for keys, request in group.requests:
            yield client.committed((coordinator, group.name, keys), group.name, request)

    def _requests(self, keys: Ids, directory: Directory) -> Iterator[tuple[Ids, Request]]:
        partitions = directory.partitions
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            # Many groups read the same topics: they share the requests.
            mark = chunk.tobytes()
            if mark not in self._chunks:
                topics, numbers = zip(*partitions.named(partitions.slots_of(chunk)), strict=True)
                self._chunks[mark] = Request(topics, numbers)
            yield chunk, self._chunks[mark]

    def _drop_unused_requests(self) -> None:
        used = sum(len(group.requests) for group in self.by_name.values())
        if len(self._chunks) > used + _UNUSED_REQUESTS:
            self._chunks = {
                keys.tobytes(): request for group in self.by_name.values() for keys, request in group.requests
            }

    def forget_partitions(self, directory: Directory) -> None:
        """Drop what is known of partitions that are no longer there, and requests that nobody shares any more."""
        for group in self.by_name.values():
            kept = directory.partitions.slots_of(group.keys) >= 0
            if not kept.all():
                group.keys, group.committed = group.keys[kept], group.committed[kept]
                group.uncommitted = group.uncommitted[kept]
            group.requests = ()
        self._chunks.clear()


def _is_gone(result: Any) -> bool:
    """Say whether what a coordinator answers about a group that is not listed means that there is none."""
    if isinstance(result, KafkaError):
        # What may not be described any more is not listed either, and nothing can be told of it.
        return result.code() in (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.GROUP_AUTHORIZATION_FAILED)
    return _state_name(result.state) == "dead"


def _take_listing(group: Group, listed: Any) -> None:
    if listed is None:
        group.state = "unknown"
        return
    group.simple = listed.is_simple_consumer_group
    group.state = _state_name(listed.state)
    if listed.type is not None:
        group.type = listed.type.name.lower()


def _take_description(group: Group, description: Any, directory: Directory) -> None:
    group.state = _state_name(description.state)
    if description.type is not None and description.type.name != "UNKNOWN":
        group.type = description.type.name.lower()
    group.members = len(description.members)
    if description.coordinator is not None:
        group.coordinator = description.coordinator.id
    if group.state in REBALANCING:
        return  # members have no partitions now, which does not mean that nobody will read them
    consumers: dict[str, int] = {}
    topics: list[int] = []
    numbers: list[int] = []
    index = directory.index
    shares = {}
    for member in description.members:
        owned = [(part.topic, part.partition) for part in member.assignment.topic_partitions]
        shares[member.member_id] = frozenset(owned)
        for topic in {topic for topic, _ in owned}:
            consumers[topic] = consumers.get(topic, 0) + 1
        topics += [index.get(topic, -1) for topic, _ in owned]
        numbers += [number for _, number in owned]
    keys, _ = _keys_of(topics, numbers, directory)
    group.consumers, group.owned = consumers, np.unique(keys)
    group.idle, group.assignment = sum(not share for share in shares.values()), hash(frozenset(shares.items()))


def _take_offsets(
    answer: _Answer, found: Committed, asked: Ids | None, directory: Directory, problems: Problems
) -> None:
    """Take in an answer, to a request for the partitions `asked` or for all."""
    offsets = found.offsets
    for position, error in found.errors.items():
        problems.add(error, f"committed offsets of topic {found.topics[position]}")
        offsets[position] = UNREADABLE
    if asked is not None and found.as_asked:
        answer.keys.append(asked)
        answer.offsets.append(offsets)
        return
    index = directory.index
    keys, known = _keys_of([index.get(topic, -1) for topic in found.topics], found.numbers, directory)
    answer.keys.append(keys)
    answer.offsets.append(offsets[known])


def _keys_of(topics: Sequence[int], numbers: Sequence[int] | Codes, directory: Directory) -> tuple[Ids, Any]:
    """Return the keys of partitions that are watched, and a mask of which of the given ones these are.

    A partition that metadata does not know yet is left for the next cycle.
    """
    partitions = directory.partitions
    topic, number = np.array(topics, dtype=np.int64), np.array(numbers, dtype=np.int64)
    known = (topic >= 0) & (number >= 0)
    known[known] = number[known] < np.diff(partitions.first)[topic[known]]
    return partitions.codes[topic[known]] << PARTITION_BITS | number[known], known


def _take_answer(group: Group, answer: _Answer) -> None:
    keys, offsets = np.concatenate([_NO_KEYS, *answer.keys]), np.concatenate([_NO_KEYS, *answer.offsets])
    unread = np.concatenate([keys[offsets == UNREADABLE], *answer.unread])
    keys, offsets = keys[offsets >= 0], offsets[offsets >= 0]
    owned = group.owned if group.owned is not None else _NO_KEYS
    # Partitions that are owned but not committed come last, so that `unique` takes the others where both are there.
    every = np.concatenate([keys, unread, owned])
    values = np.concatenate([offsets.astype(np.float64), np.full(len(unread) + len(owned), np.nan)])
    merged, first = np.unique(every, return_index=True)
    group.committed, group.uncommitted = values[first], (first >= len(keys) + len(unread)) & answer.whole
    group.read_whole = answer.whole and not len(unread)
    if not np.array_equal(merged, group.keys):
        group.keys, group.requests = merged, ()


def _state_name(state: Any) -> str:
    name = state.name.lower() if state is not None else "unknown"
    return _STATE_NAMES.get(name, name)


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
