"""The proof of `make soak NAME=rabbitmq_redrive`, at a small size."""

from benchmarks.soak.rabbitmq_redrive import prove
from stack.state import Endpoints


def test_a_monitor_that_is_killed_loses_nothing_and_doubles_no_more_than_was_said(endpoints: Endpoints) -> None:
    proof = prove(endpoints.rabbitmq, messages=1500, kills=2, rate=700)
    assert (proof.unique, proof.stayed, proof.state) == (1500, 0, "completed")
    assert proof.adds_up
    assert proof.doubled <= proof.allowed
