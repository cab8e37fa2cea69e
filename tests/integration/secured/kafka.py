"""A Kafka broker with TLS, client certificates, SASL, tokens and access control lists, beside its open listener."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from monitor.brokers.kafka.quiet import QuietLog
from monitor.config import KafkaSecurity, OAuth
from stack.kafka.broker import KafkaBroker
from stack.server import Program
from tests.integration.secured.certificates import Authority, Identity
from tests.integration.secured.token_endpoint import AUDIENCE, ISSUER, TokenEndpoint

PASSWORD = "right-and-secret"
USERS = ("reader", "nobody", "groupless", "narrow", "watcher", "redriver", "prober")
SCRAM_USER = "scrambled"
LISTENERS = {"SASLED": "SASL_SSL", "MUTUAL": "SSL", "ONEWAY": "SSL", "EXPIRED": "SSL"}
_PATIENCE = 20.0


@dataclass(frozen=True)
class SecuredBroker(KafkaBroker):
    """The stack's broker with more listeners. Over the open one, and over those with TLS alone, all are superusers."""

    ports: Mapping[str, int]
    identity: Identity
    expired: Identity
    authority: Path
    keys: Path

    def address_of(self, listener: str) -> str:
        """Where a listener answers."""
        return f"127.0.0.1:{self.ports[listener]}"

    def programs(self) -> Sequence[Program]:
        """The broker's JVM, which is allowed to read the keys that tokens are checked by."""
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self.keys}"
        return [replace(it, env={**os.environ, "JAVA_TOOL_OPTIONS": allowed}) for it in super().programs()]

    def properties(self) -> Mapping[str, str]:
        """The broker's server.properties."""
        known = super().properties()
        addresses = ",".join(f"{name}://{self.address_of(name)}" for name in LISTENERS)
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items())
        more = {"listeners": addresses, "advertised.listeners": addresses, "listener.security.protocol.map": protocols}
        joined = {key: f"{known[key]},{value}" for key, value in more.items()}
        return {**known, **joined, **self._certificates(), **self._logins(), **_AUTHORIZER}

    def _certificates(self) -> Mapping[str, str]:
        settings = {}
        for name in LISTENERS:
            prefix, identity = f"listener.name.{name.lower()}.ssl", self.expired if name == "EXPIRED" else self.identity
            settings[f"{prefix}.keystore.type"] = "PEM"
            settings[f"{prefix}.keystore.location"] = str(identity.both)
        mutual = "listener.name.mutual.ssl"
        return settings | {
            f"{mutual}.truststore.type": "PEM",
            f"{mutual}.truststore.location": str(self.authority),
            f"{mutual}.client.auth": "required",
            f"{mutual}.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        }

    def _logins(self) -> Mapping[str, str]:
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        common, prefix = "org.apache.kafka.common.security", "listener.name.sasled"
        return {
            f"{prefix}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            f"{prefix}.plain.sasl.jaas.config": f"{common}.plain.PlainLoginModule required {users};",
            f"{prefix}.scram-sha-256.sasl.jaas.config": f"{common}.scram.ScramLoginModule required;",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{common}.scram.ScramLoginModule required;",
            f"{prefix}.oauthbearer.sasl.jaas.config": f"{common}.oauthbearer.OAuthBearerLoginModule required;",
            f"{prefix}.oauthbearer.sasl.server.callback.handler.class": (
                f"{common}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            # Sessions end with their tokens, unless the client brings a new one in time.
            f"{prefix}.oauthbearer.connections.max.reauth.ms": "3600000",
            "sasl.oauthbearer.jwks.endpoint.url": f"file://{self.keys}",
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            "sasl.oauthbearer.clock.skew.seconds": "0",
        }


_AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:certified",
}


class SecuredKafka:
    """The running broker for tests: its addresses, credentials, and who may do what."""

    def __init__(self, broker: SecuredBroker, tokens: TokenEndpoint, authority: Authority) -> None:
        self._broker, self.tokens, self.authority = broker, tokens, authority
        self.certificate = authority.certificate
        self.admin = AdminClient({"bootstrap.servers": broker.address}, logger=QuietLog())

    @property
    def plain(self) -> str:
        """The open listener."""
        return self._broker.address

    @property
    def sasl(self) -> str:
        """The listener that wants credentials, over TLS."""
        return self._broker.address_of("SASLED")

    @property
    def mutual(self) -> str:
        """The listener that wants a client certificate."""
        return self._broker.address_of("MUTUAL")

    @property
    def tls(self) -> str:
        """The listener that speaks TLS and asks for nothing."""
        return self._broker.address_of("ONEWAY")

    @property
    def expired(self) -> str:
        """The listener whose certificate has expired."""
        return self._broker.address_of("EXPIRED")

    def credentials(self, user: str, password: str = PASSWORD, mechanism: Any = "PLAIN") -> KafkaSecurity:
        """The settings for the listener that wants credentials."""
        return KafkaSecurity(
            protocol="sasl_ssl",
            mechanism=mechanism,
            username=user,
            password=SecretStr(password),
            ca_file=str(self.certificate),
        )

    def token_credentials(self, client: str, secret: str | None = None) -> KafkaSecurity:
        """The settings for the same listener with tokens."""
        oauth = OAuth(
            token_url=self.tokens.url, client_id=client, client_secret=SecretStr(secret or self.tokens.secret)
        )
        return KafkaSecurity(protocol="sasl_ssl", mechanism="OAUTHBEARER", oauth=oauth, ca_file=str(self.certificate))

    def certified(self, identity: Identity) -> KafkaSecurity:
        """The settings for the listener that wants a client certificate."""
        return KafkaSecurity(
            protocol="ssl",
            ca_file=str(self.certificate),
            certificate_file=str(identity.certificate),
            key_file=str(identity.key),
        )

    def prepare(self) -> None:
        """Make the user of SCRAM, and give those of the tests their rights."""
        kinds = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        changes: Any = [
            UserScramCredentialUpsertion(SCRAM_USER, ScramCredentialInfo(kind, 4096), PASSWORD.encode())
            for kind in kinds
        ]
        # One at a time: a request with two of the same user is refused.
        for change in changes:
            for future in self.admin.alter_user_scram_credentials([change]).values():
                future.result(_PATIENCE)
        for user in ("reader", SCRAM_USER):
            self.allow(user, ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
            self.allow(user, ResourceType.TOPIC, "*", AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
            self.allow(user, ResourceType.GROUP, "*", AclOperation.DESCRIBE)
        self.allow("groupless", ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
        self.allow("groupless", ResourceType.TOPIC, "*", AclOperation.DESCRIBE)

    def warm_up(self) -> None:
        """Shake hands once for all: the first time a JVM does so it takes seconds on a busy machine."""
        tls = {"security.protocol": "ssl", "ssl.ca.location": str(self.certificate)}
        AdminClient({"bootstrap.servers": self.tls, **tls}, logger=QuietLog()).list_topics(timeout=_PATIENCE)

    def allow(self, user: str, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Grant rights on what has exactly this name, or on all by `*`."""
        self.grant([_binding(user, kind, name, ResourcePatternType.LITERAL, it) for it in operations])

    def grant(self, bindings: Iterable[AclBinding]) -> None:
        """Grant rights."""
        for future in self.admin.create_acls(list(bindings)).values():
            future.result(_PATIENCE)

    def revoke(self, bindings: Iterable[AclBinding]) -> None:
        """Take rights away."""
        filters = [
            AclBindingFilter(
                it.restype,
                it.name,
                it.resource_pattern_type,
                it.principal,
                it.host,
                it.operation,
                it.permission_type,
            )
            for it in bindings
        ]
        for future in self.admin.delete_acls(filters).values():
            future.result(_PATIENCE)


def _binding(
    user: str, kind: ResourceType, name: str, pattern: ResourcePatternType, operation: AclOperation
) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
