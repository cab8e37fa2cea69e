"""A gate before the AWS stand-in that lets just the actions of a policy through, and denies the others as AWS does.

It is a fake: the stand-in enforces no IAM. What an operation needs is the right of its own name, but for batches, which
need that of one message (Amazon SQS Developer Guide, "Amazon SQS API permissions"), and for GetCallerIdentity, which
needs none. Conditions, resources and trust are not looked at.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx

from tests.integration.aws.scripted import Answering, denied

_FREE = frozenset({"sts:GetCallerIdentity"})
_HOP = frozenset({"connection", "content-length", "transfer-encoding", "host", "date", "server"})
_SERVICES = {"AmazonSQS": "sqs", "GraniteServiceVersion20100801": "cloudwatch"}


@dataclass
class Gate:
    """What is let through, what came, and what was turned away: actions as policies name them."""

    allowed: frozenset[str] = frozenset()
    url: str = ""
    asked: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def allow(self, actions: frozenset[str]) -> None:
        """Let these through from now on, and forget what came before."""
        self.allowed = actions
        self.asked.clear()
        self.refused.clear()


@contextmanager
def gate_before(stand_in: str) -> Iterator[Gate]:
    """Serve until the block ends."""
    gate = Gate()

    class Handler(Answering):
        def do_POST(self) -> None:  # noqa: N802 (the library's name for it)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = self._action(body)
            gate.asked.add(action)
            if action not in gate.allowed | _FREE:
                gate.refused.add(action)
                self._deny(action)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            answer = httpx.post(f"{stand_in}{self.path}", content=body, headers=headers, timeout=30, trust_env=False)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            self._send(answer.status_code, answer.content, kept.pop("content-type", "text/plain"), kept)

        def _action(self, body: bytes) -> str:
            target = self.headers.get("X-Amz-Target") or ".".join(self.path.split("/")[2::2])
            if target:
                service, _, operation = target.partition(".")
                return f"{_SERVICES[service]}:{operation.removesuffix('Batch')}"
            # The name of the service is in the scope that the request is signed for.
            service = self.headers["Authorization"].partition("Credential=")[2].split("/")[3]
            operation = parse_qs(body.decode())["Action"][0]
            return f"{'cloudwatch' if service == 'monitoring' else service}:{operation}"

        def _deny(self, action: str) -> None:
            if self.headers.get("X-Amz-Target"):
                self._send_json(denied(action.lower()))
            else:
                self._send_xml("", denied(action.replace("sns:", "SNS:")))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gate.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
