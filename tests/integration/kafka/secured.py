"""A Kafka broker with TLS, SASL and access control lists, beside the open listener of the stack."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from pydantic import SecretStr

from monitor.config import KafkaSecurity
from stack.control import Stack
from stack.kafka.broker import KafkaBroker
from stack.ports import reserve_ports
from stack.state import Options

PASSWORD = "right-and-secret"
USERS = ("reader", "nobody", "groupless", "narrow")


class SecuredKafka:
    """The broker's addresses, and who may do what. Over the open listener and over TLS anybody is a superuser."""

    def __init__(self, folder: Path) -> None:
        self._stack = Stack(folder / "stack", Options(parts=("kafka",)))
        self._ports = reserve_ports(["sasl", "ssl"], owner=folder)
        self.certificate = folder / "certificate.pem"
        self._keystore = folder / "keystore.pem"
        self._make_certificate(folder / "key.pem")

    @property
    def plain(self) -> str:
        """The open listener."""
        return self._stack.endpoints.kafka

    @property
    def sasl(self) -> str:
        """The listener that wants credentials."""
        return f"127.0.0.1:{self._ports['sasl']}"

    @property
    def tls(self) -> str:
        """The listener that speaks TLS."""
        return f"127.0.0.1:{self._ports['ssl']}"

    def start(self) -> None:
        """Start the broker and give the reader the rights that are enough."""
        more = self._properties()

        class SecuredBroker(KafkaBroker):
            def properties(self) -> Mapping[str, str]:
                known = super().properties()
                lists = {"listeners", "advertised.listeners", "listener.security.protocol.map"}
                return {**known, **{key: f"{known[key]},{more[key]}" if key in lists else more[key] for key in more}}

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stack.control.KafkaBroker", SecuredBroker)
            self._stack.start()
        self.allow("reader", ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
        self.allow("reader", ResourceType.TOPIC, "*", AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
        self.allow("reader", ResourceType.GROUP, "*", AclOperation.DESCRIBE)
        self.allow("groupless", ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
        self.allow("groupless", ResourceType.TOPIC, "*", AclOperation.DESCRIBE)

    def stop(self) -> None:
        """End the broker."""
        self._stack.stop()

    def allow(self, user: str, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Grant rights."""
        grants = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        admin = AdminClient({"bootstrap.servers": self.plain})
        for future in admin.create_acls(grants).values():
            future.result(20)

    def credentials(self, user: str, password: str = PASSWORD) -> KafkaSecurity:
        """The settings for the listener that wants credentials."""
        return KafkaSecurity(protocol="sasl_plaintext", mechanism="PLAIN", username=user, password=SecretStr(password))

    def _properties(self) -> Mapping[str, str]:
        addresses = f"SASLED://{self.sasl},TLS://{self.tls}"
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        return {
            "listeners": addresses,
            "advertised.listeners": addresses,
            "listener.security.protocol.map": "SASLED:SASL_PLAINTEXT,TLS:SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasled.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
            ),
            "listener.name.tls.ssl.keystore.type": "PEM",
            "listener.name.tls.ssl.keystore.location": str(self._keystore),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def _make_certificate(self, key: Path) -> None:
        certify = (
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        )
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([*certify.split(), *files], check=True, capture_output=True)
        self._keystore.write_text(key.read_text() + self.certificate.read_text())
