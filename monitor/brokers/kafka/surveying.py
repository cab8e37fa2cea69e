"""What a redrive of a Kafka topic's dead letters would do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.committed import Request
from monitor.brokers.kafka.elsewhere import BATCH
from monitor.brokers.kafka.letters import read_letter
from monitor.brokers.kafka.origins import Origins
from monitor.brokers.kafka.reading import LetterReader
from monitor.brokers.kafka.topics import Topics
from monitor.brokers.kafka.waiting import Span, bounds_of
from monitor.errors import BrokerError, TimedOut
from monitor.letters import ARCHIVED, GROUP_PREFIX, Action, DeadMessage, Guarantee, PlanRequest, Survey

_SAMPLES = 5
_GROUPS_ASKED = 500
_READERS_SECONDS = 10.0
_ORDERING = (
    "In order within each partition; but they come after the newer messages of the same key that are there already."
)
_FAR = "No transaction spans two clusters: after an interruption the last batch may be sent once more."


@dataclass(frozen=True, slots=True)
class _Look:
    """What lies within the bounds of a plan: what was `seen` there, the `letters` of it that are asked for.

    `count` is how many are asked for; where not `exact`, not all were seen, and it is how many there are at most.
    """

    bounds: Mapping[str, Any]
    seen: tuple[DeadMessage, ...]
    letters: tuple[DeadMessage, ...]
    count: int
    exact: bool


class Surveyor:
    """Surveys the dead-letter topics of one cluster. Thread-safe; what it reads is not changed by that."""

    def __init__(
        self,
        cluster: str,
        mapped: Mapping[str, Sequence[str]],
        client: KafkaClient,
        topics: Topics,
        reader: LetterReader,
    ) -> None:
        self._cluster, self._mapped, self._client = cluster, mapped, client
        self._topics, self._reader = topics, reader

    def survey_elsewhere(self, queue: str, request: PlanRequest, there: "Surveyor", deadline: float) -> Survey:
        """Find out what a plan has to say whose target is a topic of another cluster, which `there` surveys."""
        survey = self.survey(queue, request, deadline, there)
        return replace(
            survey,
            bounds={**survey.bounds, "cluster": there._cluster},
            target=f"{there._cluster}/{survey.target}" if survey.target else None,
            guarantee=Guarantee.AT_LEAST_ONCE,
            max_duplicates_per_interruption=BATCH,
            warnings=(_FAR, *survey.warnings),
        )

    def survey(self, queue: str, request: PlanRequest, deadline: float, there: "Surveyor | None" = None) -> Survey:
        """Find out what a plan has to say; `there` surveys the target's cluster, if that is another one."""
        look = self._look_at(queue, request.positions, deadline)
        if request.action == Action.ARCHIVE:
            return _survey_archiving(look)
        home = there or self
        topics = home._topics.partitions(deadline)
        mapped = self._mapped.get(queue, ())
        found = Origins(home._cluster, queue, topics, mapped, request.target, elsewhere=there is not None)
        found.look_at(look.seen)
        also, incomplete = home._readers(found.targets, topics, deadline)
        groups = {str(letter.origin_detail["group"]) for letter in look.seen if "group" in letter.origin_detail}
        return Survey(
            count=look.count,
            count_is_exact=look.exact,
            bounds={
                **look.bounds,
                "targets": found.targets,
                "default": found.default,
                "forced": found.forced,
            },
            target=", ".join(found.targets) or None,
            guarantee=Guarantee.EXACTLY_ONCE,
            max_duplicates_per_interruption=0,
            origin_evidence=tuple(found.evidence),
            also_receives=tuple(group for group in also if len(groups) != 1 or group not in groups),
            ordering=_ORDERING,
            warnings=(*found.warnings, *incomplete, *_warn_of_readers(also, groups)),
            blockers=tuple(found.blockers),
            samples=look.letters[:_SAMPLES],
        )

    def survey_archive(self, queue: str, archive: str, deadline: float) -> Survey:
        """Find out how much of an archive the ledger has and the topic still holds."""
        marks = self._topics.marks(archive, queue, deadline)
        count = sum(until - first for rows in marks.values() for first, until in rows.items())
        return Survey(
            count=count,
            count_is_exact=True,
            bounds={"count": count},
            target=queue,
            guarantee=Guarantee.EXACTLY_ONCE,
            max_duplicates_per_interruption=0,
            ordering="They wait again where they lie.",
        )

    def count_selected(
        self, queue: str, bounds: Mapping[str, Any], selected: Callable[[DeadMessage], bool], deadline: float
    ) -> tuple[int, bool, Sequence[DeadMessage]]:
        """Read what is within the bounds and count, as far as the time allows; the rest is taken for selected."""
        by_partition = {it.partition: it for it in self._topics.waiting(queue, deadline)}
        spans = [Span(by_partition[int(number)], *bound) for number, bound in bounds["partitions"].items()]
        unread = {span.waiting.partition: span for span in spans}
        count, samples = 0, list[DeadMessage]()
        try:
            for message in self._reader.read(queue, spans, deadline):
                span = unread[number := int(message.partition() or 0)]
                unread[number] = replace(span, low=int(message.offset() or 0) + 1)
                letter = read_letter(message)
                if selected(letter):
                    count += 1
                    samples += [letter] if len(samples) < _SAMPLES else []
        except TimedOut:
            return count + sum(span.count for span in unread.values()), False, samples
        return count, True, samples

    def _look_at(self, queue: str, positions: Sequence[str], deadline: float) -> _Look:
        waiting = {it.partition: it for it in self._topics.waiting(queue, deadline)}
        bounds = bounds_of(waiting.values(), positions)
        count = sum(waiting[int(number)].count(low, high) for number, (low, high) in bounds.items())
        seen, exact = self._reader.sample(queue, waiting, bounds, count, deadline)
        wanted = set(positions)
        letters = tuple(letter for letter in seen if not wanted or letter.position in wanted)
        if exact:
            count = len(letters)
        elif wanted:
            count = min(count, len(wanted))
        since = {str(number): it.cursor for number, it in waiting.items()}
        told = {"partitions": bounds, "since": since | {"topic_id": self._topics.topic_id(queue, deadline)}}
        return _Look(told, tuple(seen), letters, count, exact)

    def _readers(
        self, targets: Sequence[str], topics: Mapping[str, int], deadline: float
    ) -> tuple[list[str], list[str]]:
        """Return the groups that have read the targets, and warnings where not all could be asked."""
        seconds = min(_READERS_SECONDS, self._client.remaining(deadline) / 2)
        listed = self._client.wait(self._client.list_groups(seconds), seconds).valid
        groups = [it.group_id for it in listed if not it.group_id.startswith(GROUP_PREFIX)]
        asked = [(name, number) for name in targets for number in range(min(topics[name], 50))]
        request = Request([name for name, _ in asked], [number for _, number in asked])
        calls = [self._client.committed(group, group, request) for group in groups[:_GROUPS_ASKED] if asked]
        found, missing = [], max(0, len(groups) - _GROUPS_ASKED)
        for call, result in self._client.run({0: calls}, seconds):
            if isinstance(result, BrokerError):
                missing += 1
            elif (result.offsets >= 0).any():
                found.append(call.key)
        told = [f"{missing} consumer groups could not be asked whether they read the target."] if missing else []
        return sorted(found), told


def _survey_archiving(look: _Look) -> Survey:
    return Survey(
        count=look.count,
        count_is_exact=look.exact,
        bounds=look.bounds,
        target=ARCHIVED,
        guarantee=Guarantee.EXACTLY_ONCE,
        max_duplicates_per_interruption=0,
        ordering="They stay in their topic, as long as its retention lasts, and are no longer counted as waiting.",
        samples=look.letters[:_SAMPLES],
    )


def _warn_of_readers(also: Sequence[str], failed: set[str]) -> list[str]:
    if len(also) > 1 and len(failed) != 1:
        return ["Every group that reads the target gets the messages again; which of them had failed is not known."]
    others = [group for group in also if group not in failed]
    if failed and others:
        return [f"Besides {', '.join(sorted(failed))}, which had failed, {len(others)} more groups get them again."]
    return []
