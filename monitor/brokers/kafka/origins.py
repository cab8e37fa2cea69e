"""Where the letters of a dead-letter topic are to go, and by which evidence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.brokers.naming import strip_dead_suffix
from monitor.letters import GROUP_PREFIX, DeadMessage
from monitor.model import FoundBy

_INTERNAL = ("__", "_schemas", "_confluent", GROUP_PREFIX)
"""How the names of topics begin that Kafka, what belongs to it, and redrive itself keep their own state in."""


class Origins:
    """Where messages go, and by which evidence. `topics` are those of the cluster that they go to."""

    def __init__(
        self,
        cluster: str,
        queue: str,
        topics: Mapping[str, int],
        mapped: Sequence[str],
        target: str | None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._cluster, self._queue, self._topics, self._mapped = cluster, queue, topics, mapped
        self._target, self._elsewhere = target, elsewhere
        self.targets: list[str] = []
        self.default: str | None = None
        self.forced = target is not None
        self.evidence: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.blockers: list[str] = []

    def look_at(self, letters: Sequence[DeadMessage]) -> None:
        """Weigh what the letters' headers, the configuration and the name say."""
        named = Counter(letter.origin.name for letter in letters if letter.origin)
        frameworks = {it.origin.name: it.origin_detail.get("framework") for it in letters if it.origin}
        self.evidence += [
            {"origin": name, "found_by": FoundBy.HEADERS, "messages": count, "detail": frameworks[name]}
            for name, count in named.most_common()
        ]
        self.evidence += [{"origin": name, "found_by": FoundBy.CONFIGURATION} for name in self._mapped]
        by_name = strip_dead_suffix(self._queue)
        if by_name in self._topics and by_name not in named and by_name not in self._mapped:
            self.evidence.append({"origin": by_name, "found_by": FoundBy.NAME})
        if self._target is not None:
            self._take(self._target)
            self.default = self._target
            return
        silent = len(letters) - sum(named.values())
        for name in named:
            self._take(name)
        if len(self._mapped) == 1:
            self._take(self._mapped[0])
            self.default = self._mapped[0]
        elif silent and letters:
            self._tell_silent(silent, by_name if by_name in self._topics else None, bool(named))

    def _take(self, name: str) -> None:
        if name == self._queue and not self._elsewhere:
            self.blockers.append("The target is the dead-letter queue itself; name another by --target.")
        elif name.startswith(_INTERNAL):
            self._tell_impossible(f"The target {name} is an internal topic, which no message may be sent to.")
        elif name not in self._topics:
            self._tell_impossible(f"The target {name} does not exist on {self._cluster}.")
        elif name not in self.targets:
            self.targets.append(name)

    def _tell_impossible(self, told: str) -> None:
        (self.blockers if self._target or not self.targets else self.warnings).append(told)

    def _tell_silent(self, silent: int, by_name: str | None, some_are_known: bool) -> None:
        if some_are_known:
            self.warnings.append(f"{silent} of the messages looked at do not say where they came from; they stay.")
        elif by_name is not None:
            self.blockers.append(
                f"Only the name says that these come from {by_name}, and that is not enough to send them there; "
                f"if it is right, say --target {by_name}."
            )
        else:
            self.blockers.append("Nothing says where these messages came from; name a target by --target.")
