"""Kills the monitor in the middle of an export, and of a purge after SQS has been asked; looks what is left of either.

    python -m benchmarks.soak redrive-purge

An export that was cut off is good for no purge, and every message is there again. A purge that was cut off is done by
the broker or not, as a whole; nothing of it keeps the queue from what comes next, and the audit log says that it began.
"""

import os
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.soak.grounds import ENVIRONMENT, Ground, linked, on_sqs
from monitor.config import hash_token
from monitor.errors import ClientError, MonitorRefused
from stack.control import Stack
from stack.state import Options, read_endpoints
from tests.integration.app.running import wait_until
from tests.integration.redrive.server import Server

MESSAGES = 1_000
_PATIENCE_SECONDS = 120.0


def main() -> int:
    """Run the proof over an AWS stand-in, and print what was found."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        running = os.environ.get("EVENTFLOW_TEST_ENDPOINTS")
        if running:
            endpoint = read_endpoints(Path(running)).aws
        else:
            stack = Stack(folder / "stack", Options(parts=("aws",)))
            opened.callback(stack.stop)
            endpoint = stack.start().aws
        link = opened.enter_context(linked(folder, urlsplit(endpoint).port or 0))
        found = prove(opened.enter_context(on_sqs(endpoint, link)), folder)
    table = Table("what was looked at", "holds", title="SQS, the monitor killed in an export and in a purge")
    for name, holds in found.items():
        table.add_row(name, str(holds))
    Console(width=140).print(table)
    return 0 if all(found.values()) else 1


def prove(ground: Ground, folder: Path) -> dict[str, bool]:
    """Kill in the export, then in the purge; return what was looked at, and whether it was as it must be."""
    tokens = f'server: {{tokens: [{{name: root, role: admin, sha256: "{hash_token("root")}"}}]}}\n'
    server = Server(folder, ground.clusters, ENVIRONMENT, tokens, "root")
    ground.fill(MESSAGES)
    try:
        server.start()
        server.wait_for_queue(ground.queue)
        cut = _kill_in_an_export(server, ground)
        wait_until("all are visible", lambda: _export(server, ground)[1] == MESSAGES, _PATIENCE_SECONDS)
        found = {
            "an export that was cut off is good for no purge": _is_refused(server, ground, cut),
            "after it every message is there": ground.waiting() == MESSAGES,
        }
        return {**found, **_kill_in_a_purge(server, ground)}
    finally:
        server.kill()


def _kill_in_an_export(server: Server, ground: Ground) -> str:
    with server.client_of("root") as client, suppress(ClientError), client.export_letters(ground.queue) as export:
        next(iter(export.chunks))
        server.kill()
    server.start()
    server.wait_for_queue(ground.queue)
    return export.id


def _kill_in_a_purge(server: Server, ground: Ground) -> dict[str, bool]:
    id_, _ = _export(server, ground)
    link = ground.link
    assert link is not None
    link.deafening = b"AmazonSQS.PurgeQueue"
    purging = threading.Thread(target=_purge_quietly, args=(server, ground, id_), daemon=True)
    purging.start()
    assert link.is_deaf.wait(_PATIENCE_SECONDS), "the purge did not reach the broker"
    wait_until("the broker has purged", lambda: ground.waiting() == 0, _PATIENCE_SECONDS)
    server.kill()
    purging.join(_PATIENCE_SECONDS)
    link.deafening = None
    link.reset()
    link.is_deaf.clear()
    server.start()
    server.wait_for_queue(ground.queue, 0)
    records = [it for it in server.client.audit(limit=20)["items"] if it["operation"] == "dead-letters.purge"]
    ground.fill(10)
    server.wait_for_queue(ground.queue, 10)
    job = server.wait_for_job(server.start_job(ground.queue)["id"])
    return {
        "its audit record says that it began, and none that it ended": records[0]["outcome"] == "allowed",
        "the audit log is intact": server.client.audit_verification()["intact"],
        "its export is used up": _is_refused(server, ground, id_),
        "the queue is free for a job": (job["state"], job["counts"]["sent"]) == ("completed", 10),
    }


def _purge_quietly(server: Server, ground: Ground, export: str) -> None:
    # The monitor is killed in the middle of it.
    with server.client_of("root") as client, suppress(ClientError):
        client.purge(ground.queue, _name_of(ground), export)


def _export(server: Server, ground: Ground) -> tuple[str, int]:
    with server.client.export_letters(ground.queue) as export:
        return export.id, len(b"".join(export.chunks).splitlines())


def _is_refused(server: Server, ground: Ground, export: str) -> bool:
    try:
        server.client.purge(ground.queue, _name_of(ground), export)
    except MonitorRefused as error:
        return error.status == 409
    return False


def _name_of(ground: Ground) -> str:
    return ground.queue.rpartition("/")[2]
