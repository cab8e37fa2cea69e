"""The commands of the runbooks, run as somebody at night would, against real brokers and a running monitor."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from awscli.clidriver import create_clidriver

from benchmarks.soak import rabbitmq_redrive as rabbitmq
from monitor.cli import main
from monitor.errors import MonitorRefused
from monitor.model import encode_id
from stack.kafka.tools import TOOLS, tool_command
from stack.state import Endpoints
from tests.alerts.promql import ROOT, RULES
from tests.integration.app.running import serving
from tests.integration.aws.conftest import REGION, Aws, open_aws
from tests.integration.kafka.playground import Playground
from tests.integration.rabbitmq.nodes import ControlledNode
from tests.integration.redrive.server import ENDED, Server, running

PAGES = sorted((ROOT / "alerts" / "runbooks").glob("*.md"))
OF_RABBITMQ = ("rabbitmqctl", "rabbitmq-diagnostics")
PROGRAMS = ("eventflow", "aws", *OF_RABBITMQ, *TOOLS, "curl", "promtool", "amtool", "df")

_CODE = re.compile(r"`([^`\n]+)`")
_LETTERS = 200
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
_PATIENCE_SECONDS = 100.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it has said."""

    code: int
    said: str


def spans(page: Path) -> list[str]:
    """Return everything in a page that is marked as code and is more than a word."""
    return [it for it in _CODE.findall(page.read_text(encoding="utf-8")) if " " in it]


def program(command: str) -> str:
    return command.partition(" ")[0]


def commands() -> list[str]:
    """Return the commands of all pages, each once."""
    return sorted({it for page in PAGES for it in spans(page) if program(it) in PROGRAMS})


@dataclass(frozen=True)
class Scene:
    """Brokers with something on them, and a monitor that watches it.

    `meanings` says what each placeholder stands for: some have to be made anew for each command. `node` is RabbitMQ's,
    where there is one that takes commands; `aws` is the address of AWS here, and `environment` tells our own commands
    where to go.
    """

    meanings: Mapping[str, Callable[[], str]]
    environment: Mapping[str, str]
    aws: str
    folder: Path
    configuration: str
    node: ControlledNode | None = None

    def fill(self, command: str) -> str:
        """Put what is here in the place of the placeholders."""
        longest_first = sorted(self.meanings, key=len, reverse=True)
        pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
        return re.sub(pattern, lambda found: self.meanings[found[0]](), command)

    def run(self, command: str) -> Ended:
        """Run a command to its end; `eventflow serve`, until it listens."""
        name, *arguments = shlex.split(line := self.fill(command))
        if name == "eventflow":
            return self._serve() if arguments[0] == "serve" else self._here(partial(_eventflow, arguments))
        if name == "aws":
            elsewhere = ["--endpoint-url", self.aws]
            return self._here(lambda: create_clidriver().main([*elsewhere, *arguments]))
        if name in OF_RABBITMQ:
            assert self.node is not None, "there is no node here that takes commands"
            return _ended(self.node.control(name, *arguments))
        argv = tool_command(name, arguments) if name in TOOLS else ["bash", "-o", "pipefail", "-c", line]
        ended = _ended(subprocess.run(argv, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False))
        # Kafka's tools tell of some failures and end as if nothing had been.
        return replace(ended, code=1) if name in TOOLS and "Error:" in ended.said else ended

    def _here(self, call: Callable[[], int]) -> Ended:
        """Run Python's own commands in this process: each would take longer to start than to do its work."""
        said = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        with patch.dict(os.environ, self.environment), redirect_stdout(said), redirect_stderr(said):
            code = call()
        said.seek(0)
        return Ended(code, said.read())

    def _serve(self) -> Ended:
        place = self.folder / "another"
        place.mkdir(exist_ok=True)
        with serving(place, self.configuration, self.environment) as monitor:
            told = monitor.url
            return Ended(monitor.end()[0], told)


