"""What a job sends, what it leaves, and how it is steered, through the API of a running monitor."""

import json
import threading
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer

from monitor.errors import MonitorRefused
from tests.integration.app.running import wait_until
from tests.integration.redrive.kafka.yard import Yard, headers_of, spring_headers
from tests.integration.redrive.server import Server

STAMPS = ("x-redrive-id", "x-redrive-job", "x-redrive-count", "x-original-timestamp")


def ids(messages: list[Message]) -> list[int]:
    return [json.loads(message.value() or b"")["id"] for message in messages]


def test_messages_arrive_byte_for_byte_with_the_stamps_behind_their_own_headers(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "exact")
    origin = ("kafka_dlt-original-topic", target.encode())
    hostile: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"key", b"value", [origin]),
        (None, None, [origin]),
        (b"", b"", [origin, ("empty", b""), ("null", None)]),
        (b"\x00\xff", bytes(range(256)), [("twice", b"1"), origin, ("twice", b"2"), ("Ünï", b"\xfe\xff")]),
        (b"k", b"x" * 300_000, [origin, ("x-original-timestamp", b"kept")]),
        (b"k", b"again", [origin, ("x-redrive-count", b"4"), ("x-redrive-id", b"old"), ("x-redrive-job", b"old")]),
    ]
    for key, value, headers in hostile:
        yard.producer.produce(dead, value, key, headers=headers)  # type: ignore[arg-type]
    yard.producer.flush()
    server.wait_for_queue(f"k/{dead}", len(hostile))
    job = server.start_job(f"k/{dead}")
    assert server.wait_for_job(job["id"])["counts"]["sent"] == len(hostile)

    for (key, value, headers), message in zip(hostile, yard.read(target), strict=True):
        assert (message.key(), message.value()) == (key, value)
        came = headers_of(message)
        own = [it for it in headers if it[0] not in STAMPS[:3]]
        assert came[: len(own)] == own
        stamps = dict(came[len(own) :])
        count = int(dict(headers).get("x-redrive-count") or 0)
        assert stamps["x-redrive-job"] == job["id"].encode()
        assert stamps["x-redrive-count"] == b"%d" % (count + 1)
        assert ("x-original-timestamp" in stamps) == ("x-original-timestamp" not in dict(headers))


def test_a_target_whose_readers_have_had_everything_has_lag_for_the_marker_and_no_backlog(
    yard: Yard, server: Server
) -> None:
    target, dead = yard.pair(1, "processed")
    yard.fill(dead, 5, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 5)
    assert server.wait_for_job(server.start_job(f"k/{dead}")["id"])["counts"]["sent"] == 5
    group, last = yard.kafka.name("processing"), yard.read(target)[-1]
    yard.kafka.commit(group, target, (last.offset() or 0) + 1)

    def seen() -> float | None:
        found = [it for it in server.client.all_subscriptions() if it["subscriber"] == group]
        return found[0]["backlog_messages"] if found else None

    wait_until("what is left is known to be no message", lambda: seen() == 0)
    lag = f'kafka_consumer_group_lag_messages{{cluster="k",group="{group}",topic="{target}",partition="0"}} 1'
    assert lag in server.metrics()


def test_chosen_messages_go_and_the_others_stay_until_they_are_chosen(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "chosen")
    yard.fill(dead, 10, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 10)
    plan = server.client.plan_redrive(f"k/{dead}", positions=["0:3", "0:5"])
    assert (plan["count"], plan["count_is_exact"]) == (2, True)
    job = server.client.start_redrive(plan["id"], plan["hash"])
    assert server.wait_for_job(job["id"])["counts"]["sent"] == 2
    assert ids(yard.read(target)) == [3, 5]
    server.wait_for_queue(f"k/{dead}", 8)
    left = server.client.letters(f"k/{dead}")["items"]
    assert [it["position"] for it in left] == [f"0:{n}" for n in (0, 1, 2, 4, 6, 7, 8, 9)]

    chosen = server.start_job(f"k/{dead}", select="body.id < `2` || body.id > `7`")
    assert server.wait_for_job(chosen["id"])["counts"]["sent"] == 4
    rest = server.start_job(f"k/{dead}")
    assert server.wait_for_job(rest["id"])["counts"]["sent"] == 4
    assert sorted(ids(yard.read(target))) == list(range(10))
    server.wait_for_queue(f"k/{dead}", 0)


