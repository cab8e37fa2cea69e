"""The configuration: strict sections with their defaults beside them, read from YAML.

Unknown keys are errors with line and suggestion; `${NAME}` is taken from the environment, `file:PATH` from a file.
Of all values errors quote names alone, since any other may be a secret that came from there.
"""

import difflib
import hashlib
import ipaddress
import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
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

from monitor.document import Document, KeyPath, why_unreadable
from monitor.errors import ConfigurationError
from monitor.model import decode_id
from monitor.tls import make_context

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORTEST_INTERVAL = 0.1
_LONGEST_INTERVAL = 365 * 86400.0
_SHORTEST_DEFAULT_DEADLINE = 5.0

Text = TypeVar("Text", str, SecretStr)


def parse_duration(value: object) -> object:
    """Turn `2s`, `1m`, `500ms` into seconds.

    Raises ValueError for what is no duration, and for whole numbers, whose unit nobody said.
    """
    if isinstance(value, float):
        return value  # seconds, as our own defaults give them
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError("must be a duration with its unit, as in 15s, 1m or 500ms")
    return float(found[1]) * _SECONDS[found[2]]


def parse_share(value: object) -> object:
    """Turn `99.9%` into 0.999; leave everything else for the type check to refuse."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?\s*%", value.strip()):
        return float(value.strip().rstrip("% ")) / 100
    return value


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[::1]:port`. Raises ValueError when it is not that."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.netloc != address or "@" in address:
        # `from None`: the library's text quotes what it was given.
        raise ValueError("must be host:port, with a port from 0 to 65535, as in 127.0.0.1:9610") from None
    return host, port


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine's loopback, by name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bounded(seconds: float) -> float:
    if not _SHORTEST_INTERVAL <= seconds <= _LONGEST_INTERVAL:
        raise ValueError(f"must be at least {_SHORTEST_INTERVAL:g}s and at most {_LONGEST_INTERVAL / 86400:g}d")
    return seconds


def _at_least_an_hour(seconds: float) -> float:
    if seconds < 3600:
        raise ValueError("must be at least 1h")
    return seconds


def _proper_share(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError("must be above 0% and below 100%, as in 99.9%")
    return share


def _hosts_and_ports(addresses: str) -> str:
    for address in addresses.split(","):
        split_address(address.strip())
    return addresses


def _url_of(*schemes: str) -> Callable[[Text], Text]:
    def check(value: Text) -> Text:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            parts = urlsplit(text)
            complete = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            complete = False
        if not complete:
            example = " or ".join(f"{scheme}://host:port" for scheme in schemes)
            raise ValueError(f"must be an address as {example}; a password's special characters percent-encoded")
        return value

    return check


def _readable(name: str) -> str:
    try:
        Path(name).open("rb").close()
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {name} cannot be read ({why_unreadable(error)}); make it readable") from error
    return name


def _queue_id(id_: str) -> str:
    try:
        decode_id(id_)
    except ValueError as error:
        why = "" if isinstance(error, UnicodeError) else f" ({error})"
        raise ValueError(f"must be an id: cluster/queue, with / and % inside a name as %2F and %25{why}") from None
    return id_


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must not have line breaks or control characters")
    return name


Duration = Annotated[float, BeforeValidator(parse_duration)]
Interval = Annotated[Duration, AfterValidator(_bounded)]
Share = Annotated[float, BeforeValidator(parse_share), AfterValidator(_proper_share)]
Addresses = Annotated[str, AfterValidator(_hosts_and_ports)]
HttpUrl = Annotated[str, AfterValidator(_url_of("http", "https"))]
SecretHttpUrl = Annotated[SecretStr, AfterValidator(_url_of("http", "https"))]
AmqpUrl = Annotated[SecretStr, AfterValidator(_url_of("amqp", "amqps"))]
ReadableFile = Annotated[str, AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
QueueId = Annotated[str, AfterValidator(_queue_id)]


KAFKA_PROBE_TOPIC = "eventflow.probe"
"""How the topic and the group of an end-to-end probe begin."""


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
    """An API token: only the hash of it is kept. `bodies` is the right to see what messages hold.

    Who holds one that `speaks_for_people`, as the dashboard does, may say by name for whom it asks.
    """

    name: Name
    role: Literal["viewer", "operator", "admin"]
    sha256: str
    bodies: bool | None = None
    speaks_for_people: bool = False

    @property
    def sees_bodies(self) -> bool:
        """Say whether bodies are shown; where nothing is said, to all but viewers."""
        return self.role != "viewer" if self.bodies is None else self.bodies

    @field_validator("sha256")
    @classmethod
    def _hexadecimal(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError("must be the 64 hexadecimal digits that `eventflow token new` prints")
        return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("must be an address or a network, as in 10.0.0.5 or 10.0.0.0/24") from error
    return value


def hash_token(secret: str) -> str:
    """Return what the configuration keeps of a token: tokens are random and long, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Person(Section):
    """Somebody whom a reverse proxy has signed in, and who acts through a token that speaks for people."""

    name: Name
    role: Literal["viewer", "operator", "admin"]


