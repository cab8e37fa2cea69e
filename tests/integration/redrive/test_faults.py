"""The network, the database or the monitor fails in the middle of a job: the soaks at a small size."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.soak.grounds import ENVIRONMENT, Ground, linked, on_kafka, on_rabbitmq
from benchmarks.soak.redrive_faults import Proof, fill_database, has_sent, lose_answers, prove
from stack.state import Endpoints
from tests.integration.app.running import wait_until
from tests.integration.redrive.server import Server


@pytest.fixture
def mail(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    port = urlsplit(endpoints.rabbitmq.amqp).port or 0
    with linked(tmp_path_factory.mktemp("link"), port) as link, on_rabbitmq(endpoints.rabbitmq, link) as ground:
        yield ground


def assert_complete(proof: Proof, messages: int) -> None:
    assert (proof.unique, proof.stayed, proof.state, proof.adds_up) == (messages, 0, "completed", True)
    assert proof.doubled <= proof.allowed


def test_answers_that_the_network_loses_cost_no_message_and_no_more_copies_than_was_said(
    mail: Ground, tmp_path: Path
) -> None:
    proof = prove(mail, tmp_path, [lose_answers(mail, seconds=0.2)], messages=120, rate=200)
    assert_complete(proof, 120)
    assert proof.doubled > 0  # or no answer was lost


def test_a_database_that_takes_no_more_interrupts_the_job_and_costs_nothing(mail: Ground, tmp_path: Path) -> None:
    proof = prove(mail, tmp_path, [fill_database(1.5)], messages=200, rate=100)
    assert_complete(proof, 200)
    assert "the database cannot be used" in "".join(proof.told)


def test_another_monitor_goes_on_with_the_job_of_one_that_dies(
    endpoints: Endpoints, empty_postgresql_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        ground = stack.enter_context(on_kafka(endpoints.kafka))
        ground.fill(300)
        servers = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            server = Server(folder, ground.clusters, ENVIRONMENT, database=empty_postgresql_url)
            stack.callback(server.kill)
            server.start()
            servers.append(server)
        first, second = servers
        first.wait_for_queue(ground.queue)
        job = first.start_job(ground.queue, rate=150)["id"]
        wait_until("some are sent", partial(has_sent, first, job, 50))
        assert second.client.redrive(job)["counts"]["sent"] > 0  # both see it
        first.kill()
        ended = second.wait_for_job(job)
        assert (ended["state"], ended["counts"]["sent"]) == ("completed", 300)
        assert second.client.redrive_report(job)["interruptions"] == 1
        arrived = ground.arrived()
        assert (len(arrived), arrived.total()) == (300, 300)
