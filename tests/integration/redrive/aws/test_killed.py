"""The proof of `make soak NAME=sqs_redrive`, at a small size."""

from benchmarks.soak.sqs_redrive import prove
from stack.state import Endpoints


def test_a_redrive_that_is_killed_loses_nothing_and_doubles_no_more_than_was_said(endpoints: Endpoints) -> None:
    proof = prove(endpoints.aws, messages=500, kills=2, visibility=4, step=40)
    assert proof.unique == 500
    assert proof.stayed == 0
    assert proof.doubled <= proof.allowed == 320  # ten a worker, and two kills
