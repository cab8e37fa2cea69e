"""What a bug report holds of a configuration: everything but its secrets."""

import json

from cryptography.fernet import Fernet

from monitor.config import parse_configuration
from monitor.doctor import hide

SECRET = "hunter2"
KEY = Fernet.generate_key().decode()
EVERYWHERE = f"""
server:
  tokens: [{{name: alice, role: operator, sha256: "{"ab" * 32}"}}]
database_url: "postgresql+psycopg://eventflow:{SECRET}@127.0.0.1/eventflow"
archive: {{keys: ["{KEY}"]}}
history: {{prometheus_url: "http://reader:{SECRET}@127.0.0.1:9090"}}
alerts: {{prometheus_url: "http://reader:{SECRET}@127.0.0.1:9090", alertmanager_url: "http://a:{SECRET}@127.0.0.1:9093"}}
clusters:
  - name: orders
    kind: kafka
    bootstrap_servers: "127.0.0.1:9092"
    security: {{protocol: sasl_ssl, mechanism: PLAIN, username: watcher, password: {SECRET}}}
    redrive:
      security:
        protocol: sasl_ssl
        mechanism: OAUTHBEARER
        oauth: {{token_url: "https://127.0.0.1/token", client_id: mover, client_secret: {SECRET}}}
  - name: mail
    kind: rabbitmq
    amqp_url: "amqp://watcher:{SECRET}@127.0.0.1:5672"
    management_url: "http://watcher:{SECRET}@127.0.0.1:15672"
    prometheus_url: "http://watcher:{SECRET}@127.0.0.1:15692"
    redrive: {{amqp_url: "amqp://mover:{SECRET}@127.0.0.1:5672"}}
  - {{name: shop, kind: aws, region: us-east-1, endpoint_url: "http://watcher:{SECRET}@127.0.0.1:4566"}}
"""


def test_no_secret_is_left_wherever_it_stands() -> None:
    configuration = parse_configuration(EVERYWHERE, "monitor.yml", {})

    told = json.dumps(hide(configuration.model_dump(mode="json")))

    for secret in (SECRET, KEY, "ab" * 32):
        assert secret not in told
    for known in ("orders", "127.0.0.1:9092", "us-east-1", "operator", "mover"):
        assert known in told
