"""The monitor is killed in the middle of a job, again and again."""

import json
import random
from collections import Counter
from functools import partial

from tests.integration.app.running import wait_until
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.redrive.server import ENDED, Server

MESSAGES, KILLS = 2_000, 3


def test_a_job_survives_kills_without_loss_or_duplicate(yard: Yard, server: Server) -> None:
    target, dead = yard.pair()
    yard.fill(dead, MESSAGES, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", MESSAGES)
    job = server.start_job(f"k/{dead}", rate=MESSAGES / 6)["id"]
    moments = random.Random(7)
    for _ in range(KILLS):
        wait_until("it moves on", partial(_moved_on, server, job, server.client.redrive(job)["counts"]["sent"]))
        wait_until("a random moment", lambda: moments.random() < 0.1)
        server.kill()
        server.start()
    ended = server.wait_for_job(job)

    seen = Counter(json.loads(message.value() or b"")["id"] for message in yard.read(target))
    assert set(seen) == set(range(MESSAGES))
    assert max(seen.values()) == 1
    assert ended["state"] == "completed"
    assert ended["counts"] == {
        "planned": MESSAGES, "sent": MESSAGES, "skipped": 0, "failed": 0, "expired": 0, "bounced": 0, "ambiguous": 0,
        "left": 0,
    }  # fmt: skip
    assert server.client.redrive_report(job)["interruptions"] <= KILLS
    server.wait_for_queue(f"k/{dead}", 0)


def _moved_on(server: Server, job: str, before: int) -> bool:
    told = server.client.redrive(job)
    assert told["state"] not in ENDED, "it was over before it could be killed"
    return told["counts"]["sent"] > before