def _eventflow(arguments: Sequence[str]) -> int:
    with patch.object(sys, "argv", ["eventflow", *arguments]):
        try:
            main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _ended(done: subprocess.CompletedProcess[str]) -> Ended:
    return Ended(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Letters:
    """A dead-letter queue that can be redriven, on a monitor that runs."""

    server: Server
    queue: str

    def plan(self) -> str:
        """Return a plan that can be started: nothing else may be at work on the queue."""
        for job in self.server.client.redrives()["items"]:
            if job["state"] not in ENDED:
                with suppress(MonitorRefused):  # a command before has cancelled it, and it is about to end
                    self.server.client.steer_redrive(job["id"], "cancel")
                self.server.wait_for_job(job["id"])
        return str(self.server.client.plan_redrive(self.queue, rate=1)["id"])

    def job(self) -> str:
        """Return a job that is at work, and will be for minutes."""
        plan = self.server.client.redrive_plan(self.plan())
        return str(self.server.client.start_redrive(plan["id"], plan["hash"])["id"])


@contextmanager
def scene(endpoints: Endpoints, folder: Path, node: ControlledNode | None = None) -> Iterator[Scene]:
    """Put something on every broker, watch it, and remove it at the end."""
    with ExitStack() as stack:
        kafka = Playground(endpoints.kafka)
        stack.callback(kafka.clean)
        vhost = stack.enter_context(rabbitmq.virtual_host(endpoints.rabbitmq))
        with rabbitmq.channel_of(endpoints.rabbitmq, vhost) as channel:
            rabbitmq.fill(channel, _LETTERS)
        aws = stack.enter_context(open_aws(endpoints.aws))
        clusters = _clusters(endpoints, kafka.prefix, vhost, aws.prefix)
        server = Server(folder, clusters, {"PATH": os.environ["PATH"], **_CREDENTIALS})
        stack.enter_context(running(server))
        letters = Letters(server, encode_id("mail", vhost, rabbitmq.DEAD))
        server.wait_for_queue(letters.queue, _LETTERS)
        yield Scene(
            {
                **_of_kafka(kafka),
                **_of_aws(aws),
                **_constant(
                    {
                        "VHOST": vhost,
                        "QUEUE": rabbitmq.TARGET,
                        "ID": encode_id("mail", vhost, rabbitmq.TARGET),
                        "CLUSTER/QUEUE": letters.queue,
                        "TIME": "2h",
                        "TEXT": "maintenance",
                        "FILE": str(folder / "monitor.yml"),
                        "RULES": str(RULES / "subscriptions.yml"),
                        "http://127.0.0.1:9610": server.url,
                    }
                ),
                "PLAN_ID": letters.plan,
                "JOB": letters.job,
            },
            {"EVENTFLOW_URL": server.url, **_CREDENTIALS},
            endpoints.aws,
            folder,
            f"clusters:\n{clusters}",
            node,
        )


def _clusters(endpoints: Endpoints, of_kafka: str, vhost: str, of_aws: str) -> str:
    rabbit = endpoints.rabbitmq
    topics, queues = (f'{{include: ["{prefix}*"]}}' for prefix in (of_kafka, of_aws))
    return f"""
  - {{name: orders, kind: kafka, bootstrap_servers: "{endpoints.kafka}", interval: 1s,
     topics: {topics}, groups: {topics}}}
  - {{name: mail, kind: rabbitmq, amqp_url: "{rabbit.amqp}", management_url: "{rabbit.management}", interval: 1s,
     vhosts: {{include: [{vhost}]}}, redrive: {{}}}}
  - {{name: shop, kind: aws, region: {REGION}, endpoint_url: "{endpoints.aws}", interval: 1s,
     queues: {queues}, topics: {queues}, cloudwatch: {{enabled: false}}}}
"""


def _constant(values: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    return {name: partial(str, value) for name, value in values.items()}


def _of_kafka(kafka: Playground) -> dict[str, Callable[[], str]]:
    topic, group = kafka.topic("order-events"), kafka.name("billing")
    kafka.produce(topic, 3)

    def subscriber() -> str:
        kafka.commit(group, topic, 0)  # a command before may have deleted the group
        return group

    return {"SUBSCRIBER": subscriber, **_constant({"HOST:9092": kafka.bootstrap, "TOPIC": topic, "N": "0"})}


def _of_aws(aws: Aws) -> dict[str, Callable[[], str]]:
    aws.make_queue("orders-dlq")
    url, topic = aws.make_queue("orders", "orders-dlq"), aws.sns.create_topic(Name=aws.name("events"))["TopicArn"]
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": aws.arn("orders-dlq")})}
    subscribed = aws.sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=aws.arn("orders"), Attributes=policy, ReturnSubscriptionArn=True
    )
    arn = subscribed["SubscriptionArn"]
    return _constant({"URL": url, "TOPIC_ARN": topic, "SUBSCRIPTION_ARN": arn})
