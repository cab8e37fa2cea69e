"""The policies that `docs/permissions.md` lists for AWS hold every action that is used, and denials are told.

The stand-in enforces no IAM; a gate before it does, which knows the policies alone and denies in AWS's words.
"""

import contextlib
import time
from collections.abc import Iterator

import pytest

from monitor.brokers.aws.collector import AwsCollector
from monitor.brokers.aws.move_tasks import MoveTask
from monitor.brokers.aws.redrive import AwsRedriveBus
from monitor.clock import Clock
from monitor.config import AwsCluster, Filter
from monitor.letters import Held, Job, Outgoing, PlanRequest
from monitor.model import Finding
from stack.state import Endpoints
from tests.integration.aws.conftest import REGION, Aws, open_aws
from tests.integration.aws.gate import Gate, gate_before
from tests.integration.secured.permissions import aws_actions
from tests.waiting import wait_for

WATCHING, REDRIVING = aws_actions("EventflowWatching"), aws_actions("EventflowRedriving")


@pytest.fixture(scope="module")
def gate(endpoints: Endpoints) -> Iterator[Gate]:
    with gate_before(endpoints.aws) as gate:
        yield gate


@pytest.fixture(scope="module")
def queues(endpoints: Endpoints) -> Iterator[Aws]:
    """A queue with its dead-letter queue, and a topic that has a subscription."""
    with open_aws(endpoints.aws) as aws:
        dead = aws.make_queue("work-dlq")
        aws.make_queue("work", "work-dlq")
        for body in ("one", "two"):
            aws.sqs.send_message(QueueUrl=dead, MessageBody=body)
        topic = aws.sns.create_topic(Name=aws.name("news"))["TopicArn"]
        aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.arn("work"))
        yield aws


@pytest.fixture(scope="module")
def cluster(gate: Gate, queues: Aws) -> AwsCluster:
    watched = Filter(include=[f"{queues.prefix}*"])
    about = {"name": "cloud", "kind": "aws", "region": REGION, "endpoint_url": gate.url}
    return AwsCluster.model_validate({**about, "queues": watched, "topics": watched, "redrive": {}})


@pytest.fixture(scope="module")
def collector(cluster: AwsCluster) -> Iterator[AwsCollector]:
    with contextlib.closing(AwsCollector(cluster, [], Clock())) as opened:
        yield opened


@pytest.fixture(scope="module")
def bus(cluster: AwsCluster) -> Iterator[AwsRedriveBus]:
    with contextlib.closing(AwsRedriveBus(cluster, [], Clock())) as opened:
        yield opened


def soon() -> float:
    return time.monotonic() + 20


def failed(checked: AwsCollector | AwsRedriveBus) -> dict[str, Finding]:
    return {finding.target: finding for finding in checked.check(soon()) if not finding.ok}


def test_watching_uses_what_its_policy_lists_and_nothing_else(gate: Gate, collector: AwsCollector) -> None:
    gate.allow(WATCHING)
    assert failed(collector) == {}
    snapshot = collector.collect(soon())
    assert (gate.refused, snapshot.errors) == (set(), ())
    assert snapshot.measured == snapshot.expected > 0
    assert WATCHING - gate.asked == set()


def test_redriving_uses_what_its_policy_lists_and_nothing_else(gate: Gate, queues: Aws, bus: AwsRedriveBus) -> None:
    gate.allow(REDRIVING)
    assert failed(bus) == {}
    dead = queues.name("work-dlq")
    assert bus.browse(dead, 1, None, soon()).messages
    _redrive(bus, dead)
    # A move by SQS itself, of a queue that is empty by now.
    request = PlanRequest(f"cloud/{dead}", native=True)
    survey = bus.survey(dead, request, soon())
    mover = bus.open(Job("native", request, dead, survey.target or "", survey.bounds), lambda _: None)
    assert isinstance(mover, MoveTask)
    mover.recover(soon())
    wait_for(lambda: mover.step(10, soon()).finished, "the move has ended")
    mover.close()
    assert gate.refused == set()
    # Moves are broken off only when somebody cancels the job while it goes on.
    assert REDRIVING - gate.asked <= {"sqs:CancelMessageMoveTask"}


def _redrive(bus: AwsRedriveBus, dead: str) -> None:
    request = PlanRequest(f"cloud/{dead}")
    survey = bus.survey(dead, request, soon())
    assert survey.blockers == ()
    held = bus.open(Job("job", request, dead, survey.target or "", survey.bounds), lambda _: None)
    assert isinstance(held, Held)
    moved = 0

    def move() -> bool:
        nonlocal moved
        messages = held.take(10, soon())
        sent = held.send([Outgoing(it, f"id-{it.position}", 1) for it in messages], soon())
        assert all(result.confirmed for result in sent)
        assert all(held.remove(messages, soon()))
        moved += len(messages)
        return moved == 2

    wait_for(move, "both are redriven", 20)
    held.close()


@pytest.mark.parametrize("action", sorted(WATCHING))
def test_each_action_for_watching_that_is_denied_is_told_by_the_check(
    gate: Gate, collector: AwsCollector, action: str
) -> None:
    gate.allow(WATCHING - {action})
    told = failed(collector)
    assert "not authorized" in told[action].message
    assert f"allow {action}" in told[action].remedy


@pytest.mark.parametrize(
    "action",
    [
        "sqs:ListQueues",
        "sqs:GetQueueAttributes",
        "sqs:ListDeadLetterSourceQueues",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    ],
)
def test_what_can_be_tried_of_redriving_without_effect_is_told_when_it_is_denied(
    gate: Gate, bus: AwsRedriveBus, action: str
) -> None:
    gate.allow(REDRIVING - {action})
    told = failed(bus)
    assert "not authorized" in told[f"redrive: {action}"].message
    assert f"allow {action}" in told[f"redrive: {action}"].remedy
