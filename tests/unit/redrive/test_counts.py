"""The counts of a job add up, whatever is told of its messages, in whatever order and however often."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.letters import DeadMessage, Fate, Outcome
from monitor.redrive.batches import Together
from monitor.redrive.items import Item
from monitor.redrive.journal import Journal
from monitor.redrive.model import Counts
from monitor.redrive.telling import adds_up, tell_consumers
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of

POSITIONS = st.sampled_from("abcdefgh")
TOLD = st.lists(
    st.one_of(
        st.tuples(st.just("fates"), st.lists(st.tuples(POSITIONS, st.sampled_from(list(Outcome)[:-1])), max_size=4)),
        st.tuples(st.just("moved"), st.integers(0, 3)),
        st.tuples(st.just("expired"), st.integers(0, 2)),
        st.tuples(st.just("intent"), st.lists(POSITIONS, max_size=3)),
        st.tuples(st.just("together"), st.lists(POSITIONS, min_size=1, max_size=3)),
        st.tuples(st.just("bounced"), st.lists(POSITIONS, max_size=2)),
        st.tuples(st.just("end"), st.booleans()),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path_factory.mktemp('counts')}/eventflow.db")
    yield opened
    opened.close()


def tell(journal: Journal, job: str, kind: str, what: object) -> None:
    if kind == "fates":
        assert isinstance(what, Sequence)
        fates = {position: Fate(DeadMessage(position, {}, None, None), outcome) for position, outcome in what}
        journal.record(job, 1.0, fates=list(fates.values()))
    elif kind == "intent":
        assert isinstance(what, Sequence)
        known = journal.items_by_position(job, what)
        new = [Item(it, f"{job}:{it}", "intent", None) for it in dict.fromkeys(what) if it not in known]
        journal.put_items(job, new, 1.0)
    elif kind == "together":
        assert isinstance(what, Sequence)
        taken = {*journal.items_by_position(job, what), *journal.positions_together(job)}
        new_ones = [it for it in dict.fromkeys(what) if it not in taken]
        batch = Together(journal.newest_batch(job) + 1, new_ones, [{}] * len(new_ones))
        journal.put_items(job, (), 1.0, together=batch)
        journal.record_together(job, batch, "target", 1.0)
    elif kind == "bounced":
        assert isinstance(what, Sequence)
        journal.count_bounced(job, [f"{job}:{it}" for it in what], 1.0)
    elif kind == "end":
        journal.close_counts(job, exhausted=bool(what))
    else:
        journal.record(job, 1.0, **{kind: what})  # type: ignore[arg-type]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=TOLD, planned=st.integers(0, 12))
def test_counts_add_up(database: Database, tmp_path: Path, told: list[tuple[str, object]], planned: int) -> None:
    journal = Journal(database)
    job = f"j{len(journal.jobs(100_000))}"
    journal.add_job(job_of(job, f"k/{job}", planned=planned))
    for kind, what in told:
        tell(journal, job, kind, what)
        counts = journal.job(job).counts
        assert adds_up(counts)
        assert min(asdict(counts).values()) >= 0


@given(
    counts=st.builds(Counts, sent=st.integers(0, 50), bounced=st.integers(0, 9)),
    processed=st.lists(st.integers(0, 60), max_size=3),
    doubtful=st.integers(0, 20),
)
def test_what_consumers_did_is_never_more_than_what_was_sent(
    counts: Counts, processed: list[int], doubtful: int
) -> None:
    told = tell_consumers(counts, [{"processed": it} for it in processed], doubtful)
    assert told["processed"] + told["unknown"] == counts.sent
    assert told["bounced"] == counts.bounced
    assert min(told.values()) >= 0
