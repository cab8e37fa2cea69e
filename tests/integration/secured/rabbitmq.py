"""A RabbitMQ node with TLS for AMQP and HTTPS, beside its open listeners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from stack.rabbitmq.node import PLUGINS, USER, RabbitmqNode
from tests.integration.secured.certificates import Authority, Identity


@dataclass(frozen=True)
class SecuredNode(RabbitmqNode):
    """The stack's node with listeners for TLS.

    AMQP takes client certificates, as logins too; the management API demands one; the plugin's own has expired.
    """

    secure_ports: Mapping[str, int]
    identity: Identity
    expired: Identity
    authority: Path

    def plugins(self) -> Sequence[str]:
        """What is enabled."""
        return (*PLUGINS, "rabbitmq_auth_mechanism_ssl")

    def settings(self) -> Mapping[str, str]:
        """The node's rabbitmq.conf."""
        asking = {"verify": "verify_peer", "depth": "1"}
        return {
            **super().settings(),
            "listeners.ssl.local": f"127.0.0.1:{self.secure_ports['amqps']}",
            **self._tls("ssl_options", self.identity, {**asking, "fail_if_no_peer_cert": "false"}),
            "auth_mechanisms.1": "PLAIN",
            "auth_mechanisms.2": "EXTERNAL",
            "ssl_cert_login_from": "common_name",
            "management.ssl.ip": "127.0.0.1",
            "management.ssl.port": str(self.secure_ports["management"]),
            **self._tls("management.ssl", self.identity, {**asking, "fail_if_no_peer_cert": "true"}),
            "prometheus.ssl.ip": "127.0.0.1",
            "prometheus.ssl.port": str(self.secure_ports["prometheus"]),
            **self._tls("prometheus.ssl", self.expired, {}),
        }

    def _tls(self, prefix: str, identity: Identity, more: Mapping[str, str]) -> Mapping[str, str]:
        files = {"cacertfile": self.authority, "certfile": identity.certificate, "keyfile": identity.key}
        return {f"{prefix}.{key}": str(value) for key, value in {**files, **more}.items()}


class SecuredRabbitmq:
    """The running node for tests: its addresses and users."""

    def __init__(self, node: SecuredNode, authority: Authority) -> None:
        self._node, self.authority = node, authority
        self._http = httpx.Client(base_url=node.endpoints.management, trust_env=False)

    @property
    def open(self) -> RabbitmqNode:
        """The node with its open listeners."""
        return self._node

    def amqps(self, login: str | None = None, host: str = "127.0.0.1") -> str:
        """The URL of AMQP over TLS; `login` is user:password, the administrator's by default, none where empty."""
        return self._url("amqps", "amqps", login, host, "/%2F")

    def management(self, login: str | None = None, host: str = "127.0.0.1") -> str:
        """The URL of the management API over TLS, which demands a client certificate."""
        return self._url("https", "management", login, host)

    def prometheus(self) -> str:
        """The URL of the plugin's pages, whose certificate has expired."""
        return self._url("https", "prometheus", "", "127.0.0.1")

    def _url(self, scheme: str, port: str, login: str | None, host: str, path: str = "") -> str:
        login = f"{USER}:{self._node.state.password}" if login is None else login
        return f"{scheme}://{login}{'@' if login else ''}{host}:{self._node.secure_ports[port]}{path}"

    def put(self, path: str, body: Mapping[str, object] | None = None) -> None:
        """Make something."""
        self._http.put(f"/api/{path}", json=body or {}).raise_for_status()

    def delete(self, path: str) -> None:
        """Remove something."""
        self._http.delete(f"/api/{path}").raise_for_status()

    def make_user(self, name: str, password: str, tags: str, permissions: Mapping[str, Mapping[str, str]]) -> None:
        """Make a user, or give it other rights: permissions by virtual host."""
        self.put(f"users/{name}", {"password": password, "tags": tags})
        for vhost, rights in permissions.items():
            self.put(f"permissions/{quote(vhost, safe='')}/{name}", rights)

    def close(self) -> None:
        """Let go."""
        self._http.close()