class Server(Section):
    """Where the monitor listens and who may ask. Beyond loopback, tokens are needed."""

    listen: str = "127.0.0.1:9610"
    tokens: list[Token] = []
    people: list[Person] = []
    metrics: Literal["open", "token"] = "open"
    allowed_hosts: list[str] = []

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("tokens")
    @classmethod
    def _distinct(cls, tokens: list[Token]) -> list[Token]:
        return _with_distinct_names(tokens, "tokens", "the audit log tells people apart by them")

    @model_validator(mode="after")
    def _guarded(self) -> "Server":
        if not self.tokens and not is_loopback(split_address(self.listen)[0]):
            raise ValueError(f"listening on {self.listen} needs server.tokens; or listen on 127.0.0.1")
        if self.metrics == "token" and not self.tokens:
            raise ValueError("metrics: token needs server.tokens")
        return self


class ClusterSection(Section):
    """What every watched cluster has. `deadline` is how long one cycle may take.

    `families` are the metric families that `/metrics` shows of it, `max_series` how many series at most.
    """

    name: Name
    interval: Interval = 15.0
    deadline: Interval | None = None
    families: Filter = Filter()
    max_series: Annotated[int, Field(ge=1)] | None = None

    @property
    def cycle_deadline(self) -> float:
        """Seconds that one cycle may take; by default the interval, and never less than 5 s."""
        return self.deadline or max(self.interval, _SHORTEST_DEFAULT_DEADLINE)

    @property
    def counters_every(self) -> float:
        """Seconds after which the broker itself renews its counters; rates over less time say nothing."""
        return 0.0


class TlsFiles(Section):
    """What TLS connections are made with, as PEM files: authorities to trust, and a certificate of this client."""

    ca_file: ReadableFile | None = None
    certificate_file: ReadableFile | None = None
    key_file: ReadableFile | None = None
    key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _usable(self) -> "TlsFiles":
        if (self.key_file or self.key_password) and not self.certificate_file:
            raise ValueError("key_file and key_password need certificate_file; add it")
        if self.ca_file or self.certificate_file:
            self.make_context()  # a file that cannot serve is better told with its line than by the first connection
        return self

    def make_context(self) -> ssl.SSLContext:
        """Read the files, as they are now. Raises ValueError with a sentence when one cannot serve."""
        password = self.key_password.get_secret_value() if self.key_password else None
        return make_context(self.ca_file, self.certificate_file, self.key_file, password)


