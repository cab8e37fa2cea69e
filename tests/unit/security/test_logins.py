"""Each way to sign in to Kafka has its own keys; what does not go together is refused, and no secret is shown."""

import pytest

from monitor.brokers.kafka.settings import library_settings
from monitor.config import Configuration, KafkaCluster, parse_configuration
from monitor.errors import ConfigurationError

OAUTH = "oauth: {token_url: 'https://id.example/token', client_id: me, client_secret: s3cret}"
MSK = "aws_msk_iam: {region: eu-west-1}"


def load(security: str) -> Configuration:
    text = f"clusters: [{{name: k, kind: kafka, bootstrap_servers: 'a:1', security: {{{security}}}}}]"
    return parse_configuration(text, "monitor.yml", {})


def settings(security: str) -> dict[str, object]:
    (cluster,) = load(security).clusters
    assert isinstance(cluster, KafkaCluster)
    assert "s3cret" not in repr(cluster)
    return library_settings(cluster)


@pytest.mark.parametrize(
    ("security", "told"),
    [
        ("protocol: sasl_ssl, mechanism: OAUTHBEARER", "mechanism OAUTHBEARER needs oauth"),
        ("protocol: sasl_ssl, mechanism: AWS_MSK_IAM", "mechanism AWS_MSK_IAM needs aws_msk_iam"),
        (f"protocol: sasl_plaintext, mechanism: AWS_MSK_IAM, {MSK}", "mechanism AWS_MSK_IAM needs protocol sasl_ssl"),
        (f"protocol: sasl_ssl, mechanism: OAUTHBEARER, {OAUTH}, username: u", "does not go with username"),
        (f"protocol: sasl_ssl, mechanism: PLAIN, username: u, password: p, {OAUTH}", "does not go with oauth"),
        ("protocol: ssl, username: u, password: p", "credentials need protocol sasl_ssl or sasl_plaintext"),
        (
            "protocol: sasl_ssl, mechanism: AWS_MSK_IAM, aws_msk_iam: {region: r, profile: p, role_arn: a}",
            "has both profile and role_arn",
        ),
        (
            "protocol: sasl_ssl, mechanism: OAUTHBEARER, "
            "oauth: {token_url: 'https://me:s3cret@id.example', client_id: me, client_secret: s3cret}",
            "must not carry credentials",
        ),
    ],
)
def test_what_does_not_go_together_is_told(security: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(security)
    assert told in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_tokens_are_fetched_by_the_library_with_authorities_that_it_finds() -> None:
    made = settings(
        f"protocol: sasl_ssl, mechanism: OAUTHBEARER, {OAUTH[:-1]}, scope: kafka, extensions: {{pool: p1}}}}"
    )
    assert made["sasl.mechanism"] == "OAUTHBEARER"
    assert made["sasl.oauthbearer.method"] == "oidc"
    assert made["sasl.oauthbearer.client.secret"] == "s3cret"
    assert (made["sasl.oauthbearer.scope"], made["sasl.oauthbearer.extensions"]) == ("kafka", "pool=p1")
    assert made["https.ca.location"]
    assert "oauth_cb" not in made


def test_signing_in_to_msk_is_a_token_made_on_this_side() -> None:
    made = settings(f"protocol: sasl_ssl, mechanism: AWS_MSK_IAM, {MSK}")
    assert made["sasl.mechanism"] == "OAUTHBEARER"
    assert callable(made["oauth_cb"])
    assert "sasl.oauthbearer.method" not in made
