"""The monitor is killed in the middle of a job, again and again: the soak at a small size."""

from pathlib import Path

from benchmarks.soak.kafka_redrive import prove
from stack.state import Endpoints


def test_a_job_survives_kills_without_loss_or_duplicate(endpoints: Endpoints, tmp_path: Path) -> None:
    proof = prove(endpoints.kafka, tmp_path, messages=2_000, kills=3, per_second=400)
    assert (proof.committed, proof.unique, proof.waiting) == (2_000, 2_000, 0)
    assert (proof.state, proof.adds_up) == ("completed", True)