class OAuth(Section):
    """Where a Kafka client gets its tokens: an OpenID Connect token endpoint, asked with client credentials.

    `extensions` go to the broker with the token; `ca_file` is for an endpoint at https.
    """

    token_url: HttpUrl
    client_id: Name
    client_secret: SecretStr
    scope: Name | None = None
    extensions: dict[str, str] = {}
    ca_file: ReadableFile | None = None

    @field_validator("token_url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        if "@" in urlsplit(url).netloc:  # it is told in errors
            raise ValueError("must not carry credentials; put them into client_id and client_secret")
        return url

    @model_validator(mode="after")
    def _usable(self) -> "OAuth":
        if self.ca_file:
            make_context(self.ca_file)
        return self


class MskIam(Section):
    """Which AWS identity signs in to an Amazon MSK cluster: a profile, a role, or what the standard chain finds."""

    region: Name
    profile: Name | None = None
    role_arn: Name | None = None

    @model_validator(mode="after")
    def _one_identity(self) -> "MskIam":
        if self.profile and self.role_arn:
            raise ValueError("has both profile and role_arn; leave one out: a profile can itself name a role")
        return self


class KafkaSecurity(TlsFiles):
    """How to reach a Kafka cluster: TLS, client certificate, SASL."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    oauth: OAuth | None = None
    aws_msk_iam: MskIam | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "KafkaSecurity":
        if not self.protocol.endswith("ssl") and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file and certificate_file need protocol ssl or sasl_ssl")
        if self.protocol.startswith("sasl"):
            self._check_login()
        elif self.mechanism:
            raise ValueError(f"mechanism {self.mechanism} needs protocol sasl_ssl or sasl_plaintext")
        elif self.username or self.password or self.oauth or self.aws_msk_iam:
            raise ValueError("credentials need protocol sasl_ssl or sasl_plaintext, and mechanism")
        return self

    def _check_login(self) -> None:
        """Hold each mechanism to the keys that are its own."""
        tokens = {"OAUTHBEARER": "oauth", "AWS_MSK_IAM": "aws_msk_iam"}
        by_token = tokens.get(self.mechanism or "")
        needed = {by_token} if by_token else {"username", "password"}
        there = {key for key in ("username", "password", *tokens.values()) if getattr(self, key)}
        if by_token and by_token not in there:
            raise ValueError(f"mechanism {self.mechanism} needs {by_token}")
        if self.mechanism is None or not needed <= there:
            raise ValueError(f"protocol {self.protocol} needs mechanism, username and password")
        if there - needed:
            raise ValueError(f"mechanism {self.mechanism} does not go with {' and '.join(sorted(there - needed))}")
        if self.mechanism == "AWS_MSK_IAM" and self.protocol != "sasl_ssl":
            raise ValueError("mechanism AWS_MSK_IAM needs protocol sasl_ssl")


class KafkaRedrive(Section):
    """The right to redrive on a Kafka cluster; `security` are other credentials than those that watch."""

    security: KafkaSecurity | None = None


class KafkaProbe(Section):
    """Records sent through every broker and read back, on a topic of the probe's own; with other credentials if given.

    `timeout` is after how long a record counts as lost.
    """

    topic: Name = KAFKA_PROBE_TOPIC
    interval: Interval = 15.0
    timeout: Interval = 5.0
    security: KafkaSecurity | None = None

    @field_validator("topic")
    @classmethod
    def _own(cls, value: str) -> str:
        if not re.fullmatch(re.escape(KAFKA_PROBE_TOPIC) + r"[A-Za-z0-9._-]{0,100}", value):
            raise ValueError(f"must begin with {KAFKA_PROBE_TOPIC}: the probe writes to this topic and deletes it")
        return value


class KafkaCluster(ClusterSection):
    """A Kafka cluster."""

    kind: Literal["kafka"]
    bootstrap_servers: Addresses
    security: KafkaSecurity = KafkaSecurity()
    topics: Filter = Filter()
    groups: Filter = Filter()
    granularity: Literal["partition", "topic"] = "partition"
    commits: Literal["admin", "offsets_topic"] = "admin"
    abandoned_after: Interval = 3 * 86400.0  # longer than a weekend, shorter than Kafka keeps the offsets of nobody
    probe: KafkaProbe | None = None
    redrive: KafkaRedrive | None = None


class RabbitRedrive(TlsFiles):
    """The right to redrive on a RabbitMQ cluster; `amqp_url` carries other credentials than those that watch.

    The files are for that address, and by default those of the cluster.
    """

    amqp_url: AmqpUrl | None = None


class RabbitCluster(ClusterSection, TlsFiles):
    """A RabbitMQ cluster. At least one address; each further one adds depth. The addresses may carry credentials."""

    kind: Literal["rabbitmq"]
    amqp_url: AmqpUrl | None = None
    management_url: SecretHttpUrl | None = None
    prometheus_url: SecretHttpUrl | None = None
    vhosts: Filter = Filter()
    queues: Filter = Filter()
    redrive: RabbitRedrive | None = None

    @model_validator(mode="after")
    def _reachable(self) -> "RabbitCluster":
        if not (self.amqp_url or self.management_url or self.prometheus_url):
            raise ValueError("needs at least one of amqp_url, management_url, prometheus_url")
        return self

    @property
    def redrive_access(self) -> tuple[SecretStr | None, TlsFiles]:
        """Address and files to redrive with: those of `redrive`, and where it has none those that watch."""
        own = self.redrive or RabbitRedrive()
        shown = own if own.certificate_file else self
        # Without validation: a file that has gone since is the next connection's to tell.
        files = TlsFiles.model_construct(
            ca_file=own.ca_file or self.ca_file,
            certificate_file=shown.certificate_file,
            key_file=shown.key_file,
            key_password=shown.key_password,
        )
        return own.amqp_url or self.amqp_url, files

    @property
    def counters_every(self) -> float:
        """Seconds after which RabbitMQ collects its statistics anew, unless somebody has set another value."""
        return 5.0


class AwsCloudWatch(Section):
    """What to ask CloudWatch for; each metric asked costs money.

    `settle` is how long a value may still change after its minute, `monthly_budget_dollars` what 30 days may cost:
    where `interval` would cost more, CloudWatch is asked less often.
    """

    enabled: bool = True
    interval: Interval = 60.0
    settle: Interval = 600.0
    monthly_budget_dollars: Annotated[float, Field(gt=0)] | None = None


class AwsRedrive(Section):
    """The right to redrive in an AWS account, as another profile or role than those that watch."""

    profile: str | None = None
    role_arn: str | None = None


class AwsCluster(ClusterSection):
    """An AWS account in a region, with its SQS queues and SNS topics. Credentials come by the standard chain."""

    kind: Literal["aws"]
    region: Name
    endpoint_url: HttpUrl | None = None
    profile: str | None = None
    role_arn: str | None = None
    queues: Filter = Filter()
    topics: Filter = Filter()
    cloudwatch: AwsCloudWatch = AwsCloudWatch()
    topics_interval: Interval = 60.0  # topics and subscriptions change slowly
    interval: Interval = 30.0
    redrive: AwsRedrive | None = None

    @property
    def counters_every(self) -> float:
        """Seconds after which CloudWatch is asked again: it counts by the minute."""
        return self.cloudwatch.interval if self.cloudwatch.enabled else 0.0


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
    """A dead-letter queue that discovery cannot know, and the destinations its messages come from.

    `queue` is an id; `origins` are named as in the label `destination`, without the cluster, which is the same.
    """

    queue: QueueId
    origins: list[str] = []

    @property
    def cluster(self) -> str:
        """The name of the cluster that the queue is in."""
        return decode_id(self.queue)[0]

    @property
    def place(self) -> tuple[str, ...]:
        """Where the queue is in its cluster: its name, before that the virtual host where that is not `/`."""
        parts = decode_id(self.queue)[1:]
        return parts[1:] if len(parts) == 2 and parts[0] == "/" else parts


def origins_by_place(cluster: str, mappings: Iterable[DeadLetterMapping]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return what the configuration says of the dead-letter queues of one cluster: their origins by `place`."""
    return {mapping.place: tuple(mapping.origins) for mapping in mappings if mapping.cluster == cluster}


class MaskingRule(Section):
    """What is hidden of dead letters from those who may not see bodies; `queue` is a pattern over ids."""

    queue: str
    hide: Annotated[list[str], Field(min_length=1)]

    @field_validator("hide")
    @classmethod
    def _pointers(cls, pointers: list[str]) -> list[str]:
        for pointer in pointers:
            if not re.fullmatch(r"/(key|exception_message|(body|headers|properties)(/.*)?)", pointer):
                raise ValueError("must be /key, /body/..., /headers/NAME, /properties/NAME or /exception_message")
        return pointers


class Approvals(Section):
    """Which jobs a second person must approve: those of more messages, and all of some queues (patterns over ids)."""

    above: Annotated[int, Field(ge=0)] | None = None
    queues: list[str] = []

    @property
    def needed(self) -> bool:
        """Say whether there is any job that must be approved."""
        return self.above is not None or bool(self.queues)


class Archive(Section):
    """Dead letters set aside, and originals of edited ones, in the database: sealed, with a cap and an end.

    `keys` are Fernet keys: the first one seals, all of them open. `most_bytes` is the cap of all together.
    """

    keys: list[SecretStr] = []
    keep: Annotated[Interval, AfterValidator(_at_least_an_hour)] = 30 * 86400.0
    most_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000

    @field_validator("keys")
    @classmethod
    def _usable(cls, keys: list[SecretStr]) -> list[SecretStr]:
        for key in keys:
            try:
                Fernet(key.get_secret_value())
            except ValueError:
                remedy = "openssl rand -base64 32 | tr -- +/ -_"
                # `from None`: the key must not be quoted.
                raise ValueError(f"must be 32 random bytes as URL-safe base64: {remedy}") from None
        return keys


class History(Section):
    """The curves of the last days: how long they are kept, of how many, or the Prometheus that has them anyway."""

    keep: Annotated[Interval, AfterValidator(_at_least_an_hour)] = 7 * 86400.0
    series: Annotated[int, Field(ge=0, le=100_000)] = 2000
    prometheus_url: SecretHttpUrl | None = None


class Alerts(Section):
    """Who evaluates the rules and who notifies, for the page of alerts; without either it tells of statuses."""

    prometheus_url: SecretHttpUrl | None = None
    alertmanager_url: SecretHttpUrl | None = None


class Dashboard(Section):
    """Who is let into the dashboard, and for how long. Read by `eventflow dashboard --config FILE`.

    A request that comes from one of `proxies` and has `identity_header` is its person's; that header of anybody else
    counts for nothing.
    """

    session: Interval = 12 * 3600.0
    idle: Interval = 3600.0
    proxies: list[Annotated[str, AfterValidator(_network)]] = []
    identity_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Forwarded-User"


class Configuration(Section):
    """The whole configuration file."""

    server: Server = Server()
    database_url: SecretStr = SecretStr("sqlite:///var/eventflow.db")
    clusters: list[Cluster] = []
    objectives: list[Objective] = []
    owners: list[Owner] = []
    dead_letters: list[DeadLetterMapping] = []
    masking: list[MaskingRule] = []
    approvals: Approvals = Approvals()
    archive: Archive = Archive()
    history: History = History()
    alerts: Alerts = Alerts()
    dashboard: Dashboard = Dashboard()

    @field_validator("clusters")
    @classmethod
    def _distinct(cls, clusters: list[Any]) -> list[Any]:
        return _with_distinct_names(clusters, "clusters", "ids and labels begin with them")

    @model_validator(mode="after")
    def _approvable(self) -> "Configuration":
        roles = [*(token.role for token in self.server.tokens), *(person.role for person in self.server.people)]
        if self.approvals.needed and len(roles) - roles.count("viewer") < 2:
            needed = "two server.tokens or server.people with the role operator or admin"
            raise ValueError(f"approvals need {needed}, since nobody can approve a redrive of their own")
        return self

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return url


def _with_distinct_names(sections: list[Any], what: str, why: str) -> list[Any]:
    first: dict[str, int] = {}
    for place, section in enumerate(sections):
        if section.name in first:
            raise ValueError(
                f"{what} {first[section.name] + 1} and {place + 1} are both named {section.name!r}; rename one, {why}"
            )
        first[section.name] = place
    return sections


def load_configuration(path: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read a configuration file.

    Raises ConfigurationError, whose text has one line a mistake: file, line, key and what to do about it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        problem = f"the configuration cannot be read ({why_unreadable(error)})"
        raise ConfigurationError(problem, place=str(path), remedy="name a YAML file by --config") from error
    return parse_configuration(text, str(path), environment)


def parse_configuration(text: str, name: str, environment: Mapping[str, str]) -> Configuration:
    """Read a configuration from YAML text; `name` stands for the file in errors. Raises as `load_configuration`."""
    document = Document(text, name, environment)
    if document.mistakes:
        raise ConfigurationError("\n".join(document.mistakes))
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        known = ", ".join(sorted(Configuration.model_fields))
        raise ConfigurationError("must be a mapping of sections", place=name, remedy=f"known are {known}")
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        mistakes = sorted(error.errors(include_url=False), key=lambda it: document.line(_key_path(it["loc"])))
        # `from None`: the library's own text quotes values.
        raise ConfigurationError("\n".join(_tell(mistake, document) for mistake in mistakes)) from None
    if not configuration.clusters:
        problem, remedy = "no cluster is configured, so there is nothing to watch", "add one under clusters"
        raise ConfigurationError(problem, place=name, remedy=remedy)
    strangers = list(_find_strangers(configuration, document))
    if strangers:
        raise ConfigurationError("\n".join(strangers))
    return configuration


def _find_strangers(configuration: Configuration, document: Document) -> Iterator[str]:
    """Tell the mappings of dead-letter queues that can be about no configured cluster."""
    kinds = {cluster.name: cluster.kind for cluster in configuration.clusters}
    for entry, mapping in enumerate(configuration.dead_letters):
        queue, origins = (document.place(("dead_letters", entry, key)) for key in ("queue", "origins"))
        most = 2 if kinds.get(mapping.cluster) == "rabbitmq" else 1
        if mapping.cluster not in kinds:
            yield f"{queue}: there is no cluster {mapping.cluster!r}; {_suggestion(mapping.cluster, list(kinds))}"
        elif len(mapping.place) > most:
            shape = "cluster/queue or cluster/vhost/queue" if most == 2 else "cluster/queue"
            yield f"{queue}: must be {shape}; a slash inside a name is written %2F"
        elif most == 1 and any("/" in origin for origin in mapping.origins):
            yield f"{origins}: must be names of destinations in the same cluster; leave the cluster out"


def with_listen(configuration: Configuration, address: str) -> Configuration:
    """Return the configuration with another address to listen on. Raises ConfigurationError as the file would."""
    try:
        server = Server.model_validate({**configuration.server.model_dump(), "listen": address})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(message, place="--listen") from None
    return configuration.model_copy(update={"server": server})


_KINDS: Mapping[str, type[Section]] = {"kafka": KafkaCluster, "rabbitmq": RabbitCluster, "aws": AwsCluster}

_SENTENCES = {
    "missing": "is missing; add it",
    "union_tag_not_found": f"kind is missing; add kind: {' or '.join(_KINDS)}",
    "string_type": "must be text; put it into quotes",
    "string_too_short": "must not be empty",
    "list_type": "must be a list, an entry a line after a dash; leave the key out for none",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping of keys; leave it out for its defaults",
    "dict_type": "must be a mapping of keys; leave it out for its defaults",
    "model_attributes_type": "must be a mapping of keys; leave it out for its defaults",
    "float_type": "must be a number",
}
"""Pydantic's types of mistakes in words that name the remedy; the types left out say it well enough themselves."""


def _tell(mistake: Any, document: Document) -> str:
    """Put one of pydantic's mistakes into a sentence with its place."""
    location, kind, path = mistake["loc"], mistake["type"], _key_path(mistake["loc"])
    place = document.place(path)
    if kind == "extra_forbidden":
        return f"{place}: unknown key; {_suggestion(path[-1], _known_keys(location[:-1]))}"
    if kind == "literal_error":
        return f"{place}: {mistake['msg'].replace('Input should', 'must')}"
    if kind == "union_tag_invalid":
        return f"{place}: unknown kind; {_suggestion(mistake['ctx']['tag'], list(_KINDS))}"
    return f"{place}: {_SENTENCES.get(kind) or mistake['msg'].removeprefix('Value error, ')}"


def _key_path(location: tuple[str | int, ...]) -> KeyPath:
    # Between a cluster's number and its keys pydantic names the kind, which is no key of the text.
    return location[:2] + location[3:] if location[:1] == ("clusters",) else location


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the section at a place of pydantic's error location knows."""
    section: type[BaseModel] = Configuration
    for depth, part in enumerate(location):
        if isinstance(part, int):
            continue
        in_cluster = depth == 2 and location[0] == "clusters"
        section = _KINDS[part] if in_cluster else _section_of(section.model_fields[part].annotation)
    return sorted(section.model_fields)


def _section_of(annotation: Any) -> type[BaseModel]:
    """Return the section that a field holds, alone or in a list; of the clusters any, since their kind follows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_of(inner) for inner in annotation.__args__ if inner is not type(None))


def _suggestion(key: str | int, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
