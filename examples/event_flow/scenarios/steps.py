"""The steps that scenarios are made of: what is done to the flow, and what must be seen of it.

What must be seen is asked of the monitor's public API and of the services' own stores, and of nothing else.
"""

import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from examples.event_flow.downstream import MAIL_SERVER, WAREHOUSE, Condition
from examples.event_flow.events import to_bytes
from examples.event_flow.poison import POISONS
from examples.event_flow.scenarios.ground import Ground, NotSeen, Write, consumers_of
from examples.event_flow.scenarios.model import Step
from examples.event_flow.shop import SCHEMA_CHANGES

DOWNSTREAM = (MAIL_SERVER, WAREHOUSE)
SERVICES = ("notification", "inventory")
SOON_SECONDS = 45.0  # a few cycles of the slowest collector, and five receives of SQS
FINAL = frozenset({"completed", "completed_with_failures", "cancelled", "failed"})

Verdict = tuple[bool, str]
"""Whether it is as it must be, and what was seen."""


# What is done


def start(*services: str, version: int = 1) -> Step:
    """Start services that know schemas up to `version`."""

    def run(ground: Ground) -> str:
        for service in services:
            ground.start(service, "--newest-version", str(version))
        return "started"

    return Step(f"start {' and '.join(services)}" + (f", knowing version {version}" if version > 1 else ""), run)


def stop(*services: str) -> Step:
    """End services in good order."""

    def run(ground: Ground) -> str:
        for service in services:
            ground.stop(service)
        return "ended"

    return Step(f"stop {' and '.join(services)}", run)


def deploy(*services: str, version: int) -> Step:
    """Replace services by a release that knows schemas up to `version`."""

    def run(ground: Ground) -> str:
        stop(*services).run(ground)
        return start(*services, version=version).run(ground)

    return Step(f"deploy {' and '.join(services)}, knowing version {version}", run)


def order(share: float = 1.0, *, poison: str | None = None, change: str | None = None, **more: Any) -> Step:
    """Place orders, `share` times the size of the scenario: healthy, poisonous, or after a change of their schema."""

    def run(ground: Ground) -> str:
        number = max(1, round(ground.setting.size * share))
        ground.order(number, _writer(poison, change), **more)
        return f"{number} orders on each bus"

    what = " with a changed schema" if change else f": {poison}" if poison else ""
    return Step(f"place orders{what}", run)


def pay_before_order(share: float = 1.0) -> Step:
    """Have the payments of orders come in before the orders themselves."""

    def run(ground: Ground) -> str:
        number = max(1, round(ground.setting.size * share))
        ground.order(number, seed=ground.pay(number))
        return f"{number} payments, then their {number} orders"

    return Step("publish payments before the orders that they are for", run)


def _writer(poison: str | None, change: str | None) -> Write:
    if poison:
        return POISONS[poison]
    if change:
        return lambda document: to_bytes(SCHEMA_CHANGES[change](document))
    return to_bytes


def put(condition: Condition, *systems: str, text: str) -> Step:
    """Have services downstream do as told."""

    def run(ground: Ground) -> str:
        for system in systems:
            ground.put(system, condition)
        return "done"

    return Step(text, run)


def crash(service: str, times: int) -> Step:
    """Kill a service in the middle of its work, and start it again, over and over."""

    def run(ground: Ground) -> str:
        def advanced(before: dict[str, int]) -> tuple[bool | None, str]:
            now = {bus: len(ground.books.done(service, bus)) for bus in ground.buses}
            moved = all(now[bus] > before[bus] or now[bus] == len(ground.ordered) for bus in now)
            return True if moved else None, f"{before} before, {now} now"

        for _ in range(times):
            before = {bus: len(ground.books.done(service, bus)) for bus in ground.buses}
            ground.wait(partial(advanced, before), SOON_SECONDS * 2)
            ground.stop(service, signal.SIGKILL)
            ground.start(service)
        return f"killed {times} times, started again each time"

    return Step(f"kill {service} -9 as soon as it has done something, {times} times", run)


# What must be seen


def seen(text: str, look: Callable[[Ground], Verdict], within_seconds: float = SOON_SECONDS) -> Step:
    """Wait until something is as it must be."""

    def run(ground: Ground) -> str:
        def looked() -> tuple[str | None, str]:
            holds, what = look(ground)
            return what if holds else None, what

        return ground.wait(looked, within_seconds)

    return Step(f"{text} (in {within_seconds:.0f} s)", run)


