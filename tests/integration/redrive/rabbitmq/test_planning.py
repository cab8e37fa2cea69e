"""A plan says where messages came from, who else receives them, and what stands against it."""

import pika
import pytest

from monitor.letters import Guarantee
from tests.integration.redrive.rabbitmq.yard import DLQ, WORK, Yard, plan


def test_the_plan_counts_what_is_ready_and_sends_it_to_its_origin(yard: Yard) -> None:
    yard.dead_letters([b"a", b"b"])
    survey = plan(yard, yard.bus())
    assert (survey.count, survey.count_is_exact, survey.target) == (2, True, yard.label(WORK))
    assert survey.guarantee is Guarantee.AT_LEAST_ONCE
    assert survey.max_duplicates_per_interruption == 1000
    assert (survey.blockers, survey.also_receives) == ((), ())
    assert [message.value for message in survey.samples] == [b"a", b"b"]
    assert {item["found_by"] for item in survey.origin_evidence} == {"headers", "topology"}
    assert any("x-death" in warning for warning in survey.warnings)


def test_a_quorum_queue_with_a_limit_is_planned_for_without_a_look(yard: Yard) -> None:
    yard.dead_letters([b"a"], "quorum", delivery_limit=5)
    survey = plan(yard, yard.bus())
    assert (survey.samples, survey.target) == ((), yard.label(WORK))
    assert any("beyond 5" in warning for warning in survey.warnings)
    assert yard.first_count(DLQ) == 0


@pytest.mark.parametrize(("target", "blocker"), [("nowhere", "does not exist"), (DLQ, "is the source")])
def test_a_target_that_cannot_be_is_a_blocker(yard: Yard, target: str, blocker: str) -> None:
    yard.dead_letters([b"a"])
    assert any(blocker in text for text in plan(yard, yard.bus(), target=target).blockers)


def test_a_name_alone_is_no_reason_to_send(yard: Yard) -> None:
    yard.queue("loose")
    yard.queue("loose-dlq")
    yard.publish("loose-dlq", [b"a"])
    survey = plan(yard, yard.bus(), "loose-dlq")
    assert survey.target is None
    assert any("Only the name says" in text for text in survey.blockers)
    named = plan(yard, yard.bus(), "loose-dlq", target="loose")
    assert (named.target, named.blockers) == (yard.label("loose"), ())


def test_several_origins_get_their_own_messages_back(yard: Yard) -> None:
    yard.dead_letters([b"a"])
    yard.queue("second")
    yard.publish(DLQ, [b"b"], pika.BasicProperties(headers={"x-original-queue": "second"}))
    survey = plan(yard, yard.bus())
    assert (survey.target, survey.blockers) == ("@origins", ())
    assert any("own origin" in text for text in survey.warnings)


def test_a_stream_cannot_be_drained(yard: Yard) -> None:
    yard.queue("events-dlq", "stream")
    survey = plan(yard, yard.bus(), "events-dlq", target=WORK)
    assert any("stream" in text for text in survey.blockers)


def test_an_exchange_as_target_names_everybody_who_receives(yard: Yard) -> None:
    yard.dead_letters([b"a"])
    yard.channel.exchange_declare("orders", "fanout")
    for name in ("mailing", "billing"):
        yard.channel.queue_bind(yard.queue(name), "orders")
    survey = plan(yard, yard.bus(), target="exchange:orders")
    assert survey.also_receives == (yard.label("billing"), yard.label("mailing"))
    assert survey.blockers == ()
    assert any("does not exist" in text for text in plan(yard, yard.bus(), target="exchange:none").blockers)


def test_what_is_the_brokers_own_is_no_target(yard: Yard) -> None:
    yard.dead_letters([b"a"])
    named_by_broker = yard.channel.queue_declare("", exclusive=True).method.queue
    for name in (named_by_broker, "exchange:amq.rabbitmq.trace:x"):
        survey = plan(yard, yard.bus(), target=name)
        assert any("broker's own" in text for text in survey.blockers)
