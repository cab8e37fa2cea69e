"""Sentences for people: which source is in use, and what it cannot see. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from monitor.brokers.rabbitmq.survey import Survey, alarms_of
from monitor.words import say_names

NO_STATISTICS = (
    "The broker was told not to collect statistics for the management API (management_agent.disable_metrics_collector, "
    "as in the Docker image, or management.disable_stats)"
)

BLIND_SPOTS = {
    "plugin": "it cannot see queues on other nodes, set-up (arguments, policies, bindings), nor who is blocked",
    "management": "it cannot see dead-lettered messages by reason, nor how far readers of streams are behind",
    "amqp": "it cannot see queues that are not named in queues.include, nor anything but ready messages and consumers: "
    "no unacknowledged messages, sizes, counters, ages or set-up",
}
"""What each source of a cluster cannot see, whatever the user's rights are."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a cycle used. `depth` and `management` are targets for people; empty is not configured.

    `plugin` says whether the plugin is configured; `plugin_node` is the node whose plugin was read, `peers` are others
    that it is linked to, and `plugin_counts` says whether its counters of queues were used. `hidden_vhosts` hold queues
    whose set-up this user of the management API does not see. `ambiguous` are labels that several queues have.
    """

    depth: str
    management: str
    plugin: bool = True
    plugin_node: str = ""
    plugin_counts: bool = False
    survey: Survey | None = None
    peers: Collection[str] = ()
    hidden_vhosts: Collection[str] = ()
    unread_streams: bool = False
    frugal: bool = False
    only_named: bool = False
    ambiguous: Sequence[str] = ()


def build_notes(sources: Sources) -> tuple[str, ...]:
    """Return what is to be said of a cycle's sources."""
    parts = (_depth, _survey, _counters, _streams, _publishers, _labels)
    return tuple(note for part in parts for note in part(sources))


def _depth(sources: Sources) -> Iterator[str]:
    yield f"Depths and consumers come from the {sources.depth}."
    if sources.only_named:
        yield f"AMQP alone is in use: {BLIND_SPOTS['amqp']}."
    if sources.frugal:
        yield (
            "With so many queues, sizes, consumer capacity and publishers' timestamps come from the management API at "
            "a slower pace; reported ages are as of then."
        )
    if not sources.plugin_node:
        remedy = "" if sources.plugin else "; enable rabbitmq_prometheus and set prometheus_url"
        yield f"Without the Prometheus plugin there are no counters of dead-lettered messages{remedy}."


def _survey(sources: Sources) -> Iterator[str]:
    survey = sources.survey
    if survey is None and sources.peers:
        yield (
            f"The plugin tells of the node {sources.plugin_node} alone; what is on {', '.join(sorted(sources.peers))} "
            "is not seen, and counters, of which each node has a part, are left out; set management_url."
        )
    if not sources.management:
        yield (
            "Without the management API there is no dead-letter topology: queues are told apart by their names alone; "
            "enable rabbitmq_management and set management_url."
        )
        return
    if survey is None:
        yield "The management API has not answered yet: queues are told apart by their names alone."
        return
    if survey.nodes is None:
        yield "The alarms of other nodes are hidden from this user; give it the tag monitoring."
    if sources.hidden_vhosts:
        yield (
            f"The set-up of queues in {', '.join(sources.hidden_vhosts)} is hidden from this user of the management "
            "API; give it permissions there (empty ones are enough)."
        )
    if not survey.policies_seen:
        yield "What policies define is hidden from this user; give it the tag policymaker."
    others = _other_nodes(survey, sources.plugin_node)
    if sources.plugin_node and others:
        yield (
            f"The plugin tells of the node {sources.plugin_node} alone; queues on {', '.join(others)} come from the "
            "management API at a slower pace, and dead-lettered and unroutable messages are not counted there."
        )


def _counters(sources: Sources) -> Iterator[str]:
    survey = sources.survey
    if survey is not None and not survey.overview.stats:
        told = "come from the Prometheus plugin" if sources.plugin_counts else "are not to be had"
        yield f"{NO_STATISTICS}: counters of queues {told}."
    elif survey is not None and not survey.overview.counts and not sources.plugin_counts:
        yield "The management API keeps no rates (rates_mode is none), and so no counters of queues."
    elif survey is not None and not sources.plugin_counts:
        yield "Counters of queues come from the management API."
    elif survey is None and not sources.plugin_counts:
        yield "There are no counters of queues, so that rates are unknown and ages cannot be estimated."


def _streams(sources: Sources) -> Iterator[str]:
    if sources.unread_streams:
        yield "How far readers of streams are behind is not told by this source; their backlog is unknown."


def _publishers(sources: Sources) -> Iterator[str]:
    survey = sources.survey
    alarms = alarms_of(survey.nodes or ()) if survey is not None else []
    if survey is None or not alarms:
        return
    waiting = "is not told" if survey.blocked is None else f"{survey.blocked:.0f}"
    yield f"The broker blocks publishers ({', '.join(alarms)}); how many connections wait to publish: {waiting}."


def _labels(sources: Sources) -> Iterator[str]:
    if sources.ambiguous:
        yield (
            f"Queues of several virtual hosts have the same label ({say_names(sources.ambiguous)}): metrics of "
            "subscriptions and dead letters tell only the one whose id comes first; the API tells all."
        )


def _other_nodes(survey: Survey, plugin_node: str) -> Collection[str]:
    return sorted(survey.node_names - {plugin_node})