def test_the_first_n_go_and_no_more(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(2, "first")
    yard.fill(dead, 30, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 30)
    job = server.start_job(f"k/{dead}", first=7)
    told = server.wait_for_job(job["id"])
    assert (told["counts"]["planned"], told["counts"]["sent"], told["counts"]["left"]) == (7, 7, 0)
    assert len(yard.read(target)) == 7
    server.wait_for_queue(f"k/{dead}", 23)


def test_what_is_too_large_stays_and_is_named_while_everything_else_goes(yard: Yard, server: Server) -> None:
    target = yard.kafka.topic("small", 1, {"max.message.bytes": "2000"})
    dead = yard.kafka.topic("small.dlq", 1)
    yard.kafka._groups.add(f"eventflow.redrive.{dead}")
    sizes = {4: 5_000, 9: 1_900}  # the second fits only without its headers and the stamps
    yard.fill(dead, 12, spring_headers(target), value=lambda n: json.dumps({"id": n}).encode().ljust(sizes.get(n, 20)))
    server.wait_for_queue(f"k/{dead}", 12)
    job = server.start_job(f"k/{dead}")
    told = server.wait_for_job(job["id"])
    assert (told["state"], told["counts"]["sent"], told["counts"]["failed"]) == ("completed_with_failures", 10, 2)
    assert ids(yard.read(target)) == [n for n in range(12) if n not in sizes]
    items = server.client.redrive_items(job["id"])["items"]
    assert [(it["position"], it["outcome"]) for it in items] == [("0:4", "failed"), ("0:9", "failed")]
    assert "too large" in str(items[0]["reason"])
    server.wait_for_queue(f"k/{dead}", 2)
    assert [it["position"] for it in server.client.letters(f"k/{dead}")["items"]] == ["0:4", "0:9"]


def test_what_arrives_after_the_plan_is_not_touched(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "later")
    yard.fill(dead, 20, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 20)
    plan = server.client.plan_redrive(f"k/{dead}")
    yard.fill(dead, 5, spring_headers(target), first=20)
    job = server.client.start_redrive(plan["id"], plan["hash"])
    assert server.wait_for_job(job["id"])["counts"]["sent"] == 20
    assert ids(yard.read(target)) == list(range(20))
    server.wait_for_queue(f"k/{dead}", 5)


def test_a_job_whose_messages_come_back_stops_itself_and_sends_nothing_twice(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "bounce")
    yard.fill(dead, 300, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 300)
    stop = threading.Event()
    consumer = threading.Thread(target=_dead_letter_everything, args=(yard, target, dead, stop))
    consumer.start()
    try:
        job = server.start_job(f"k/{dead}", rate=60)
        paused = server.wait_for_job(job["id"], "paused")
        sent = yard.read(target)
    finally:
        stop.set()
        consumer.join()
    assert str(paused["reason"]).startswith("circuit_open")
    counts = paused["counts"]
    assert counts["bounced"] >= 10
    assert counts["left"] > 0, "it stopped early"
    assert counts["planned"] == counts["sent"] + counts["bounced"] + counts["left"] == 300
    assert max(Counter(ids(sent)).values()) == 1
    server.client.steer_redrive(job["id"], "cancel")
    assert server.wait_for_job(job["id"])["state"] == "cancelled"


def test_a_canary_waits_looks_and_goes_on(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "canary")
    yard.fill(dead, 30, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 30)
    job = server.start_job(f"k/{dead}", canary=4, canary_wait_seconds=1.5)
    waiting = wait_until(
        "the first are sent", lambda: (it := server.client.redrive(job["id"]))["counts"]["sent"] and it
    )
    assert (waiting["state"], waiting["counts"]["sent"], waiting["canary"]["verdict"]) == ("canary", 4, None)
    told = server.wait_for_job(job["id"])
    assert (told["state"], told["counts"]["sent"]) == ("completed", 30)
    assert told["canary"] == {"messages": 4, "wait_seconds": 1.5, "verdict": "passed"}


def test_a_canary_that_comes_back_stops_the_job_before_the_rest(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "badcanary")
    yard.fill(dead, 30, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 30)
    stop = threading.Event()
    consumer = threading.Thread(target=_dead_letter_everything, args=(yard, target, dead, stop))
    consumer.start()
    try:
        job = server.start_job(f"k/{dead}", canary=4, canary_wait_seconds=20)
        paused = server.wait_for_job(job["id"], "paused")
    finally:
        stop.set()
        consumer.join()
    assert str(paused["reason"]).startswith("circuit_open: canary: ")
    assert paused["canary"] == {"messages": 4, "wait_seconds": 20.0, "verdict": "failed"}
    assert paused["counts"]["sent"] + paused["counts"]["bounced"] == 4
    server.client.steer_redrive(job["id"], "cancel")
    assert server.wait_for_job(job["id"])["counts"]["left"] == 26
    (group,) = server.client.letter_groups(f"k/{dead}")["items"]  # those that came back and those that never left
    (cause,) = server.client.plan_redrive(f"k/{dead}", group=group["id"])["causes"]
    assert group["advice"]["action"] == cause["advice"]["action"] == "do_not"
    assert "came back" in group["advice"]["reason"]


def _dead_letter_everything(yard: Yard, target: str, dead: str, stop: threading.Event) -> None:
    group = yard.kafka.name("bouncer")
    yard.kafka._groups.add(group)
    consumer = Consumer({"bootstrap.servers": yard.kafka.bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([target])
    producer = Producer({"bootstrap.servers": yard.kafka.bootstrap, "linger.ms": 1})
    while not stop.is_set():
        for message in consumer.consume(100, 0.1):
            assert message.error() is None
            producer.produce(dead, message.value(), message.key(), headers=message.headers())
        producer.flush(5)
    consumer.close()


def test_the_rate_holds_and_a_pause_costs_no_more_than_a_second_of_it(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(2, "paced")
    yard.fill(dead, 4_000, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 4_000)
    job = server.start_job(f"k/{dead}", rate=400)["id"]
    wait_until("it sends", lambda: server.client.redrive(job)["counts"]["sent"] > 1_600)
    before = server.client.steer_redrive(job, "pause")["counts"]["sent"]
    paused = server.wait_for_job(job, "paused")
    assert paused["reason"] == "operator"
    assert paused["counts"]["sent"] - before <= 400 + 200  # what the journal lags behind, and what is made up at once
    held = yard.read(target)
    assert len(held) == paused["counts"]["sent"]
    stamps = sorted(message.timestamp()[1] / 1000 for message in held)[800:]
    rate = sum(stamp > stamps[0] for stamp in stamps) / (stamps[-1] - stamps[0])
    assert 200 < rate < 440  # a busy machine may be slower; by a clock of its own, see the unit test

    server.client.set_redrive_rate(job, None)
    server.client.steer_redrive(job, "resume")
    assert server.wait_for_job(job)["counts"]["sent"] == 4_000
    assert sorted(ids(yard.read(target))) == list(range(4_000))


def test_a_cancelled_job_leaves_what_it_has_not_sent_waiting(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(2, "cancelled")
    yard.fill(dead, 500, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 500)
    job = server.start_job(f"k/{dead}", rate=50)["id"]
    wait_until("it sends", lambda: server.client.redrive(job)["counts"]["sent"] > 10)
    server.client.steer_redrive(job, "cancel")
    told = server.wait_for_job(job)
    assert told["state"] == "cancelled"
    sent = len(yard.read(target))
    assert (told["counts"]["sent"], told["counts"]["left"]) == (sent, 500 - sent)
    server.wait_for_queue(f"k/{dead}", 500 - sent)
    again = server.start_job(f"k/{dead}")
    assert server.wait_for_job(again["id"])["counts"]["sent"] == 500 - sent
    assert sorted(ids(yard.read(target))) == list(range(500))


def test_two_operators_at_once_make_one_job(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "twice")
    yard.fill(dead, 50, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 50)
    plans = [server.client.plan_redrive(f"k/{dead}", rate=20) for _ in range(2)]
    told: list[str] = []

    def start(plan: int) -> None:
        try:
            told.append(server.client.start_redrive(plans[plan]["id"], plans[plan]["hash"])["id"])
        except MonitorRefused as error:
            told.append(error.slug)

    threads = [threading.Thread(target=start, args=(number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = set(told) - {"conflict"}
    assert (len(jobs), told.count("conflict")) == (1, 3)
    server.client.set_redrive_rate(jobs.pop(), None)
    wait_until("all are there", lambda: len(yard.read(target)) == 50)


def test_a_viewer_may_look_and_no_more_and_the_refusal_is_on_record(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "viewed")
    yard.fill(dead, 3, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 3)
    with server.client_of("viewer") as viewer:
        looked = viewer.letters(f"k/{dead}")["items"]
        assert [it["value"] for it in looked] == [None] * 3
        assert looked[0]["exception"] == "java.lang.IllegalStateException"
        for attempt in (
            lambda: viewer.redrive_plan("p"),
            lambda: viewer.redrive_plan("p"),  # counted, and told later
            lambda: viewer.plan_redrive(f"k/{dead}"),
            lambda: viewer.start_redrive("p", "h"),
        ):
            with pytest.raises(MonitorRefused) as refused:
                attempt()
            assert refused.value.status == 403
    with server.client_of("nobody's") as nobody, pytest.raises(MonitorRefused):
        nobody.redrives()

    def recorded() -> list[tuple[Any, ...]]:
        items = server.client.audit(limit=4)["items"]
        return [(it["actor"], it["operation"], it["outcome"]) for it in items]

    expected = [
        ("unknown", "request", "refused"),  # written when it has been answered
        ("viewer", "redrive.start", "refused"),
        ("viewer", "redrive.plan", "refused"),
        ("viewer", "redrive.plan", "refused"),
    ]
    wait_until("all refusals are on record", lambda: recorded() == expected)
    assert server.client.audit_verification()["intact"] is True


def test_looking_ten_times_changes_nothing(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(2, "looked")
    yard.fill(dead, 40, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 40)
    pages = []
    for _ in range(10):
        first = server.client.letters(f"k/{dead}", limit=25)
        second = server.client.letters(f"k/{dead}", limit=25, cursor=first["next"])
        assert second["next"] is None
        pages.append([*first["items"], *second["items"]])
    assert len(pages[0]) == 40
    assert all(page == pages[0] for page in pages)
    groups = server.client.letter_groups(f"k/{dead}")["items"]
    assert [(it["exception"], it["message"], it["messages"]) for it in groups] == [
        ("java.lang.IllegalStateException", "no stock for order <n>", 40)
    ]
    server.wait_for_queue(f"k/{dead}", 40)


def test_the_name_alone_is_no_reason_to_send(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "named")
    yard.fill(dead, 4, [])
    server.wait_for_queue(f"k/{dead}", 4)
    plan = server.client.plan_redrive(f"k/{dead}")
    assert plan["origin_evidence"] == [{"origin": target, "found_by": "name"}]
    assert f"--target {target}" in plan["blockers"][0]
    with pytest.raises(MonitorRefused, match="cannot be carried out"):
        server.client.start_redrive(plan["id"], plan["hash"])
    job = server.start_job(f"k/{dead}", target=target)
    assert server.wait_for_job(job["id"])["counts"]["sent"] == 4


def test_a_plan_that_has_been_overtaken_is_refused(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "stale")
    yard.fill(dead, 6, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 6)
    stale, plan = server.client.plan_redrive(f"k/{dead}"), server.client.plan_redrive(f"k/{dead}", first=2)
    server.wait_for_job(server.client.start_redrive(plan["id"], plan["hash"])["id"])
    with pytest.raises(MonitorRefused, match="has changed since the plan"):
        server.client.start_redrive(stale["id"], stale["hash"])
    with pytest.raises(MonitorRefused, match="hash"):
        server.client.start_redrive(stale["id"], "0" * 64)
    assert len(yard.read(target)) == 2


def test_other_groups_that_get_the_messages_again_are_named(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "shared")
    yard.fill(target, 1, [])
    for group in ("workers", "billing"):
        yard.kafka.commit(yard.kafka.name(group), target, 1)
    yard.fill(dead, 2, spring_headers(target, group=yard.kafka.name("workers")))
    server.wait_for_queue(f"k/{dead}", 2)
    assert server.client.plan_redrive(f"k/{dead}")["also_receives"] == [yard.kafka.name("billing")]


def test_what_cannot_be_meant_is_refused_with_a_reason(yard: Yard, server: Server) -> None:
    target, dead = yard.pair(1, "wrong")
    yard.fill(dead, 2, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 2)
    queue = f"k/{dead}"
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"dead_letters": queue[:-1]}, f"did you mean {queue}"),
        ({"dead_letters": f"watched/{dead}"}, "read-only"),
        ({"dead_letters": queue, "select": "body.id >"}, "position 10"),
        ({"dead_letters": queue, "select": " | ".join(["[@,@][]"] * 30)}, "takes too long"),
        ({"dead_letters": queue, "rate": 0}, "above 0"),
        ({"dead_letters": queue, "first": 0}, "at least 1"),
    ]
    for asked, told in refusals:
        with pytest.raises(MonitorRefused, match=told):
            server.client.plan_redrive(**asked)
    for wrong, told in ((dead, "the dead-letter queue itself"), ("nowhere", "does not exist")):
        assert told in server.client.plan_redrive(queue, target=wrong)["blockers"][0]
