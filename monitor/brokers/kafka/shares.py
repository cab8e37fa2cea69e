"""Share groups (KIP-932): they are recognised, and told as what this client cannot measure.

Their members share partitions and acknowledge record by record, so there are no committed offsets to compare with a
log, and the library asks neither for their members nor for where they stand (`list_consumer_groups` of librdkafka 2.16
leaves every group out that is not a consumer group). Its older call lists all of them, but describes each in the
protocol of classic groups, in which a share group is dead and without a protocol. Groups of Kafka Streams' own protocol
(KIP-1071) look the same.

That call describes all groups, so it is made seldom, and only in clusters that have a topic for share groups' state.
"""

from collections.abc import Collection

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.metadata import OWN_PREFIX, SHARE_STATE_TOPIC
from monitor.brokers.kafka.problems import Problems
from monitor.config import Filter
from monitor.errors import BrokerError

_EVERY_CYCLES = 20
_DEAD = "dead"


class ShareGroups:
    """The share groups of one cluster, as they were when they were last listed."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._due_in = 0
        self.names: tuple[str, ...] = ()

    def refresh(
        self,
        client: KafkaClient,
        topics: Collection[str],
        measurable: Collection[str],
        seconds: float,
        problems: Problems,
    ) -> None:
        """List them if that is due. `topics` are all of the cluster, `measurable` the consumer groups."""
        if SHARE_STATE_TOPIC not in topics:
            self.names, self._due_in = (), 0
            return
        # A group that began between the two listings of a cycle may have been taken for one.
        self.names = tuple(name for name in self.names if name not in measurable)
        if self._due_in:
            self._due_in -= 1
            return
        try:
            groups = client.list_groups_of_all_kinds(seconds)
        except BrokerError as error:
            problems.add(error, "listing share groups")
            return
        self._due_in = _EVERY_CYCLES
        self.names = tuple(sorted(
            name
            for name, state, protocol in groups
            if state.lower() == _DEAD
            and not protocol
            and name not in measurable
            and not name.startswith(OWN_PREFIX)
            and self._wanted.matches(name)
        ))  # fmt: skip
