"""An AWS that says what a test tells it, over HTTP on loopback: for what the stand-in cannot be brought to say.

It is a fake. The stand-in of the stack enforces no IAM, throttles nobody and has no 9,500 queues; the answers here have
the form that AWS documents for each protocol (JSON for SQS and CloudWatch, XML for SNS and STS).
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "123456789012"
ACCESS_KEY = "signed by"
"""The field of a request that has the access key it was signed by; no service has one of this name."""
HEAD = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"


@dataclass(frozen=True)
class Refusal:
    """An error that AWS answers with."""

    code: str
    message: str = ""
    status: int = 403


Request = Mapping[str, Any]
Answer = Refusal | Mapping[str, Any] | str


@dataclass
class ScriptedAws:
    """Answers by operation: a value, or a function of the request's fields. Counts what it was asked."""

    url: str = ""
    answers: dict[str, Answer | Callable[[Request], Answer]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, operation: str, request: Request) -> Answer:
        with self.lock:
            self.asked[operation] += 1
            found = self.answers.get(operation, Refusal("InvalidAction", "nobody told what to say", 400))
            return found(request) if callable(found) else found

    def holds_queues(self, names: list[str]) -> None:
        """Have these queues, empty, in pages as SQS gives them."""
        self.answers["ListQueues"] = lambda request: _page(names, request)
        self.answers["GetQueueAttributes"] = lambda request: {"Attributes": attributes_of(request["QueueUrl"])}

    def has_no_topics(self) -> None:
        self.answers["ListTopics"] = "<Topics/>"
        self.answers["ListSubscriptions"] = "<Subscriptions/>"


def _page(names: list[str], request: Request) -> Mapping[str, Any]:
    first = int(request.get("NextToken") or 0)
    after = first + int(request["MaxResults"])
    urls = [f"http://sqs/{ACCOUNT}/{name}" for name in names[first:after]]
    return {"QueueUrls": urls, **({"NextToken": str(after)} if after < len(names) else {})}


def attributes_of(url: str) -> dict[str, str]:
    """Return what SQS tells of an empty queue."""
    return {
        "QueueArn": HEAD + url.rpartition("/")[2],
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "MessageRetentionPeriod": "345600",
        "VisibilityTimeout": "30",
        "CreatedTimestamp": "1700000000",
    }


@contextmanager
def scripted_aws() -> Iterator[ScriptedAws]:
    """Serve until the block ends."""
    aws = ScriptedAws()

    class Handler(_Handler):
        script = aws

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    aws.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Answering(BaseHTTPRequestHandler):
    """Writes answers in the form of each protocol."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _access_key(self) -> str:
        found = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        return found[1] if found else ""

    def _send_json(self, answer: Answer) -> None:
        if isinstance(answer, Refusal):
            text = json.dumps({"__type": f"com.amazonaws.sqs#{answer.code}", "message": answer.message})
            error = {"x-amzn-query-error": f"{answer.code};Sender"}
            self._send(answer.status, text.encode(), "application/x-amz-json-1.0", error)
        else:
            kind = "text/html" if isinstance(answer, str) else "application/x-amz-json-1.0"
            self._send(200, (answer if isinstance(answer, str) else json.dumps(answer)).encode(), kind)

    def _send_xml(self, action: str, answer: Answer) -> None:
        if isinstance(answer, Refusal):
            text = f"<Error><Type>Sender</Type><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>"
            self._send(answer.status, f"<ErrorResponse>{text}</ErrorResponse>".encode(), "text/xml")
        else:
            text = f"<{action}Response><{action}Result>{answer}</{action}Result></{action}Response>"
            self._send(200, text.encode(), "text/xml")

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Handler(Answering):
    script: ScriptedAws

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if target := self.headers.get("X-Amz-Target"):
            operation, request = target.rpartition(".")[2], {**json.loads(body), ACCESS_KEY: self._access_key()}
            self._send_json(self.script.answer(operation, request))
        else:
            fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self._send_xml(fields["Action"], self.script.answer(fields["Action"], fields))


def denied(action: str) -> Refusal:
    """The refusal of an action, in AWS's words."""
    code = "AuthorizationError" if action.startswith("SNS:") else "AccessDenied"
    who = f"User: arn:aws:iam::{ACCOUNT}:user/monitor"
    return Refusal(code, f"{who} is not authorized to perform: {action} on resource: *")


def operation_of(action: str) -> str:
    return re.sub(r"^\w+:", "", action)
