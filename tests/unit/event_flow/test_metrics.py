from collections.abc import Mapping

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from examples.event_flow.metrics import Metrics
from examples.event_flow.outcomes import Outcome, Tally


def samples(metrics: Metrics, name: str) -> Mapping[tuple[str, ...], float]:
    """The values of a metric by the values of its labels."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_what_the_tally_counts_is_a_metric_by_bus_outcome_and_service() -> None:
    tally = Tally()
    metrics = Metrics(tally)
    for outcome in (Outcome.PROCESSED, Outcome.PROCESSED, Outcome.DUPLICATE):
        tally.add("inventory/kafka", outcome)
    assert samples(metrics, "event_flow_messages_total") == {
        ("kafka", "processed", "inventory"): 2,
        ("kafka", "duplicate", "inventory"): 1,
    }


def test_a_circuit_breaker_is_in_one_state_at_a_time_and_closed_at_first() -> None:
    metrics = Metrics(Tally())
    meter = metrics.meter("notification", "aws")

    def states() -> list[str]:
        found = samples(metrics, "event_flow_breaker_state")
        return [state for (_, _, state), value in found.items() if value]

    assert states() == ["closed"]
    meter.note_breaker("open")
    assert states() == ["open"]


def test_the_time_in_hand_is_observed_also_where_handling_fails() -> None:
    metrics = Metrics(Tally())
    meter = metrics.meter("notification", "rabbitmq")
    try:
        with meter.time():
            raise OSError("the disk is full")
    except OSError:
        pass
    assert samples(metrics, "event_flow_handling_seconds_count") == {("rabbitmq", "notification"): 1}
