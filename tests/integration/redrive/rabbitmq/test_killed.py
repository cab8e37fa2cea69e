"""A monitor that is killed in the middle: `make soak NAME=rabbitmq_redrive` at a small size, and setting aside."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from benchmarks.soak.rabbitmq_redrive import (
    DEAD,
    Monitor,
    channel_of,
    drain,
    fill,
    prove,
    start,
    virtual_host,
    wait,
    write_config,
)
from stack.state import Endpoints


def test_a_monitor_that_is_killed_loses_nothing_and_doubles_no_more_than_was_said(endpoints: Endpoints) -> None:
    proof = prove(endpoints.rabbitmq, messages=1500, kills=2, rate=700)
    assert (proof.unique, proof.stayed, proof.state) == (1500, 0, "completed")
    assert proof.adds_up
    assert proof.doubled <= proof.allowed


def test_what_is_set_aside_and_put_back_survives_kills_of_the_monitor(endpoints: Endpoints) -> None:
    where = endpoints.rabbitmq
    with (
        virtual_host(where) as vhost,
        channel_of(where, vhost) as channel,
        tempfile.TemporaryDirectory() as folder,
    ):
        fill(channel, 300)
        config = write_config(Path(folder), where, vhost)
        config.write_text(f"{config.read_text()}\narchive: {{keys: ['{Fernet.generate_key().decode()}']}}\n")
        with Monitor(config) as running:
            archived = carry_out(running, vhost, action="archive", reason="killed in the middle")
            assert list(drain(channel, DEAD)) == []
            restored = carry_out(running, vhost, action="restore", archive=archived["id"])
        came = Counter(drain(channel, DEAD))
    assert len(came) == 300
    assert came.total() - 300 <= archived["allowed"] + restored["allowed"]


def carry_out(running: Monitor, vhost: str, **asked: Any) -> dict[str, Any]:
    """Carry a job out with one kill in its middle, and return it with how many duplicates its plan allows for that."""
    queue = f"mail/{vhost}/{DEAD}"
    wait(lambda: running.api.get(f"dead-letters/{queue}").is_success)
    plan = (
        running.api.post("redrives/plan", json={"dead_letters": queue, "rate": 400, **asked}).raise_for_status().json()
    )
    job = start(running.api, plan)
    running.kill_at(job, 100)
    ended = wait(lambda: (it := running.job(job))["state"].startswith(("completed", "failed")) and it)
    assert ended["state"] == "completed"
    return {**ended, "allowed": plan["max_duplicates_per_interruption"]}
