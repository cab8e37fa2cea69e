"""What we write is what prometheus-client's own parser reads back, sample by sample."""

import math
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.errors import REASONS
from monitor.model import Age, AgeMethod, ClusterView, Status, Subscription, Table, Verdict
from tests.unit.exposition.builders import (
    Sample,
    dead_letter_queue,
    group_partitions,
    health,
    page_of,
    parse,
    subscription,
    verdict,
    view,
)

FEWER = settings(max_examples=50)

# Every character that a name can have, the ones that the format gives a meaning much more often.
HOSTILE = st.text(st.one_of(st.sampled_from('"\\\n\r\t\0 {}=,#+é…\u2028\x85\ud800😀'), st.characters()), max_size=12)
NUMBERS = st.one_of(
    st.none(),
    st.floats(allow_nan=True),
    st.integers(-(2**53), 2**53).map(float),
    st.sampled_from(
        [0.0, -0.0, 9999.0, 10_000.0, 2.0**53 - 1, 2.0**53, 2.0**63, 1e16, 1e22, 5e-324, math.inf, -math.inf]
    ),
)
COLUMNS = (
    "kafka_consumer_group_lag_messages",
    "kafka_consumer_group_lag_seconds",
    "kafka_consumer_group_committed_offset",
)


def as_utf8(value: str) -> str:
    """A lone surrogate cannot be sent as UTF-8; it becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def to_milliseconds(seconds: float) -> float:
    """Seconds are given to the millisecond as far as a float64 has milliseconds."""
    return round(seconds * 1000) / 1000 if abs(seconds) < 1e12 else seconds


def sample(name: str, value: float, **labels: str) -> Sample:
    shown = to_milliseconds(value) if "_seconds" in name else value
    return f"eventflow_{name}", tuple(sorted((k, as_utf8(v)) for k, v in labels.items())), shown


def counted(samples: list[Sample]) -> Counter[Sample]:
    return Counter(samples)


def watched(text: str) -> list[Sample]:
    """The samples of watched things: neither of the collector nor of the monitor's own process."""
    own = (
        "eventflow_collector_",
        "eventflow_build_info",
        "eventflow_history_",
        "eventflow_config_",
        "process_",
        "python_",
    )
    return [each for each in parse(text) if not each[0].startswith(own)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str, str]], dict[str, list[float | None]]]:
    rows = draw(st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), max_size=8))
    same_length = st.lists(NUMBERS, min_size=len(rows), max_size=len(rows))
    return rows, {column: draw(same_length) for column in draw(st.sets(st.sampled_from(COLUMNS)))}


@FEWER
@given(HOSTILE.filter(bool), tables())
@example('a"b\\c\nd\re\0', ([("\\n", '\\"', "\n\\")], {COLUMNS[0]: [2.0**53]}))
def test_rows_of_a_table_are_read_back_as_they_are(
    cluster: str, given_table: tuple[list[tuple[str, str, str]], dict[str, list[float | None]]]
) -> None:
    rows, columns = given_table
    table = Table.of_rows(("group", "topic", "partition"), rows, columns)

    text = page_of(view({"any": table}, of=health(cluster))).plain.decode()

    expected = [
        sample(column, value, cluster=cluster, group=row[0], topic=row[1], partition=row[2])
        for column, values in columns.items()
        for row, value in zip(rows, values, strict=True)
        if value is not None and not math.isnan(value)
    ]
    assert counted(watched(text)) == counted(expected)


@st.composite
def subscriptions(draw: st.DrawFn) -> tuple[Subscription, Verdict]:
    maybe = st.one_of(st.none(), st.floats(0, 1e15))
    expected = draw(st.integers(0, 3))
    return (
        subscription(
            draw(HOSTILE),
            draw(HOSTILE),
            backlog_messages=draw(maybe),
            oldest_age=Age(draw(maybe), draw(st.sampled_from(AgeMethod))),
            in_flight_messages=draw(maybe),
            consumers=draw(st.one_of(st.none(), st.integers(0, 10))),
            published_messages_total=draw(maybe),
            consumed_messages_total=draw(maybe),
            expected=expected,
            measured=draw(st.integers(0, expected)),
        ),
        verdict(
            draw(st.sampled_from(Status)),
            drain_seconds=draw(st.one_of(maybe, st.just(math.inf))),
            owner=draw(HOSTILE),
            objective_age_seconds=draw(maybe),
            objective_seconds=draw(st.one_of(st.none(), st.fixed_dictionaries({"met": NUMBERS, "missed": NUMBERS}))),
        ),
    )


