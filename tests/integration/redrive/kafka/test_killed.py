"""The monitor or the broker is killed in the middle of a job: the soaks at a small size."""

from pathlib import Path

from benchmarks.soak.kafka_redrive import prove, prove_elsewhere, prove_faults
from stack.state import Endpoints


def test_a_job_survives_kills_of_the_monitor_without_loss_or_duplicate(endpoints: Endpoints, tmp_path: Path) -> None:
    proof = prove(endpoints.kafka, tmp_path, messages=1_500, kills=2, per_second=400)
    assert (proof.committed, proof.unique, proof.waiting) == (1_500, 1_500, 0)
    assert (proof.state, proof.adds_up) == ("completed", True)


def test_a_job_survives_a_killed_and_a_frozen_broker_without_loss_or_duplicate(tmp_path: Path) -> None:
    proof = prove_faults(tmp_path, messages=1_500, per_second=400, frozen_seconds=8)
    assert (proof.committed, proof.unique, proof.waiting) == (1_500, 1_500, 0)
    assert (proof.state, proof.adds_up) == ("completed", True)
    assert proof.interruptions >= 2


def test_a_job_to_another_cluster_survives_a_kill_as_its_plan_said(endpoints: Endpoints, tmp_path: Path) -> None:
    proof = prove_elsewhere(endpoints.kafka, endpoints.kafka, tmp_path, messages=500, kills=1, per_second=400)
    assert (proof.unique, proof.waiting) == (500, 0)
    assert proof.committed - proof.unique <= proof.may_be_doubled
    assert (proof.state, proof.adds_up) == ("completed", True)
