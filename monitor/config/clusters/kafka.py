"""A Kafka cluster: how to reach it, what to watch there, and the rights beyond watching."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator

from monitor.config.clusters.base import ClusterSection
from monitor.config.section import Filter, Section, ShareOfNames
from monitor.config.tls import TlsFiles
from monitor.config.values import Addresses, HttpUrl, Interval, Name, ReadableFile
from monitor.tls import make_context

KAFKA_PROBE_TOPIC = "eventflow.probe"
"""How the topic and the group of an end-to-end probe begin."""


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
    groups_share: str = "1/1"
    granularity: Literal["partition", "topic"] = "partition"
    commits: Literal["admin", "offsets_topic"] = "admin"
    abandoned_after: Interval = 3 * 86400.0  # longer than a weekend, shorter than Kafka keeps the offsets of nobody
    probe: KafkaProbe | None = None
    redrive: KafkaRedrive | None = None

    @field_validator("groups_share")
    @classmethod
    def _one_of_several(cls, value: str) -> str:
        found = re.fullmatch(r"([1-9]\d{0,2})/([1-9]\d{0,2})", value)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError("must be one of several shares, as in 1/4 to 4/4")
        return value

    @property
    def watched_groups(self) -> Filter:
        """Which consumer groups to watch: a share of those that `groups` lets through."""
        number, _, shares = self.groups_share.partition("/")
        names = self.groups
        return ShareOfNames(include=names.include, exclude=names.exclude, number=int(number), shares=int(shares))