def expected_of(cluster: str, sub: Subscription, judged: Verdict) -> list[Sample]:
    whole = sub.measured >= sub.expected
    numbers = {
        "backlog_messages": sub.backlog_messages if whole else None,
        "oldest_age_seconds": sub.oldest_age.seconds if whole else None,
        "in_flight_messages": sub.in_flight_messages if whole else None,
        "drain_seconds": judged.drain_seconds if whole else None,
        "published_messages_total": sub.published_messages_total if whole else None,
        "consumed_messages_total": sub.consumed_messages_total if whole else None,
        "consumers": sub.consumers,
        "objective_age_seconds": judged.objective_age_seconds,
    }
    labels = {"system": "kafka", "cluster": cluster, "destination": sub.destination, "subscriber": sub.subscriber}
    method = sub.oldest_age.method if whole else AgeMethod.UNKNOWN
    return [
        *(sample(f"subscription_{name}", v, **labels) for name, v in numbers.items() if v is not None),
        *(
            sample("subscription_objective_seconds_total", seconds, **labels, outcome=outcome)
            for outcome, seconds in (judged.objective_seconds or {}).items()
            if seconds is not None and not math.isnan(seconds)
        ),
        *(sample("subscription_status", float(s is judged.status), **labels, status=s.value) for s in Status),
        sample("subscription_info", 1.0, **labels, owner=judged.owner, age_method=method.value),
    ]


@FEWER
@given(st.lists(subscriptions(), max_size=4, unique_by=lambda pair: (pair[0].destination, pair[0].subscriber)))
def test_subscriptions_are_read_back_as_they_are(pairs: list[tuple[Subscription, Verdict]]) -> None:
    text = page_of(view({}, [sub for sub, _ in pairs], [judged for _, judged in pairs])).plain.decode()

    expected = [each for sub, judged in pairs for each in expected_of("orders", sub, judged)]
    assert counted(watched(text)) == counted(expected)


@FEWER
@given(HOSTILE, HOSTILE)
@example("\ud800", "\ud800")
def test_hostile_names_of_dead_letter_queues_are_read_back(queue: str, cluster: str) -> None:
    text = page_of(view(dead_letters=[dead_letter_queue(queue, messages=3.0)], of=health(cluster))).plain.decode()

    labels = {"system": "kafka", "cluster": cluster, "queue": queue}
    assert counted(watched(text)) == counted(
        [
            sample("dead_letter_messages", 3.0, **labels),
            sample("dead_letter_info", 1.0, **labels, origin="", found_by="name"),
        ]
    )


@FEWER
@given(HOSTILE, st.dictionaries(st.sampled_from(REASONS), st.integers(0, 2**53)))
def test_hostile_names_of_clusters_are_read_back(cluster: str, errors: dict[str, int]) -> None:
    text = page_of(ClusterView(health(cluster, errors_total=errors))).plain.decode()

    found = [each for each in parse(text) if each[0] == "eventflow_collector_errors_total"]
    assert counted(found) == counted(
        [
            sample("collector_errors_total", errors.get(reason, 0), cluster=cluster, system="kafka", reason=reason)
            for reason in REASONS
        ]
    )


def test_every_line_of_a_hostile_table_stands_alone() -> None:
    table = group_partitions([("a\nb", "c\rd", "e\0f")], lag_messages=[1.0])

    lines = page_of(view({"any": table})).plain.split(b"\n")

    assert (
        b'eventflow_kafka_consumer_group_lag_messages{cluster="orders",group="a\\nb",topic="c\rd",partition="e\0f"} 1'
        in lines
    )