def on_each(
    text: str,
    consumers: Callable[[Ground], Sequence[tuple[str, str]]],
    look: Callable[[Ground, str, str], Verdict],
    within_seconds: float = SOON_SECONDS,
    *,
    at_once: bool = True,
) -> Step:
    """Wait until it holds of each of some consumers, given as service and bus: of all at once, or one by one."""

    def run(ground: Ground) -> str:
        verdicts: dict[str, Verdict] = {}

        def all_of_them(ground: Ground) -> Verdict:
            for service, bus in consumers(ground):
                name = f"{service}/{bus}"
                if at_once or name not in verdicts or not verdicts[name][0]:
                    verdicts[name] = look(ground, service, bus)
            told = _short({name: what for name, (_, what) in verdicts.items()})
            return all(holds for holds, _ in verdicts.values()), told

        return seen(text, all_of_them, within_seconds).run(ground)

    return Step(f"{text} (in {within_seconds:.0f} s)", run)


def _short(told: dict[str, str]) -> str:
    different = set(told.values())
    return different.pop() if len(different) == 1 else ", ".join(f"{name} {what}" for name, what in told.items())


def everybody(ground: Ground) -> list[tuple[str, str]]:
    """Return all consumers of orders."""
    return [(service, bus) for bus in ground.buses for service in consumers_of(bus)]


def of(service: str) -> Callable[[Ground], list[tuple[str, str]]]:
    """Return a choice of the consumers of one service."""
    return lambda ground: [(name, bus) for name, bus in everybody(ground) if name == service]


def _subscription(ground: Ground, service: str, bus: str) -> Any:
    return ground.seen(ground.client.subscription, ground.subscription(service, bus))


def has_backlog(service: str, share: float, *, consumers: bool) -> Step:
    """See that so many orders wait, with or without anybody there."""

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        item = _subscription(ground, name, bus)
        if item is None:
            return False, "not seen yet"
        waiting = (item["backlog_messages"] or 0) + (0 if bus == "kafka" else item["in_flight_messages"] or 0)
        # SQS has no way to tell who consumes.
        there = consumers if item["consumers"] is None else item["consumers"] > 0
        enough = waiting >= round(ground.setting.size * share)
        return enough and there is consumers, f"{waiting} waiting, consumers {item['consumers']}"

    who = "consumers there" if consumers else "nobody there"
    return on_each(f"the monitor shows the backlog of {service}, {who}", of(service), look)


def has_detail(text: str, table: str, holds: Callable[[dict[str, Any]], bool], *columns: str) -> Step:
    """See something about Notification in one of the tables that the monitor has of its subscription on Kafka."""

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        item = _subscription(ground, name, bus)
        rows = item["details"].get(table, []) if item else []
        told = "; ".join(", ".join(f"{column} {row.get(column)}" for column in columns) for row in rows)
        return any(holds(row) for row in rows), told or "not seen yet"

    return on_each(text, of("notification"), look)


def has_status(service: str, *statuses: str, buses: Sequence[str] = (), within_seconds: float) -> Step:
    """See that the monitor says how a service is doing."""

    def chosen(ground: Ground) -> list[tuple[str, str]]:
        return [(name, bus) for name, bus in of(service)(ground) if not buses or bus in buses]

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        item = _subscription(ground, name, bus)
        return (item is not None and item["status"] in statuses), "not seen yet" if item is None else item["status"]

    text = f"the monitor calls {service} {' or '.join(statuses)}"
    return on_each(text, chosen, look, within_seconds, at_once=False)


def has_died(share: float, *services: str) -> Step:
    """See that the monitor counts so many dead letters of these services, no more and no less."""

    def chosen(ground: Ground) -> list[tuple[str, str]]:
        return [(name, bus) for name, bus in everybody(ground) if name in services]

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        # On Kafka all services share one topic for their dead letters.
        sharing = len([service for service, other in chosen(ground) if other == bus]) if bus == "kafka" else 1
        item = ground.seen(ground.client.dead_letter, ground.dead_letters(name, bus))
        messages = item["messages"] if item else None
        return messages == round(
            ground.setting.size * share
        ) * sharing, "not seen" if messages is None else f"{messages:g}"

    return on_each("the monitor counts the dead letters", chosen, look)


def is_clean(text: str = "no dead letters") -> Step:
    """See that nothing has died, or that nothing is left of it."""

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        item = ground.seen(ground.client.dead_letter, ground.dead_letters(name, bus))
        return (item is not None and item["messages"] == 0), "not seen" if item is None else f"{item['messages']}"

    return on_each(text, everybody, look)


def is_told_as(*kinds: str) -> Step:
    """See that the monitor tells why messages died. SQS keeps no reason, and says nothing."""

    def chosen(ground: Ground) -> list[tuple[str, str]]:
        return [(name, bus) for name, bus in everybody(ground) if bus != "aws"]

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        groups = ground.client.letter_groups(ground.dead_letters(name, bus))["items"]
        found = {f"{group['kind']}, {group['advice']['action']}" for group in groups}
        return {group["kind"] for group in groups} <= set(kinds) and bool(groups), "; ".join(sorted(found)) or "nothing"

    return on_each("the monitor tells why", chosen, look)


