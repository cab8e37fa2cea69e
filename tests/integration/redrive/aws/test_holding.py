"""Messages of SQS in the hand of a job: hidden while held, sent once, deleted only when taken by the target."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.brokers.aws.messages import MARKER
from monitor.letters import HEADER_JOB, Header, Outcome
from tests.integration.redrive.aws.conftest import Playground, deadline, eventually, outgoing

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\t\n\r", exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=60,
)
NAMES = st.from_regex(r"\A[a-z][a-z0-9_-]{0,20}\Z").filter(lambda name: not name.startswith(("aws", "amazon", "x-red")))
VALUES = st.one_of(
    TEXT.map(lambda text: {"DataType": "String", "StringValue": text}),
    TEXT.map(lambda text: {"DataType": "String.custom", "StringValue": text}),
    st.integers(-(10**30), 10**30).map(lambda number: {"DataType": "Number", "StringValue": str(number)}),
    st.integers(0, 9).map(lambda number: {"DataType": "Number.byte", "StringValue": f"{number}.000"}),
    st.binary(min_size=1, max_size=60).map(lambda data: {"DataType": "Binary", "BinaryValue": data}),
    st.binary(min_size=1, max_size=60).map(lambda data: {"DataType": "Binary.png", "BinaryValue": data}),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, st.dictionaries(NAMES, VALUES, max_size=9)), min_size=1, max_size=8))
def test_bodies_and_attributes_of_all_types_arrive_as_they_were(
    ground: Playground, messages: list[tuple[str, dict[str, dict[str, str | bytes]]]]
) -> None:
    dead, work = ground.queues()
    for body, attributes in messages:
        ground.send(dead, [body], MessageAttributes=attributes)
    assert all(result.confirmed for result in ground.redrive(dead))
    arrived = ground.receive(work, len(messages))
    found = [flat(it["Body"], it.get("MessageAttributes", {})) for it in arrived]
    assert sorted(found) == sorted(flat(body, attributes) for body, attributes in messages)


def flat(body: str, attributes: dict[str, dict[str, str | bytes]]) -> str:
    """Return a message as text that is equal for equal ones, without the product's own mark."""
    return repr((body, sorted((name, sorted(it.items())) for name, it in attributes.items() if name != MARKER)))


def test_the_trace_header_goes_along(ground: Playground) -> None:
    dead, work = ground.queues()
    trace = "Root=1-5e3d83c1-e6a0db584850d61342823d4c"
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    ground.send(dead, ["a"], MessageSystemAttributes=system)
    ground.redrive(dead)
    assert [it["Attributes"]["AWSTraceHeader"] for it in ground.receive(work, 1)] == [trace]


def test_ten_attributes_are_skipped_with_the_reason_and_the_message_stays(ground: Playground) -> None:
    dead, work = ground.queues()
    full = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(10)}
    ground.send(dead, ["full"], MessageAttributes=full)
    ground.send(dead, ["fits"])
    results = ground.redrive(dead)
    assert [it.outcome for it in results if not it.confirmed] == [Outcome.SKIPPED]
    assert any("10 attributes" in it.reason for it in results)
    assert [it["Body"] for it in ground.receive(work, 1)] == ["fits"]
    assert ground.counts(dead) == (1, 0)


def test_one_bad_message_costs_only_itself(ground: Playground) -> None:
    """A partial failure of SendMessageBatch: only what was taken is deleted."""
    dead, work = ground.queues()
    ground.send(dead, [f"m{number}" for number in range(10)])
    with ground.holding(ground.job(dead)) as held:
        messages = held.take(10, deadline())
        bad = (Header("bad name!", b"x", "String"),)
        changed = [outgoing(it, headers=bad if number == 4 else it.headers) for number, it in enumerate(messages)]
        results = held.send(changed, deadline())
        assert [result.confirmed for result in results] == [number != 4 for number in range(10)]
        assert "attribute" in results[4].reason.lower()
        gone = [it for it, result in zip(messages, results, strict=True) if result.confirmed]
        assert all(held.remove(gone, deadline()))
    assert len(ground.receive(work, 9)) == 9
    assert ground.counts(dead) == (1, 0)


def test_a_too_large_message_is_refused_and_the_others_go_by_bytes(ground: Playground) -> None:
    dead, work = ground.queues()
    big = "x" * 400_000
    ground.send(dead, [big] * 5)
    ground.send(dead, ["x" * 1_048_576])
    results = ground.redrive(dead)
    assert sum(it.confirmed for it in results) == 5
    assert any("bytes" in it.reason for it in results)
    assert [len(it["Body"]) for it in ground.receive(work, 5)] == [400_000] * 5
    assert ground.counts(dead) == (1, 0)


