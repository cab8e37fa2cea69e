"""What people do with dead letters on Kafka, and what they may not."""

import json
import time
from typing import Any

import pytest

from monitor.apiclient import ApiClient
from monitor.errors import MonitorRefused
from tests.integration.app.running import wait_until
from tests.integration.redrive.kafka.yard import Headers, spring_headers
from tests.integration.redrive.people.conftest import Team

SET_STATUS = {"op": "replace", "path": "/status", "value": "mended"}


def fill(team: Team, name: str, count: int, value: Any = None, extra: Headers = ()) -> tuple[str, str, str]:
    """Make a target and dead letters for it; return both names and the id of the dead-letter queue."""
    target, dead = team.kafka.pair(1, name)
    team.kafka.fill(dead, count, [*spring_headers(target), *extra], value=value)
    team.server.wait_for_queue(f"k/{dead}", count)
    return target, dead, f"k/{dead}"


def refused(operation: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(MonitorRefused) as error:
        operation(*arguments, **options)
    return str(error.value)


def audited(person: ApiClient, operation: str) -> list[dict[str, Any]]:
    return [it for it in person.audit(limit=200)["items"] if it["operation"] == operation]


def test_bodies_are_edited_where_the_patch_applies_and_the_rest_stays_with_its_reason(team: Team) -> None:
    bodies = [b'{"status": "bad", "n": 0}', b"no JSON, secret", b'{"status": "bad", "n": 2}', b'{"other": 3}']
    target, _, queue = fill(team, "edited", 4, bodies.__getitem__)
    plan = team.alice.plan_redrive(queue, patch=[SET_STATUS], set_headers={"mended-by": "alice"})
    shown = [(it["after"]["value"] if it["after"] else None, it["skipped"] is not None) for it in plan["samples"]]
    mended = ['{"status":"mended","n":0}', '{"status":"mended","n":2}']
    assert shown == [(mended[0], False), (None, True), (mended[1], False), (None, True)]

    job = team.alice.start_redrive(plan["id"], plan["hash"], note="TICKET-7")
    told = team.server.wait_for_job(job["id"])
    assert (told["counts"]["sent"], told["counts"]["skipped"], told["state"]) == (2, 2, "completed")
    arrived = team.kafka.read(target)
    assert [(message.value() or b"").decode() for message in arrived] == mended
    assert all(dict(message.headers() or [])["mended-by"] == b"alice" for message in arrived)
    skipped = team.alice.all_redrive_items(job["id"], outcome="skipped")
    assert [it["position"] for it in skipped] == ["0:1", "0:3"]
    assert "patch[0]" in str(skipped[1]["reason"])

    originals = team.alice.all_redrive_originals(job["id"])
    assert [(it["position"], it["letter"]) for it in originals] == [("0:0", None), ("0:2", None)]
    assert all(it["before_sha256"] != it["after_sha256"] for it in originals)
    assert [it["position"] for it in team.alice.letters(queue)["items"]] == ["0:1", "0:3"]
    report = team.alice.redrive_report(job["id"])
    (end,) = [it for it in audited(team.alice, "redrive.end") if it["job"] == job["id"]]
    assert end["edits"] == report["edits"] == {"messages": 2, "digest": report["edits"]["digest"]}
    assert audited(team.alice, "redrive.start")[0]["note"] == "TICKET-7"
    assert "mended" not in json.dumps(team.alice.audit(limit=200)["items"]).replace("mended-by", "")


def test_a_malformed_patch_is_refused_with_its_place_and_editing_needs_the_right_to_see(team: Team) -> None:
    _, _, queue = fill(team, "malformed", 1)
    assert "patch[1]: Unknown operation" in refused(
        team.alice.plan_redrive, queue, patch=[SET_STATUS, {"op": "burn", "path": "/a"}]
    )
    assert "right to see" in refused(team.carol.plan_redrive, queue, patch=[SET_STATUS])
    (record,) = [it for it in audited(team.alice, "redrive.plan") if it["actor"] == "carol"]
    assert (record["outcome"], record["dead_letters"]) == ("refused", queue)


def test_a_job_of_a_guarded_queue_begins_when_somebody_else_approves_it(team: Team) -> None:
    target, _, queue = fill(team, "guarded", 3)
    plan = team.alice.plan_redrive(queue)
    assert "second person" in str(plan["approval"])
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    assert (job["state"], job["approval"]) == ("awaiting_approval", plan["approval"])
    assert "somebody else" in refused(team.alice.steer_redrive, job["id"], "approve")
    assert "needs the role operator" in refused(team.victor.steer_redrive, job["id"], "approve")
    assert "approve or cancel" in refused(team.bob.steer_redrive, job["id"], "resume")
    assert team.kafka.read(target) == []
    assert team.bob.steer_redrive(job["id"], "approve")["approved_by"] == "bob"
    assert team.server.wait_for_job(job["id"])["counts"]["sent"] == 3
    assert "nothing to approve" in refused(team.root.steer_redrive, job["id"], "approve")
    records = [it for it in audited(team.alice, "redrive.approve") if job["id"] in json.dumps(it)]
    told = [(it["actor"], it["outcome"]) for it in records]
    assert told == [("root", "refused"), ("bob", "allowed"), ("victor", "refused"), ("alice", "refused")]

    again = team.bob.start_redrive(*_plan(team.bob, queue))
    assert team.alice.steer_redrive(again["id"], "cancel")["state"] == "cancelled"


def _plan(person: ApiClient, queue: str) -> tuple[str, str]:
    plan = person.plan_redrive(queue)
    return plan["id"], plan["hash"]


def test_what_is_hidden_is_neither_shown_nor_found_by_whoever_may_not_see_bodies(team: Team) -> None:
    cards = [b'{"card": {"number": "4111"}, "n": 0}', b'{"card": {"number": "5222"}, "n": 1}']
    _, _, queue = fill(team, "masked", 2, cards.__getitem__, [("secret", b"s3cret"), ("region", b"eu")])
    seen = [json.loads(it["value"] or "") for it in team.alice.letters(queue)["items"]]
    assert [body["card"]["number"] for body in seen] == ["4111", "5222"]
    for person in (team.carol, team.victor):
        page = person.letters(queue)
        assert [json.loads(it["value"] or "") for it in page["items"]] == [
            {"card": {"number": "***"}, "n": n} for n in (0, 1)
        ]
        assert not [word for word in ("4111", "5222", "s3cret", "k0") if word in json.dumps(page)]
        assert person.letters(queue, select="body.card.number == '4111'")["items"] == []
        assert [it["position"] for it in person.letters(queue, select="body.n == `1`")["items"]] == ["0:1"]
        with person.export_letters(queue) as export:
            exported = b"".join(export.chunks)
        assert b"4111" not in exported
        assert len(exported.splitlines()) == 2
    counts = [it.plan_redrive(queue, select="contains(text, '4111')")["count"] for it in (team.carol, team.alice)]
    assert counts == [0, 1]
    samples = json.dumps(team.carol.plan_redrive(queue)["samples"])
    assert "***" in samples
    assert "4111" not in samples
    # The job, too, selects by what its plan could see.
    plan = team.carol.plan_redrive(queue, select="body.card.number == '***' && body.n == `0`")
    job = team.carol.start_redrive(plan["id"], plan["hash"])
    assert team.server.wait_for_job(job["id"])["counts"]["sent"] == 1


def test_where_no_rule_says_what_may_be_seen_nothing_is(team: Team) -> None:
    _, _, queue = fill(team, "unruled", 2)
    (group,) = team.victor.letter_groups(queue)["items"]
    assert (group["message"], group["exception"]) == (None, "java.lang.IllegalStateException")
    assert "no stock" in str(team.alice.letter_groups(queue)["items"][0]["message"])
    item = team.victor.letters(queue)["items"][0]
    assert (item["value"], item["key"], item["exception_message"]) == (None, None, None)
    assert all(header["value"] is None for header in item["headers"])
    assert item["note"]


def test_a_job_waits_for_its_time_and_ends_at_its_deadline(team: Team) -> None:
    target, _, queue = fill(team, "timed", 40)
    now = time.time()
    plan = team.alice.plan_redrive(queue, start_at=now + 1.2, deadline=now + 2.6, rate=5)
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    scheduled = team.server.wait_for_job(job["id"], "scheduled")
    assert str(scheduled["reason"]).startswith("scheduled: begins at")
    ended = team.server.wait_for_job(job["id"])
    assert (ended["state"], str(ended["reason"]).partition(":")[0]) == ("cancelled", "deadline")
    counts = ended["counts"]
    assert 0 < counts["sent"] < 40
    assert counts["left"] == 40 - counts["sent"]
    assert len(team.kafka.read(target)) == counts["sent"]
    assert float(ended["started_at"] or 0) >= now + 1.2


def test_a_job_waits_while_its_target_is_too_full_until_somebody_overrules_and_proves_what_was_read(team: Team) -> None:
    target, _, queue = fill(team, "full", 6)
    group = team.kafka.kafka.name("readers")
    team.kafka.fill(target, 3, [])
    team.kafka.kafka.commit(group, target, 0)

    def reader() -> dict[str, Any] | None:
        return next((dict(it) for it in team.alice.all_subscriptions() if it["subscriber"] == group), None)

    wait_until("the backlog is seen", lambda: (found := reader()) and found["backlog_messages"] == 3)
    plan = team.alice.plan_redrive(queue, max_target_backlog=2)
    job = team.alice.start_redrive(plan["id"], plan["hash"])
    paused = team.server.wait_for_job(job["id"], "paused")
    assert str(paused["reason"]).startswith("target_backpressure: 3 messages wait for")
    team.alice.steer_redrive(job["id"], "resume")
    assert team.server.wait_for_job(job["id"])["counts"]["sent"] == 6
    assert team.alice.redrive_report(job["id"])["consumers"] == {"processed": 0, "bounced": 0, "unknown": 6}
    team.kafka.kafka.commit(group, target, 9)
    wait_until(
        "what was read is told",
        lambda: team.alice.redrive_report(job["id"])["consumers"] == {"processed": 6, "bounced": 0, "unknown": 0},
    )


def test_old_ones_are_set_aside_stay_in_their_topic_and_wait_again_when_they_are_put_back(team: Team) -> None:
    target, dead, queue = fill(team, "aside", 4)
    wait_until("they are a second old", lambda: team.alice.letters(queue, older_than_seconds=1.0)["items"][3:])
    team.kafka.fill(dead, 2, spring_headers(target), first=4)
    team.server.wait_for_queue(queue, 6)
    assert "reason" in refused(team.alice.plan_redrive, queue, action="archive")
    first = team.alice.start_redrive(*_plan_of(team.alice, queue, positions=["0:0"]))
    assert team.server.wait_for_job(first["id"])["counts"]["sent"] == 1
    young = time.time() - min(float(it["enqueued_at"] or 0) for it in team.alice.letters(queue)["items"][3:])
    plan = team.alice.plan_redrive(queue, action="archive", reason="known bug", older_than_seconds=young + 0.5)
    assert (plan["count"], plan["target"]) == (3, "archive")
    archive = team.alice.start_redrive(plan["id"], plan["hash"])
    assert team.server.wait_for_job(archive["id"])["counts"]["sent"] == 3
    team.server.wait_for_queue(queue, 2)
    (kept,) = team.alice.archives(dead_letters=queue)["items"]
    assert (kept["messages"], kept["kept_in"], kept["reason"]) == (3, "ledger", "known bug")
    shown = team.alice.archived_letters(archive["id"], limit=2)
    assert [it["position"] for it in shown["items"]] == ["0:1", "0:2"]
    rest_of_it = team.alice.archived_letters(archive["id"], limit=2, cursor=shown["next"])
    assert [it["position"] for it in rest_of_it["items"]] == ["0:3"]
    assert rest_of_it["next"] is None
    # The cursor passes them before they are put back.
    rest = team.alice.start_redrive(*_plan_of(team.alice, queue))
    assert team.server.wait_for_job(rest["id"])["counts"]["sent"] == 2
    team.server.wait_for_queue(queue, 0)
    restored = team.alice.start_redrive(*_plan_of(team.alice, queue, action="restore", archive=archive["id"]))
    told = team.server.wait_for_job(restored["id"])
    assert (told["state"], told["counts"]["sent"]) == ("completed", 3)
    team.server.wait_for_queue(queue, 3)
    assert [it["position"] for it in team.alice.letters(queue)["items"]] == ["0:1", "0:2", "0:3"]
    assert team.alice.archives(dead_letters=queue)["items"] == []
    last = team.alice.start_redrive(*_plan_of(team.alice, queue))
    assert team.server.wait_for_job(last["id"])["counts"]["sent"] == 3
    ids = sorted(json.loads(message.value() or b"")["id"] for message in team.kafka.read(target))
    assert ids == list(range(6))
    assert len(team.kafka.read(dead)) == 6


def _plan_of(person: ApiClient, queue: str, **options: Any) -> tuple[str, str]:
    plan = person.plan_redrive(queue, **options)
    assert plan["blockers"] == []
    return plan["id"], plan["hash"]


def test_a_queue_is_purged_by_an_admin_who_types_its_name_after_an_export_of_all_of_it(team: Team) -> None:
    _, dead, queue = fill(team, "purged", 3)
    assert "needs the role admin" in refused(team.alice.purge, queue, dead, "x")
    assert "no export" in refused(team.root.purge, queue, dead, "x")
    with team.root.export_letters(queue, select="body.id == `1`") as partial:
        assert len(b"".join(partial.chunks).splitlines()) == 1
    assert "no export" in refused(team.root.purge, queue, dead, partial.id)
    with team.root.export_letters(queue) as export:
        lines = b"".join(export.chunks).splitlines()
    assert [json.loads(json.loads(line)["value"])["id"] for line in lines] == [0, 1, 2]
    assert f"type {dead}" in refused(team.root.purge, queue, "other", export.id)
    assert team.root.purge(queue, dead, export.id)["removed"] == 3
    team.server.wait_for_queue(queue, 0)
    assert team.kafka.read(dead) == []
    told = [(it["actor"], it["outcome"]) for it in audited(team.alice, "dead-letters.purge")][:2]
    assert told == [("root", "done"), ("root", "allowed")]
    assert "no export" in refused(team.root.purge, queue, dead, export.id), "an export is for one purge"


def test_what_was_set_aside_in_a_topic_keeps_it_from_being_purged(team: Team) -> None:
    _, dead, queue = fill(team, "kept", 3)
    job = team.alice.start_redrive(*_plan_of(team.alice, queue, first=1, action="archive", reason="later"))
    assert team.server.wait_for_job(job["id"])["counts"]["sent"] == 1
    team.server.wait_for_queue(queue, 2)
    with team.root.export_letters(queue) as export:
        assert len(b"".join(export.chunks).splitlines()) == 2
    assert "restore it first" in refused(team.root.purge, queue, dead, export.id)
