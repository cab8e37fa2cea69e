"""SNS, SQS and CloudWatch on this machine: LocalStack, and a feeder for the series that it does not publish."""

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.cache import build_once, cache_directory
from stack.server import Program, Workshop
from stack.state import State
from stack.web import get_json

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
SERVICES = ("sqs", "sns", "cloudwatch", "sts")


@dataclass(frozen=True)
class AwsStandIn:
    """LocalStack, with a feeder inside; see stack/aws/feeder.py for what it adds."""

    directory: Path
    state: State

    @property
    def name(self) -> str:
        """What commands call it."""
        return "aws"

    @property
    def address(self) -> str:
        """Its one listener, for all services."""
        return f"127.0.0.1:{self._port}"

    @property
    def endpoint(self) -> str:
        """The URL for `endpoint_url`; any credentials are accepted."""
        return f"http://{self.address}"

    @property
    def _port(self) -> int:
        return self.state.ports[self.name]

    @property
    def _temporary(self) -> Path:
        return self.directory / "data" / "aws" / "tmp"

    def prepare(self, workshop: Workshop) -> None:
        """Install LocalStack into the cache, once."""
        self._temporary.mkdir(parents=True)
        _fetch_environment(workshop)

    def programs(self) -> Sequence[Program]:
        """LocalStack, with the feeder in it."""
        python = str(cache_directory() / _environment_name() / "bin" / "python")
        return [Program("aws", (python, "-m", "stack.aws.runtime"), self._environment())]

    def _environment(self) -> Mapping[str, str]:
        return {
            "PYTHONPATH": str(HERE.parent.parent),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory / "data" / "aws"),
            # LocalStack keeps CloudWatch's data below the temporary folder, and empties that at its start.
            "TMPDIR": str(self._temporary),
            # in a container it would keep all in /tmp/localstack, and remove that, another stack's data too, at its end
            "OVERRIDE_IN_DOCKER": "0",
            "SERVICES": ",".join(SERVICES),
            "GATEWAY_LISTEN": self.address,
            "LOCALSTACK_HOST": self.address,
            "SQS_ENDPOINT_STRATEGY": "path",  # queue URLs that need no name resolution
            "DNS_ADDRESS": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "LS_LOG": "warning",  # the next lower level has a line for each request
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "PYTHONUNBUFFERED": "1",
        }

    def find_missing(self) -> str | None:
        """It serves when every service is available or running."""
        try:
            services = get_json(self._port, "/_localstack/health")["services"]
        except OSError as error:
            return f"it does not answer yet ({error})"
        waiting = [service for service in SERVICES if services.get(service) not in ("available", "running")]
        return f"{', '.join(waiting)} are not available" if waiting else None


def _environment_name() -> str:
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return f"localstack-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"


def _fetch_environment(workshop: Workshop) -> Path:
    def build(folder: Path) -> None:
        for argv in _installing(folder):
            workshop.run(Program("aws-download", argv, os.environ))

    return build_once(_environment_name(), build)


def _installing(folder: Path) -> Sequence[Sequence[str]]:
    """The commands that fill an environment: by uv where it is at hand, which takes seconds, else by pip.

    Nothing is compiled ahead: LocalStack imports a small part of what it brings.
    """
    python = str(folder / "bin" / "python")
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    locked = ("--require-hashes", "--no-deps", "-r", str(LOCK))
    if uv:
        return [
            (uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)),
            (uv, "pip", "install", "--python", python, *locked),
        ]
    return [
        (sys.executable, "-m", "venv", str(folder)),
        (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", *locked),
    ]