def test_a_target_that_was_deleted_keeps_everything_in_the_dead_letter_queue(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.send(dead, ["a", "b"])
    with ground.holding(ground.job(dead)) as held:
        ground.aws.sqs.delete_queue(QueueUrl=work)
        messages = held.take(10, deadline())
        results = held.send([outgoing(it) for it in messages], deadline())
        assert [(it.confirmed, it.known) for it in results] == [(False, True)] * 2
        assert all("exist" in it.reason for it in results)
    assert ground.counts(dead) == (2, 0)


def test_messages_stay_hidden_while_they_are_in_the_hand(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.send(dead, ["a"])
    with ground.holding(ground.job(dead)) as held:
        (message,) = held.take(1, deadline())
        until = time.monotonic() + 6  # the visibility is four seconds
        while time.monotonic() < until:
            other = ground.aws.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1)
            assert not other.get("Messages")
        assert all(it.confirmed for it in held.send([outgoing(message)], deadline()))
        assert held.remove([message], deadline()) == [True]
    assert len(ground.receive(work, 1)) == 1


def test_a_message_that_went_to_another_reader_is_not_sent(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.send(dead, ["a"])
    with ground.holding(ground.job(dead)) as held:
        (message,) = held.take(1, deadline())
        held.release([message])
        assert ground.aws.sqs.receive_message(QueueUrl=dead, VisibilityTimeout=60)["Messages"]
        (result,) = held.send([outgoing(message)], deadline())
        assert (result.confirmed, result.known) == (False, True)
        assert held.remove([message], deadline()) == [False]
    assert ground.counts(work) == (0, 0)
    assert ground.counts(dead) == (0, 1)


def test_what_is_not_selected_is_visible_at_the_end_and_taken_once(ground: Playground) -> None:
    dead, _ = ground.queues()
    ids = ground.send(dead, [f"m{number}" for number in range(30)])
    with ground.holding(ground.job(dead)) as held:
        taken = [it.position for _ in range(3) for it in held.take(10, deadline())]
        assert sorted(taken) == sorted(ids)
        assert held.take(10, deadline()) == []
        assert ground.counts(dead) == (0, 30)
    assert ground.counts(dead) == (30, 0)


def test_no_more_than_planned_and_nothing_sent_after_the_plan(ground: Playground) -> None:
    dead, work = ground.queues()
    early = ground.send(dead, ["early"] * 3)
    job = ground.job(dead)
    assert eventually(lambda: time.time() > job.bounds["planned_at"] + 2.1)
    ground.send(dead, ["late"] * 3)
    with ground.holding(job) as held:
        assert sorted(it.position for it in held.take(80, deadline())) == sorted(early)
        assert held.take(80, deadline()) == []
    assert ground.counts(dead) == (6, 0)
    assert ground.counts(work) == (0, 0)


def test_a_message_that_comes_back_says_which_job_had_sent_it(ground: Playground) -> None:
    dead, work = ground.queues()
    ground.aws.set_attribute(
        work, "RedrivePolicy", f'{{"deadLetterTargetArn":"{ground.aws.arn("dlq")}","maxReceiveCount":1}}'
    )
    ground.send(dead, ["a"])
    ground.redrive(dead)
    for _ in range(2):
        ground.aws.sqs.receive_message(QueueUrl=work, VisibilityTimeout=0)
    assert eventually(lambda: ground.counts(dead)[0] == 1)
    (message,) = ground.bus.browse(ground.name(dead), 1, None, deadline()).messages
    assert next(it.value for it in message.headers if it.name == HEADER_JOB) == b"job"
    assert {it.name for it in message.headers} == {"x-redrive-id", "x-redrive-job", "x-redrive-count"}


def test_everything_of_a_larger_queue_arrives_once(ground: Playground) -> None:
    dead, work = ground.queues()
    bodies = [f"m{number}" for number in range(200)]
    for at in range(0, 200, 10):
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[at : at + 10])]
        ground.aws.sqs.send_message_batch(QueueUrl=dead, Entries=entries)  # type: ignore[arg-type]
    assert all(result.confirmed for result in ground.redrive(dead))
    assert sorted(it["Body"] for it in ground.receive(work, 200)) == sorted(bodies)
    assert ground.counts(dead) == (0, 0)
