"""What readers of the target have done with what was sent."""

from dataclasses import replace

from monitor.model import DeadLetterQueue, FoundBy, Origin, System, Table
from monitor.redrive.model import Counts
from monitor.redrive.surroundings import COMMITTED, Surroundings, targets_of
from monitor.redrive.telling import tell_consumers
from tests.unit.redrive.builders import PLAN, view_of


def test_readers_are_judged_by_their_positions_and_queues_by_being_empty() -> None:
    rows = [("g", "orders", "0"), ("g", "orders", "1"), ("other", "orders", "0")]
    table = Table.of_rows(("group", "topic", "partition"), rows, {COMMITTED: [15.0, None, 99.0]})
    view = view_of(1.0, 1.0, scope={"group": "g", "topic": "orders"})
    assert view.snapshot is not None
    with_table = replace(view, snapshot=replace(view.snapshot, tables={"group_partitions": table}))
    ranges = [{"sent": 20, "to": [{"topic": "orders", "partition": p, "first": 10, "last": 19} for p in (0, 1)]}]
    counts = Counts(planned=20, sent=18, bounced=2)
    readers = Surroundings(lambda: [with_table]).judge_readers(PLAN, counts, ranges, 900.0)
    assert readers == [{"subscription": "k/g/orders", "processed": 5, "unknown": 15}]
    assert tell_consumers(counts, readers, 0) == {"processed": 3, "bounced": 2, "unknown": 15}
    for backlog, ended_at, processed in ((0.0, 900.0, 20), (1.0, 900.0, 0), (0.0, 1100.0, 0), (None, 900.0, 0)):
        around = Surroundings(lambda backlog=backlog: [view_of(1.0, backlog)])  # type: ignore[misc]
        assert around.judge_readers(PLAN, counts, [], ended_at)[0]["processed"] == processed


def test_where_each_message_goes_to_its_own_origin_all_of_them_are_targets() -> None:
    evidence = [{"origin": "a", "deliver_to": "b"}, {"origin": "c"}]
    assert targets_of({"target": "@origins", "bounds": {}, "origin_evidence": evidence}) == {"b", "c"}
    assert targets_of({"target": "orders", "bounds": {}, "origin_evidence": evidence}) == {"orders"}


def test_what_dies_of_a_target_on_another_cluster_is_counted_there() -> None:
    view = view_of(1.0, 1.0)
    assert view.snapshot is not None
    queues = [
        DeadLetterQueue(f"{cluster}/{name}", System.KAFKA, cluster, name, FoundBy.NAME, arrivals_total=came, origins=of)
        for cluster, name, came, of in (
            ("k", "here.dlq", 3.0, ()),
            ("far", "a.dlq", 5.0, (Origin("there", FoundBy.HEADERS),)),
            ("far", "b.dlq", 7.0, (Origin("other", FoundBy.HEADERS),)),
        )
    ]
    seen = replace(view, snapshot=replace(view.snapshot, dead_letters=tuple(queues)))
    around = Surroundings(lambda: [seen])
    plan = {"dead_letters": "k/here.dlq", "cluster": "k", "target": "there", "bounds": {}}
    assert around.count_arrivals(plan) == 3.0
    assert around.count_arrivals({**plan, "bounds": {"cluster": "far", "targets": ["there"]}}) == 5.0
    assert around.count_arrivals({**plan, "bounds": {"cluster": "far", "targets": ["nothing"]}}) is None