def has_written(version: str, known: str) -> Step:
    """See that the monitor tells of each cause which version was written and which one its consumer knows."""

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        groups = ground.client.letter_groups(ground.dead_letters(name, bus))["items"]
        found = {(it["schema"]["wrote"], " ".join(it["schema"]["known"])) for it in groups if it["schema"]}
        told = "; ".join(f"wrote {wrote}, known {listed}" for wrote, listed in sorted(found))
        return found == {(version, known)} and all(it["schema"] for it in groups), told or "nothing"

    return on_each(
        "the monitor tells by the catalog which version was written, and which one is known", everybody, look
    )


def has_skipped(share: float) -> Step:
    """See in the services' own stores that so many deliveries, or more, were skipped as duplicates."""

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        skipped = ground.books.duplicates(name, bus)
        return skipped >= round(ground.setting.size * share), f"{skipped} skipped"

    return on_each("consumers have skipped what came again", everybody, look)


def breaker_was(state: str, *services: str) -> Step:
    """See in the services' own stores that their circuit breakers are as they must be."""

    def chosen(ground: Ground) -> list[tuple[str, str]]:
        return [(name, bus) for name, bus in everybody(ground) if name in services]

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        states = ground.books.breaker(name, bus)
        return bool(states) and states[-1] == state, " ".join(states[-2:]) or "no change"

    return on_each(f"the circuit breakers are {state}", chosen, look)


# What redrive does


def redrive(**options: Any) -> Step:
    """Redrive all dead letters of the flow, and see that the report adds up and that all of them were sent."""

    def run(ground: Ground) -> str:
        ids = dict.fromkeys(ground.dead_letters(name, bus) for name, bus in everybody(ground))
        jobs = {id_: job for id_ in ids if (job := begin(ground, id_, **options)) is not None}
        told = []
        for id_, job in jobs.items():
            report = ended(ground, job)
            counts = report["counts"]
            told.append(f"{id_.partition('/')[0]} {counts['sent']} of {counts['planned']}")
            if not report["adds_up"] or counts["sent"] != counts["planned"]:
                raise NotSeen(f"{id_}: {report['state']}, {counts}")
        return "sent " + ", ".join(told)

    return Step("redrive what died; each report adds up", run)


def begin(ground: Ground, dead_letters: str, **options: Any) -> str | None:
    """Start a redrive of what is in a dead-letter queue; return its job, None where nothing is in there."""
    plan = ground.client.plan_redrive(dead_letters, **options)
    if plan["count"] == 0:
        return None
    return ground.client.start_redrive(plan["id"], plan["hash"])["id"]


def ended(ground: Ground, job: str) -> Any:
    """Wait for the end of a job and return its report."""

    def look() -> tuple[bool | None, str]:
        item = ground.client.redrive(job)
        return True if item["state"] in FINAL else None, f"{item['state']}: {item['reason']}"

    ground.wait(look, SOON_SECONDS * 2)
    return ground.client.redrive_report(job)


# What is true in the end


def caught_up(within_seconds: float = SOON_SECONDS * 2, *, redriven: bool = False) -> Step:
    """See that nothing waits anywhere.

    After a redrive on Kafka one offset a partition may be left, which the monitor calls ok: the marker at the end of
    the transaction, which no consumer is given.
    """

    def look(ground: Ground, name: str, bus: str) -> Verdict:
        item = _subscription(ground, name, bus)
        if item is None or item["backlog_messages"] is None:
            return False, "not seen yet"
        waiting = item["backlog_messages"] + (item["in_flight_messages"] or 0)
        markers = item["expected"] if redriven and bus == "kafka" and item["status"] == "ok" else 0
        return waiting <= markers, f"{waiting:g} waiting, {item['status']}"

    return on_each("the monitor shows no backlog", everybody, look, within_seconds)


def _once(ground: Ground, service: str, bus: str) -> Verdict:
    ids, done = {purchase.order.order_id for purchase in ground.ordered}, ground.books.done(service, bus)
    once = sum(done.get(order_id) == 1 for order_id in ids)
    more = sum(times > 1 for times in done.values())
    return once == len(ids) and set(done) == ids and not more, f"{once} of {len(ids)} once, {more} more than once"


def _paid_once(ground: Ground, service: str, bus: str) -> Verdict:
    ids, paid = {purchase.order.order_id for purchase in ground.ordered}, ground.books.paid(bus)
    return paid == dict.fromkeys(ids, 1), f"{sum(paid[order_id] == 1 for order_id in ids)} of {len(ids)} once"


EVERY_PAYMENT_ONCE = on_each(
    "every payment is told to its customer exactly once",
    lambda ground: [("notification", bus) for bus in ground.buses if bus != "aws"],  # it filters payments out
    _paid_once,
    SOON_SECONDS * 2,
)
EVERY_ORDER_ONCE = on_each(
    "every order is notified, and its stock reserved, exactly once", everybody, partial(_once), SOON_SECONDS * 2
)
"""The business truth, counted in the services' own stores."""
