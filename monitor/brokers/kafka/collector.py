"""Reads a Kafka cluster: lag and progress of every consumer group, partitions, dead-letter topics.

The order of a cycle matters: committed offsets are read before the ends of the logs, so that a busy consumer cannot
appear to be ahead of its log.
"""

from collections.abc import Sequence

import numpy as np

from monitor.brokers.kafka.activity import GroupActivity
from monitor.brokers.kafka.ages import AgeBook, Sound
from monitor.brokers.kafka.checks import check_cluster
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.dead_letters import DeadLetterTopics
from monitor.brokers.kafka.facts import TopicFacts
from monitor.brokers.kafka.groups import Groups
from monitor.brokers.kafka.lag import Mask, RowLogs, advance, grown, measure, new_progress_memory
from monitor.brokers.kafka.memory import Memory
from monitor.brokers.kafka.metadata import (
    INTERNAL_TOPICS,
    Directory,
    Listing,
    Replication,
    is_watched,
    positions_in,
    read_listing,
)
from monitor.brokers.kafka.offsets import Logs, read_logs, read_times
from monitor.brokers.kafka.offsets_topic import OffsetsTopic
from monitor.brokers.kafka.probe import Probe
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.redriven import Gone, Redriven
from monitor.brokers.kafka.rows import Rows, arrange
from monitor.brokers.kafka.settings import library_settings
from monitor.brokers.kafka.shares import ShareGroups
from monitor.brokers.kafka.snapshots import (
    Reading,
    Tables,
    find_abandoned,
    make_parts,
    make_subscriptions,
    sum_up,
    tell_limits,
    tell_ownership,
)
from monitor.brokers.kafka.tail_reader import TailReader
from monitor.brokers.kafka.tails import ReadTails, Tails
from monitor.brokers.kafka.totals import Totals
from monitor.brokers.kafka.visibility import Visibility
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, KafkaCluster
from monitor.errors import BrokerError, TimedOut, Unreachable
from monitor.memory import FORGETFUL
from monitor.memory import Memory as CounterMemory
from monitor.model import Finding, Floats, Ids, Snapshot, Table

_LONGEST_LISTING = 3.0
_CLOCK_WAS_SET_SECONDS = 2.0
# Shares of the time that is left when a stage begins: a broker that hangs may use one up, and the rest still fits.
_SHARE_OF_METADATA, _SHARE_OF_LISTING, _SHARE_OF_FACTS = 0.6, 0.2, 0.2
_SHARE_OF_DESCRIBING, _SHARE_OF_COMMITTED, _SHARE_OF_LOGS, _SHARE_OF_TIMES = 0.3, 0.5, 0.6, 0.25
_SHARE_OF_REDRIVEN, _SHARE_OF_VISIBILITY = 0.3, 0.5
_SHARE_OF_PROBE = 0.5
_SHARE_OF_READING = 0.7
_SHARE_OF_TAILS, _LONGEST_TAILS = 0.2, 2.0


