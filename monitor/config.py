"""The configuration: strict sections with their defaults beside them, read from YAML.

Unknown keys are errors with line and suggestion; `${NAME}` is taken from the environment, `file:PATH` from a file.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from monitor.errors import ConfigurationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORTEST_INTERVAL = 0.1
_SHORTEST_DEFAULT_DEADLINE = 5.0
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def parse_duration(value: object) -> object:
    """Turn `2s`, `1m`, `500ms` into seconds; leave everything else for the type check to refuse.

    Raises ValueError for text that is no duration.
    """
    if not isinstance(value, str):
        if isinstance(value, float) and not isinstance(value, bool):
            return value  # seconds, as our own defaults give them
        raise ValueError("a duration needs a unit, as in 15s, 1m or 500ms")
    found = _DURATION.fullmatch(value.strip())
    if not found:
        raise ValueError(f"{value!r} is no duration; write it as 15s, 1m or 500ms")
    return float(found[1]) * _SECONDS[found[2]]


def parse_share(value: object) -> object:
    """Turn `99.9%` into 0.999. Raises ValueError for text that is no percentage."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?\s*%", value.strip()):
        return float(value.strip().rstrip("% ")) / 100
    return value


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[::1]:port`. Raises ValueError when there is no port."""
    parts = urlsplit(f"//{address}")
    if parts.port is None:
        raise ValueError(f"{address!r} is no host:port")
    return parts.hostname or "", parts.port


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine's loopback, by name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _long_enough(seconds: float) -> float:
    if seconds < _SHORTEST_INTERVAL:
        raise ValueError(f"must be at least {_SHORTEST_INTERVAL:g}s")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration)]
Interval = Annotated[Duration, AfterValidator(_long_enough)]
Share = Annotated[float, BeforeValidator(parse_share), Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Filter(Section):
    """Names to watch, as shell patterns: what `include` matches and `exclude` does not."""

    include: list[str] = ["*"]
    exclude: list[str] = []

    def matches(self, name: str) -> bool:
        """Say whether `name` is to be watched."""
        return any(fnmatchcase(name, p) for p in self.include) and not any(fnmatchcase(name, p) for p in self.exclude)


class Token(Section):
    """An API token: only the hash of it is kept."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Server(Section):
    """Where the monitor listens and who may ask. Beyond loopback, tokens are needed."""

    listen: str = "127.0.0.1:9610"
    tokens: list[Token] = []
    metrics: Literal["open", "token"] = "open"
    allowed_hosts: list[str] = []

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, port = split_address(value)
        if not host or not 0 <= port <= 65535:
            raise ValueError(f"{value!r} is no host:port")
        return value

    @model_validator(mode="after")
    def _guarded(self) -> "Server":
        if not self.tokens and not is_loopback(split_address(self.listen)[0]):
            raise ValueError(f"listening on {self.listen} needs server.tokens; or listen on 127.0.0.1")
        if self.metrics == "token" and not self.tokens:
            raise ValueError("metrics: token needs server.tokens")
        return self


class ClusterSection(Section):
    """What every watched cluster has. `deadline` is how long one cycle may take."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    interval: Interval = 15.0
    deadline: Interval | None = None

    @property
    def cycle_deadline(self) -> float:
        """Seconds that one cycle may take; by default the interval, and never less than 5 s."""
        return self.deadline or max(self.interval, _SHORTEST_DEFAULT_DEADLINE)


class KafkaSecurity(Section):
    """How to reach a Kafka cluster: TLS, client certificate, SASL."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "KafkaSecurity":
        sasl = self.protocol.startswith("sasl")
        if sasl and not (self.mechanism and self.username and self.password):
            raise ValueError(f"protocol {self.protocol} needs mechanism, username and password")
        if not sasl and self.mechanism:
            raise ValueError(f"mechanism {self.mechanism} needs protocol sasl_ssl or sasl_plaintext")
        return self


class KafkaCluster(ClusterSection):
    """A Kafka cluster."""

    kind: Literal["kafka"]
    bootstrap_servers: Annotated[str, Field(min_length=1)]
    security: KafkaSecurity = KafkaSecurity()
    topics: Filter = Filter()
    groups: Filter = Filter()
    granularity: Literal["partition", "topic"] = "partition"


class RabbitCluster(ClusterSection):
    """A RabbitMQ cluster. At least one address; each further one adds depth. The addresses may carry credentials."""

    kind: Literal["rabbitmq"]
    amqp_url: SecretStr | None = None
    management_url: SecretStr | None = None
    prometheus_url: SecretStr | None = None
    ca_file: str | None = None
    vhosts: Filter = Filter()
    queues: Filter = Filter()

    @model_validator(mode="after")
    def _reachable(self) -> "RabbitCluster":
        if not (self.amqp_url or self.management_url or self.prometheus_url):
            raise ValueError("needs at least one of amqp_url, management_url, prometheus_url")
        return self


class AwsCloudWatch(Section):
    """What to ask CloudWatch for; each metric asked costs money."""

    enabled: bool = True
    interval: Interval = 60.0


class AwsCluster(ClusterSection):
    """An AWS account in a region, with its SQS queues and SNS topics. Credentials come by the standard chain."""

    kind: Literal["aws"]
    region: Annotated[str, Field(min_length=1)]
    endpoint_url: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    queues: Filter = Filter()
    topics: Filter = Filter()
    cloudwatch: AwsCloudWatch = AwsCloudWatch()
    interval: Interval = 30.0


Cluster = Annotated[KafkaCluster | RabbitCluster | AwsCluster, Field(discriminator="kind")]


class Objective(Section):
    """The maximum age of the oldest waiting message, and the share of time that this must hold. Patterns allowed."""

    subscription: str
    max_age: Interval
    target: Share = 0.99


class Owner(Section):
    """The team that owns what matches. The first match counts."""

    match: str
    team: str


class DeadLetterMapping(Section):
    """A dead-letter queue that discovery cannot know, and the destinations its messages come from."""

    queue: str
    origins: list[str] = []


class Configuration(Section):
    """The whole configuration file."""

    server: Server = Server()
    database_url: SecretStr = SecretStr("sqlite:///var/eventflow.db")
    clusters: list[Cluster] = []
    objectives: list[Objective] = []
    owners: list[Owner] = []
    dead_letters: list[DeadLetterMapping] = []

    @field_validator("clusters")
    @classmethod
    def _distinct(cls, clusters: list[Any]) -> list[Any]:
        names = [cluster.name for cluster in clusters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two clusters are named {name!r}; ids and labels need distinct names")
        return clusters


def load_configuration(path: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read a configuration file.

    Raises ConfigurationError, whose text names file, line and key of the first mistakes and what to do about each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("cannot be read", place=str(path), remedy=_why(error)) from error
    return parse_configuration(text, str(path), environment)


def parse_configuration(text: str, name: str, environment: Mapping[str, str]) -> Configuration:
    """Read a configuration from YAML text; `name` stands for the file in errors. Raises as `load_configuration`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigurationError(f"is not YAML: {getattr(error, 'problem', error)}", place=place) from error
    document = _Document(name, environment)
    values = document.read(root, ()) if root else {}
    if not isinstance(values, dict):
        known = ", ".join(sorted(Configuration.model_fields))
        raise ConfigurationError("must be a mapping of sections", place=name, remedy=f"known are {known}")
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        # `from None`: the library's own text may quote values, and a value may be a secret.
        raise ConfigurationError("\n".join(document.tell(mistake) for mistake in error.errors())) from None


class _Document:
    """One YAML document: its values with variables and files put in, and the line of every key."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name, self._environment = name, environment
        self._lines: dict[tuple[str | int, ...], int] = {}

    def read(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, i)) for i, child in enumerate(node.value)]
        value = yaml.SafeLoader("").construct_object(node)
        return self._filled(value, path) if isinstance(value, str) else value

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, child in node.value:
            name = str(key.value)
            if name in values:
                raise ConfigurationError(
                    f"the key {name!r} stands twice", place=f"{self._name}:{key.start_mark.line + 1}"
                )
            self._lines[(*path, name)] = key.start_mark.line + 1
            values[name] = self.read(child, (*path, name))
        return values

    def _filled(self, value: str, path: tuple[str | int, ...]) -> str:
        def variable(found: re.Match[str]) -> str:
            if found[1] not in self._environment:
                raise ConfigurationError(
                    f"the variable {found[1]} is not set", place=self._place(path), remedy="set it, or write the value"
                )
            return self._environment[found[1]]

        value = _VARIABLE.sub(variable, value)
        if not value.startswith("file:"):
            return value
        secret = Path(value.removeprefix("file:"))
        try:
            return secret.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the file {secret} cannot be read", place=self._place(path), remedy=_why(error)
            ) from error

    def _place(self, path: tuple[str | int, ...]) -> str:
        known = path
        while known not in self._lines:
            known = known[:-1]
        return f"{self._name}:{self._lines[known]}: {_dotted(path)}"

    def tell(self, mistake: Any) -> str:
        """Put one of pydantic's mistakes into a sentence with its place."""
        path = tuple(part for part in mistake["loc"] if part not in ("kafka", "rabbitmq", "aws"))
        place = self._place(path)
        if mistake["type"] == "extra_forbidden":
            return f"{place}: unknown key {_suggestion(str(path[-1]), _keys_at(mistake['loc'][:-1]))}"
        if mistake["type"] == "missing":
            return f"{place}: is missing; add it"
        if mistake["type"] == "union_tag_not_found":
            return f"{place}: kind is missing; add kind: kafka, rabbitmq or aws"
        return f"{place}: {mistake['msg'].removeprefix('Value error, ')}"


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the section at a place of pydantic's error location knows."""
    by_kind = {"kafka": KafkaCluster, "rabbitmq": RabbitCluster, "aws": AwsCluster}
    section: Any = Configuration
    for part in location:
        if isinstance(part, int):
            continue
        section = by_kind.get(part) or _section_of(section.model_fields[part].annotation)
    return sorted(section.model_fields)


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_of(inner)
        if found is not None:
            return found
    return None


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the file"


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
