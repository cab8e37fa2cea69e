"""Dead letters of RabbitMQ and SQS: set aside in the database, put back, edited with originals kept, and purged."""

import json
from collections import Counter
from typing import Any

import pika
import pytest

from monitor.errors import MonitorRefused
from monitor.redrive.model import FINAL_STATES
from tests.integration.app.running import wait_until
from tests.integration.redrive.people.conftest import Team
from tests.integration.redrive.rabbitmq.yard import DLQ, WORK

BODIES = [b'{"n": %d, "status": "bad"}' % number for number in range(5)]


def run(team: Team, queue: str, **options: Any) -> dict[str, Any]:
    plan = team.alice.plan_redrive(queue, **options)
    assert plan["blockers"] == []
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    return dict(team.server.wait_for_job(job["id"], *FINAL_STATES))


def test_rabbitmq_gets_back_in_order_and_in_every_byte_what_was_set_aside(team: Team) -> None:
    yard = team.rabbitmq
    headers: Any = {"a": 1, "t": {"deep": [b"\x00\xff", None, True]}}
    yard.dead_letters(
        BODIES, properties=pika.BasicProperties(delivery_mode=2, priority=3, headers=headers, type="order")
    )
    queue = f"r/{yard.vhost}/{DLQ}"
    team.server.wait_for_queue(queue, 5)
    archived = run(team, queue, action="archive", reason="later", select="body.n != `2`")
    assert (archived["state"], archived["counts"]["sent"]) == ("completed", 4)
    assert yard.ready(DLQ) == 1
    (kept,) = team.alice.archives(dead_letters=queue)["items"]
    assert (kept["messages"], kept["kept_in"], kept["archived_by"]) == (4, "database", "alice")
    assert kept["delete_at"] is not None
    shown = team.alice.archived_letters(archived["id"])["items"]
    assert [it["value"] for it in shown] == [body.decode() for body in BODIES if body != BODIES[2]]
    assert team.victor.archived_letters(archived["id"])["items"][0]["value"] is None
    restored = run(team, queue, action="restore", archive=archived["id"])
    assert (restored["state"], restored["counts"]["sent"]) == ("completed", 4)
    assert team.alice.archives(dead_letters=queue)["items"] == []
    found = yard.drain(DLQ)
    assert [body for _, body in found] == [BODIES[n] for n in (2, 0, 1, 3, 4)]
    properties, _ = found[-1]
    assert (properties.priority, properties.type, properties.delivery_mode) == (3, "order", 2)
    came: Any = dict(properties.headers or {})
    assert {name: came[name] for name in headers} == headers
    assert came["x-death"][0]["queue"] == WORK


def test_rabbitmq_keeps_the_originals_of_what_was_edited_and_is_purged_after_an_export(team: Team) -> None:
    yard = team.rabbitmq
    yard.dead_letters(BODIES[:3])
    queue = f"r/{yard.vhost}/{DLQ}"
    team.server.wait_for_queue(queue, 3)
    told = run(team, queue, first=2, patch=[{"op": "remove", "path": "/status"}])
    assert told["counts"]["sent"] == 2
    assert yard.bodies(WORK) == [b'{"n":0}', b'{"n":1}']
    originals = team.alice.all_redrive_originals(told["id"])
    values = [it["letter"]["value"] for it in originals if it["letter"]]
    assert sorted(map(str, values)) == [body.decode() for body in BODIES[:2]]
    assert all(it["edit"] for it in team.alice.all_redrive_items(told["id"], outcome="sent"))
    assert [it["letter"]["value"] for it in team.carol.all_redrive_originals(told["id"]) if it["letter"]] == [
        None,
        None,
    ]

    with team.root.export_letters(queue, format="csv") as export:
        assert len(b"".join(export.chunks).splitlines()) == 2
    yard.publish(DLQ, [b"one more"])
    with pytest.raises(MonitorRefused, match="1 more messages are there"):
        team.root.purge(queue, f"{yard.vhost}/{DLQ}", export.id)
    with team.root.export_letters(queue) as export:
        b"".join(export.chunks)
    assert team.root.purge(queue, f"{yard.vhost}/{DLQ}", export.id)["removed"] == 2
    assert yard.ready(DLQ) == 0


