"""A RabbitMQ cluster: its addresses, what to watch there, and the right to redrive."""

from typing import Literal

from pydantic import SecretStr, model_validator

from monitor.config.clusters.base import ClusterSection
from monitor.config.section import Filter
from monitor.config.tls import TlsFiles
from monitor.config.values import AmqpUrl, SecretHttpUrl


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
