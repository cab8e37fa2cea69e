"""What `eventflow check` finds out about a RabbitMQ cluster: what answers, what is used, and what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.brokers.rabbitmq.amqp_source import AmqpSource
from monitor.brokers.rabbitmq.management_source import ManagementSource, Overview
from monitor.brokers.rabbitmq.notes import BLIND_SPOTS, NO_STATISTICS
from monitor.brokers.rabbitmq.prometheus_source import PrometheusSource
from monitor.clock import Clock
from monitor.errors import AuthenticationFailed, BadAnswer, BrokerError, Forbidden, TimedOut, Unreachable
from monitor.model import Finding

_REMEDIES: dict[type[BrokerError], str] = {
    AuthenticationFailed: "check user name and password in {key}",
    Forbidden: "give the user of {key} what it lacks",
    Unreachable: "check host and port in {key}, and that {part} is enabled there",
    TimedOut: "see whether the node hangs, or whether something on the way swallows the traffic",
    BadAnswer: "check that {key} leads to {part}",
}


def check_sources(
    plugin: PrometheusSource | None,
    management: ManagementSource | None,
    amqp: AmqpSource | None,
    deadline: float,
    clock: Clock,
) -> Sequence[Finding]:
    """Find out what answers, what will be used, and what each one lacks. Raises nothing that a broker causes."""
    checks: list[_Check] = []
    if plugin is not None:
        checks.append(_Check("prometheus_url", "the plugin", plugin.target, lambda end: _check_plugin(plugin, end)))
    if management is not None:
        checks.append(
            _Check(
                "management_url",
                "the management plugin",
                management.target,
                lambda end: _check_management(management, end),
            )
        )
    if amqp is not None:
        told = amqp.target if amqp.queues else ""
        checks.append(_Check("amqp_url", "the AMQP listener", told, lambda end: _check_amqp(amqp, end)))
    findings: list[Finding] = []
    sources: list[str] = []
    for place, check in enumerate(checks):
        # each gets its part of the time, so that one that hangs does not take that of the others
        now = clock.monotonic()
        found = _run(check, now + (deadline - now) / (len(checks) - place))
        findings += found
        if check.source and all(finding.ok or not finding.required for finding in found):
            sources.append(check.source)
    return [*findings, _choice(sources)]


@dataclass(frozen=True, slots=True)
class _Check:
    """What to ask of one address. `source` is what it would be as a source of depths, empty if it cannot be one."""

    key: str
    part: str
    source: str
    ask: Callable[[float], Sequence[Finding]]


def _run(check: _Check, deadline: float) -> Sequence[Finding]:
    try:
        return check.ask(deadline)
    except BrokerError as error:
        remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), "")
        told = error.remedy or remedy.format(key=check.key, part=check.part)
        return [Finding(error.target, ok=False, message=error.problem, remedy=told)]


def _choice(sources: Sequence[str]) -> Finding:
    if sources:
        return Finding("depths of queues", ok=True, message=f"come from the {sources[0]}")
    return Finding(
        "depths of queues",
        ok=False,
        message="no source tells them",
        remedy="make one of prometheus_url and management_url answer, or name queues in queues.include for amqp_url",
    )


def _check_plugin(plugin: PrometheusSource, deadline: float) -> Sequence[Finding]:
    queues = len(plugin.read(deadline).keys)
    counters = "their counters" if plugin.counts else "no counters of queues, which this version does not have"
    found = f"RabbitMQ {plugin.version} on {plugin.node}: {queues} queues, depths, consumers and {counters}"
    return [Finding(plugin.target, ok=True, message=f"{found}; {BLIND_SPOTS['plugin']}")]


def _check_management(management: ManagementSource, deadline: float) -> Sequence[Finding]:
    target = management.target
    user, tags = management.read_whoami(deadline)
    overview = management.read_overview(deadline)
    queues = len(management.read_queues(deadline, overview).queues)
    management.read_routes(deadline)
    found = f"RabbitMQ {overview.version}: the user {user} ({', '.join(tags)}) sees {queues} queues and their set-up"
    return [
        Finding(target, ok=True, message=f"{found}; {BLIND_SPOTS['management']}"),
        *_check_statistics(target, overview),
        *_check_nodes(management, deadline),
        *_check_vhosts(management, deadline),
    ]


def _check_statistics(target: str, overview: Overview) -> Sequence[Finding]:
    if not overview.stats:
        return [
            Finding(
                f"statistics of the {target}",
                ok=False,
                message=f"{NO_STATISTICS}: it tells no consumers and no counters",
                remedy="set management_agent.disable_metrics_collector = false, or set prometheus_url",
                required=False,
            )
        ]
    if not overview.counts:
        return [
            Finding(
                f"statistics of the {target}",
                ok=False,
                message="rates_mode is none: there are no counters of queues",
                remedy="set management.rates_mode = basic",
                required=False,
            )
        ]
    return []


def _check_nodes(management: ManagementSource, deadline: float) -> Sequence[Finding]:
    target = f"nodes by the {management.target}"
    try:
        nodes = management.read_nodes(deadline)
    except Forbidden:
        return [
            Finding(
                target,
                ok=False,
                message="the user may not see nodes and their alarms",
                remedy="give it the tag monitoring",
                required=False,
            )
        ]
    away = [node.name for node in nodes if not node.running]
    if away:
        return [Finding(target, ok=False, message=f"not running: {', '.join(away)}", remedy="start them")]
    return [Finding(target, ok=True, message=f"{len(nodes)} running")]


def _check_vhosts(management: ManagementSource, deadline: float) -> Sequence[Finding]:
    target = f"virtual hosts by the {management.target}"
    visible = sorted(management.read_vhosts(deadline))
    hidden = [vhost for vhost in visible if not management.may_enter(vhost, deadline)]
    if hidden:
        return [
            Finding(
                target,
                ok=False,
                message=f"the user may not enter {', '.join(hidden)}, and does not see the queues there",
                remedy="give it permissions there; empty ones (^$) are enough",
                required=False,
            )
        ]
    return [Finding(target, ok=True, message=", ".join(visible) or "none")]


def _check_amqp(amqp: AmqpSource, deadline: float) -> Sequence[Finding]:
    vhost = amqp.address.vhost
    amqp.enter(vhost, deadline)
    return [Finding(amqp.target, ok=True, message=f"the virtual host {vhost} can be entered; {BLIND_SPOTS['amqp']}")]
