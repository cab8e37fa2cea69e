"""How librdkafka is configured for a cluster."""

import ssl
from typing import Any

from monitor.brokers.msk import make_signer
from monitor.config import KafkaCluster, KafkaSecurity, OAuth


def library_settings(cluster: KafkaCluster) -> dict[str, Any]:
    """Return librdkafka's configuration for a cluster."""
    return {
        "bootstrap.servers": cluster.bootstrap_servers,
        "client.id": "eventflow-monitor",
        "reconnect.backoff.max.ms": 2000,  # a broker that came back should be seen by the next cycle
        "api.version.request.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        "enable.metrics.push": False,
    } | _security_settings(cluster.security)


def _security_settings(security: KafkaSecurity) -> dict[str, Any]:
    key = security.key_file or security.certificate_file
    settings = {
        "security.protocol": security.protocol,
        "sasl.mechanism": "OAUTHBEARER" if security.aws_msk_iam else security.mechanism,
        "sasl.username": security.username,
        "sasl.password": security.password and security.password.get_secret_value(),
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.certificate_file,
        "ssl.key.location": key,
        "ssl.key.password": security.key_password and security.key_password.get_secret_value(),
        "oauth_cb": security.aws_msk_iam and make_signer(security.aws_msk_iam),
        **(_token_settings(security.oauth) if security.oauth else {}),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _token_settings(oauth: OAuth) -> dict[str, Any]:
    """Have the library fetch tokens, and new ones at four fifths of their time."""
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": oauth.token_url,
        "sasl.oauthbearer.client.id": oauth.client_id,
        "sasl.oauthbearer.client.secret": oauth.client_secret.get_secret_value(),
        "sasl.oauthbearer.scope": oauth.scope,
        "sasl.oauthbearer.extensions": ",".join(f"{key}={value}" for key, value in oauth.extensions.items()) or None,
        # The library's own default is a path of the machine that it was built on, and it takes no folder.
        "https.ca.location": oauth.ca_file or ssl.get_default_verify_paths().cafile,
    }
