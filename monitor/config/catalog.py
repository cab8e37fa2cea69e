"""Where schemas come from that no file has."""

from monitor.config.tls import TlsFiles
from monitor.config.values import SecretHttpUrl


class RegistrySettings(TlsFiles):
    """A schema registry as Confluent's; its address may carry credentials."""

    url: SecretHttpUrl | None = None