def test_sqs_gets_back_what_was_set_aside_with_all_its_attributes(team: Team) -> None:
    sqs = team.aws.sqs
    url = team.aws.make_queue("dlq")
    team.aws.make_queue("work", "dlq", 1000)
    attributes: Any = {
        "n": {"DataType": "Number.int", "StringValue": "7"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    for body in BODIES[:2]:
        sqs.send_message(QueueUrl=url, MessageBody=body.decode(), MessageAttributes=attributes)
    queue = f"a/{team.aws.name('dlq')}"
    team.server.wait_for_queue(queue, 2)
    archived = run(team, queue, action="archive", reason="later")
    assert archived["counts"]["sent"] == 2
    team.server.wait_for_queue(queue, 0)
    restored = run(team, queue, action="restore", archive=archived["id"])
    assert (restored["state"], restored["counts"]["sent"]) == ("completed", 2)
    came: dict[str, Any] = {}

    def receive() -> bool:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
        )
        came.update((it["Body"], it["MessageAttributes"]) for it in answer.get("Messages", []))
        return len(came) == 2

    wait_until("both came back", receive)
    assert sorted(json.loads(body)["n"] for body in came) == [0, 1]
    (found, _) = came.values()
    assert {name: {key: found[name][key] for key in attribute} for name, attribute in attributes.items()} == attributes


def test_a_rabbitmq_target_that_dead_letters_everything_again_stops_the_job_early(team: Team) -> None:
    yard = team.rabbitmq
    yard.dead_letters(b"%d" % number for number in range(200))
    queue = f"r/{yard.vhost}/{DLQ}"
    team.server.wait_for_queue(queue, 200)
    plan = team.alice.plan_redrive(queue, rate=20)
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    seen: Counter[bytes] = Counter()

    def reject() -> bool:
        for _ in range(50):
            method, _properties, body = yard.channel.basic_get(WORK)
            if method is None or body is None:
                break
            seen[body] += 1
            yard.channel.basic_nack(method.delivery_tag or 0, requeue=False)
        return team.alice.redrive(job["id"])["state"] == "paused"

    wait_until("it stops itself", reject)
    paused = team.alice.redrive(job["id"])
    assert str(paused["reason"]).startswith("circuit_open: of ")
    assert paused["counts"]["left"] > 50
    assert (team.alice.redrive_report(job["id"])["may_have_bounced"] or 0) >= 10
    team.alice.steer_redrive(job["id"], "cancel")
    team.server.wait_for_job(job["id"])
    assert max(seen.values()) == 1
    wait_until("nothing is lost", lambda: yard.ready(DLQ) + yard.ready(WORK) == 200)


def test_an_sqs_target_that_dead_letters_everything_again_stops_the_job_early(team: Team) -> None:
    sqs = team.aws.sqs
    url = team.aws.make_queue("back-dlq")
    work = team.aws.make_queue("back", "back-dlq", 1)
    for begin in range(0, 80, 10):
        entries: Any = [{"Id": str(number), "MessageBody": f"m{number}"} for number in range(begin, begin + 10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    queue = f"a/{team.aws.name('back-dlq')}"
    team.server.wait_for_queue(queue, 80)
    plan = team.alice.plan_redrive(queue, rate=20)
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    seen: Counter[str] = Counter()

    def fail() -> str:
        # Received once and never deleted, a message is dead at the next receive.
        answer = sqs.receive_message(QueueUrl=work, MaxNumberOfMessages=10, VisibilityTimeout=0)
        seen.update(it["Body"] for it in answer.get("Messages", []))
        return team.alice.redrive(job["id"])["state"]

    wait_until("it stops itself", lambda: fail() == "paused")
    paused = team.alice.redrive(job["id"])
    assert str(paused["reason"]).startswith("circuit_open: of ")
    assert paused["counts"]["left"] > 0
    team.alice.steer_redrive(job["id"], "cancel")
    team.server.wait_for_job(job["id"])
    assert team.alice.redrive_report(job["id"])["adds_up"]
    wait_until("all are dead again", lambda: fail() != "" and _visible(team, url) == 80)
    assert max(seen.values()) == 1


def _visible(team: Team, url: str) -> int:
    answer = team.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