class KafkaCollector:
    """Reads one Kafka cluster through its admin API; it needs no right to read any topic.

    Where it may read, it does so for what the API cannot tell: whether the last offsets of a quiet log hold a record.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        dead_letters: Sequence[DeadLetterMapping],
        clock: Clock,
        memory: CounterMemory = FORGETFUL,
    ) -> None:
        self._cluster, self._clock = cluster, clock
        self._client = KafkaClient(cluster, clock.monotonic)
        self._visibility = Visibility(self._client, clock)
        self._directory = Directory()
        self._groups = Groups(cluster.watched_groups)
        self._offsets_topic = self._open_offsets_topic() if cluster.commits == "offsets_topic" else None
        self._facts = TopicFacts()
        self._dead_letters = DeadLetterTopics(cluster.name, dead_letters)
        self._redriven = Redriven(self._client, library_settings(cluster), clock)
        self._book = AgeBook()
        self._tables = Tables()
        self._ends = Memory(start=np.nan, end=np.nan, transactional=0.0)
        self._progress = new_progress_memory()
        self._tails = Tails(clock.monotonic)
        self._tail_reader = TailReader(lambda: library_settings(cluster), clock)
        self._totals = Totals(memory)
        self._activity = GroupActivity(memory)
        self._shares = ShareGroups(cluster.watched_groups)
        self._all_listed = False
        self._rows: Rows | None = None
        self._clock_ahead: float | None = None
        self._probe = _make_probe(cluster, clock, memory)

    def collect(self, deadline: float) -> Snapshot:
        """Read everything once; see `registry.Collector`."""
        taken_at, began = self._clock.now(), self._clock.monotonic()
        self._heed_clock(taken_at - began)
        problems = Problems()
        listing = self._survey(deadline, problems)
        replication = self._take_topics(listing, problems)
        directory = self._directory
        self._groups.describe(self._client, directory, self._share(deadline, _SHARE_OF_DESCRIBING), problems)
        self._read_committed(self._share(deadline, _SHARE_OF_COMMITTED), problems)
        polled_at = self._clock.now()
        logs = read_logs(
            self._client, directory.partitions, replication, self._share(deadline, _SHARE_OF_LOGS), problems
        )
        if len(logs.end) and not np.isfinite(logs.end).any():
            raise problems.worst() or TimedOut("no partition's offsets could be read", target=self._cluster.name)
        self._refresh_facts(deadline, problems)
        hidden = self._visibility.tell(len(listing.topics), self._share(deadline, _SHARE_OF_VISIBILITY))
        reading, published = self._reckon(replication, logs, polled_at, deadline, problems)
        pairs = sum_up(reading)
        return Snapshot(
            cluster=self._cluster.name,
            kind=self._cluster.kind,
            taken_at=taken_at,
            subscriptions=make_subscriptions(self._cluster.name, reading, pairs),
            dead_letters=self._dead_letters.read(
                reading.partitions,
                logs,
                published,
                self._facts,
                self._read_redriven(listing, deadline, problems),
                polled_at,
                self._sounder(replication, deadline, problems),
            ),
            tables=self._tables.make(reading, pairs, self._cluster.granularity == "partition")
            | self._tables.make_for_cluster(listing, reading, self._facts)
            | self._look_at_probe(listing, problems),
            parts=make_parts(reading),
            expected=len(logs.end),
            measured=int(np.isfinite(logs.end - logs.start).sum()),
            errors=problems.told(),
            notes=(
                *tell_limits(reading),
                *self._tails.tell(),
                *(self._offsets_topic.tell_limits() if self._offsets_topic else ()),
                *hidden,
            ),
            duration=self._clock.monotonic() - began,
        )

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what can be reached and read; see `registry.Collector`."""
        findings = list(check_cluster(self._client, self._cluster, deadline))
        if self._probe and findings[0].ok:
            findings.append(self._probe.check(max(1.0, self._share(deadline, _SHARE_OF_PROBE))))
        return findings

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        if self._offsets_topic is not None:
            self._offsets_topic.close()
        self._redriven.close()
        if self._probe:
            self._probe.close()

    def _open_offsets_topic(self) -> OffsetsTopic:
        cluster, groups = self._cluster, self._cluster.watched_groups

        def watched(group: str, topic: str) -> bool:
            return is_watched(group, groups) and is_watched(topic, cluster.topics)

        return OffsetsTopic(self._client, lambda: library_settings(cluster), watched, self._clock)

    def _read_committed(self, seconds: float, problems: Problems) -> None:
        topic, directory = self._offsets_topic, self._directory
        if topic is None:
            self._groups.read_committed(self._client, directory, seconds, problems)
            return
        states = topic.refresh(directory.coordinators, seconds * _SHARE_OF_READING, problems)
        self._groups.take_committed(topic, states, self._client, directory, seconds, problems)

    def _look_at_probe(self, listing: Listing, problems: Problems) -> dict[str, Table]:
        if self._probe is None:
            return {}
        self._probe.look(listing)
        return self._probe.tell(problems)

    def _heed_clock(self, ahead: float) -> None:
        """Begin the times anew where the wall clock, by how much it is ahead of the steady one, has been set.

        Points of the past that a wrong clock made would misdate records for as long as they are kept.
        """
        if self._clock_ahead is not None and abs(ahead - self._clock_ahead) > _CLOCK_WAS_SET_SECONDS:
            self._book.begin_anew()
        self._clock_ahead = ahead

    def _read_redriven(self, listing: Listing, deadline: float, problems: Problems) -> Gone:
        topics = self._dead_letters.names(self._directory.partitions.topics)
        known = {name: self._facts.of(name).topic_id for name in topics}
        return self._redriven.read(listing.topics, known, self._share(deadline, _SHARE_OF_REDRIVEN), problems)

    def _share(self, deadline: float, share: float) -> float:
        return max(0.0, self._client.remaining(deadline) * share)

    def _survey(self, deadline: float, problems: Problems) -> Listing:
        """List topics and groups. Without topics nothing can be read: raises BrokerError."""
        listing = read_listing(self._client.list_topics(self._client.until(deadline, _SHARE_OF_METADATA)))
        seconds = min(self._share(deadline, _SHARE_OF_LISTING), _LONGEST_LISTING)
        listed = self._client.list_groups(seconds)
        try:
            groups = self._client.wait(listed, seconds)
        except BrokerError as error:
            self._all_listed = False
            problems.add(error, "listing groups")
        else:
            self._all_listed = not groups.errors
            self._groups.update(groups, problems)
            self._shares.refresh(self._client, listing.topics, self._groups.by_name, seconds, problems)
        return listing

    def _take_topics(self, listing: Listing, problems: Problems) -> Replication:
        """Bring all that is kept by partition into the order that metadata gives now."""
        watched = {
            name: partitions
            for name, partitions in listing.topics.items()
            if name not in INTERNAL_TOPICS and is_watched(name, self._cluster.topics)
        }
        for name in listing.unreadable:
            if name in self._directory.index:  # it is still there, and so is what is known of it
                problems.add(Unreachable("the topic's partitions are not told"), f"metadata of topic {name}")
                watched[name] = self._directory.leaderless(name)
        before = self._directory.partitions
        replication = self._directory.update(watched, listing.coordinators)
        partitions = self._directory.partitions
        if partitions is not before:
            self._book.move(positions_in(before.keys, partitions.keys))
            self._groups.forget_partitions(self._directory)
            self._ends.align(partitions.keys)
        return replication

    def _refresh_facts(self, deadline: float, problems: Problems) -> None:
        seconds = self._share(deadline, _SHARE_OF_FACTS)
        topics = self._directory.partitions.topics
        self._directory.recreated(self._facts.refresh(self._client, topics, seconds, problems))

    def _reckon(
        self, replication: Replication, logs: Logs, now: float, deadline: float, problems: Problems
    ) -> tuple[Reading, Floats]:
        partitions, groups = self._directory.partitions, list(self._groups.by_name.values())
        anew, published = self._take_logs(logs, now)
        rows = self._rows = arrange(self._cluster.name, groups, partitions, self._rows)
        committed = np.concatenate([np.empty(0), *(group.committed for group in groups)])
        uncommitted = np.concatenate([np.empty(0, dtype=bool), *(group.uncommitted for group in groups)])
        row_logs = RowLogs(
            logs.start[rows.slot],
            logs.end[rows.slot],
            logs.stable[rows.slot],
            self._ends["transactional"][rows.slot] > 0,
        )
        lag = measure(committed, uncommitted, row_logs)
        lag = self._tails.refine(rows, partitions, lag, logs, self._reader_of_tails(deadline))
        unsure = np.isin(rows.slot, anew)
        totals = self._count(rows, committed, row_logs, published[rows.slot], unsure, now)
        _tell_ahead(rows, lag.ahead, problems)
        sound = self._sounder(replication, deadline, problems)
        facts = [self._facts.of(topic) for topic in partitions.topics]
        reading = Reading(
            now=now,
            partitions=partitions,
            replication=replication,
            logs=logs,
            groups=groups,
            rows=rows,
            committed=committed,
            uncommitted=uncommitted,
            lag=lag,
            ages=self._book.tell(rows, lag, now, sound),
            totals=totals,
            retention=np.array([it.retention_seconds or np.nan for it in facts], dtype=np.float64),
            capped=np.array([it.capped for it in facts], dtype=bool),
            owned=tell_ownership(rows, groups),
            unsure=unsure,
            row_logs=row_logs,
            open_since=self._date_transactions(logs, now, sound),
            abandoned=find_abandoned(rows, groups, lag, totals, now - self._cluster.abandoned_after),
            activity=self._activity.observe(groups),
            shares=self._shares.names,
            all_groups=(
                self._all_listed and self._visibility.sees_all_groups and all(group.read_whole for group in groups)
            ),
        )
        return reading, published

    def _count(
        self, rows: Rows, committed: Floats, logs: RowLogs, published: Floats, unsure: Mask, now: float
    ) -> Memory:
        """Add to the totals what the rows did since the last cycle, and return them."""
        self._progress.align(rows.ids)
        self._progress.reset(np.flatnonzero(unsure))
        progress = advance(self._progress, committed, logs.start)
        growth = {
            "published": published,
            "consumed": progress.consumed,
            "lost": progress.lost,
            "lost_before": progress.lost_before,
            "rewinds": progress.rewound,
        }
        self._totals.add(rows, growth, committed, logs, now)
        return self._totals.columns

    def _take_logs(self, logs: Logs, now: float) -> tuple[Ids, Floats]:
        """Compare the logs with the last cycle's: return the slots whose log began anew, and what was published."""
        ends = self._ends
        anew = np.flatnonzero((logs.end < ends["end"]) | (logs.start < ends["start"]))
        if len(anew):
            partitions = self._directory.partitions
            self._book.clear(anew)
            ends.reset(anew)
            self._directory.recreated({partitions.topics[topic] for topic in partitions.topic[anew].tolist()})
        published = grown(ends["end"], logs.end)
        for name, values in (("start", logs.start), ("end", logs.end)):
            ends[name] = np.where(np.isnan(values), ends[name], values)
        open_now = np.unique(self._directory.partitions.topic[logs.stable < logs.end])
        ends["transactional"][np.isin(self._directory.partitions.topic, open_now)] = 1.0
        self._book.observe(logs.end, now)
        return anew, published

    def _date_transactions(self, logs: Logs, now: float, sound: Sound) -> Floats:
        """Return when the oldest open transaction of each slot began: its first record lies at the stable offset."""
        since = np.full(len(logs.end), np.nan)
        held = np.flatnonzero(logs.stable < logs.end)
        if len(held):
            since[held] = self._book.date(held, logs.stable[held], now, sound)
        return since

    def _reader_of_tails(self, deadline: float) -> ReadTails:
        return lambda tails: self._tail_reader.read(tails, min(self._share(deadline, _SHARE_OF_TAILS), _LONGEST_TAILS))

    def _sounder(self, replication: Replication, deadline: float, problems: Problems) -> Sound:
        def sound(slots: Ids, moments: Floats) -> tuple[Floats, Floats]:
            seconds = self._share(deadline, _SHARE_OF_TIMES)
            return read_times(self._client, self._directory.partitions, replication, slots, moments, seconds, problems)

        return sound


def _make_probe(cluster: KafkaCluster, clock: Clock, memory: CounterMemory) -> Probe | None:
    probe = cluster.probe
    if probe is None:
        return None
    security = probe.security or cluster.security
    return Probe(library_settings(cluster.model_copy(update={"security": security})), probe, clock, memory)


def _tell_ahead(rows: Rows, ahead: Mask, problems: Problems) -> None:
    """Note the topics on which groups have committed beyond the end, each with one of these groups."""
    pairs = rows.pair[ahead]
    topics, first, times = np.unique(rows.pair_topic[pairs], return_index=True, return_counts=True)
    for topic, example, partitions in zip(topics.tolist(), first.tolist(), times.tolist(), strict=True):
        group = rows.groups[rows.pair_group[pairs[example]]]
        problems.add_ahead(group, rows.pair_labels[1].values[topic], partitions)
