"""Connections that are secured, and everything that can be wrong with one, in `eventflow check` and in the API.

One monitor watches one cluster a case, on real brokers; a TLS server that is no broker stands in where these cannot
have a certificate that has expired.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.app.running import eventflow, serving, tls_server, wait_until
from tests.integration.kafka.playground import Playground
from tests.integration.secured.brokers import KEY_PASSWORD, SecuredBrokers
from tests.integration.secured.certificates import Identity
from tests.integration.secured.kafka import PASSWORD, SCRAM_USER

WRONG = "hunter2-is-wrong"
DENIED = "without-rights-on-groups"


class Cases:
    """Clusters of the configuration by name, and the words by which each that cannot be read must be told."""

    def __init__(self, brokers: SecuredBrokers, expired_port: int) -> None:
        self._brokers, self._expired_port = brokers, expired_port
        self.clusters: list[dict[str, Any]] = []
        self.words: dict[str, str] = {}
        self._kafka_logins()
        self._kafka_tls()
        self._kafka_tokens()
        self._rabbitmq()
        self._kafka(DENIED, brokers.kafka.sasl, **plain_login(brokers, "groupless"))

    @property
    def fine(self) -> set[str]:
        """The clusters that can be read."""
        return {cluster["name"] for cluster in self.clusters} - self.words.keys()

    @property
    def secrets(self) -> set[str]:
        """What must be seen nowhere."""
        return {PASSWORD, WRONG, KEY_PASSWORD, self._brokers.tokens.secret, self._brokers.rabbitmq.open.state.password}

    def _add(self, name: str, words: str = "", **cluster: Any) -> None:
        if words:
            self.words[name] = words
        self.clusters.append({"name": name, "interval": "3s", "deadline": "5s", **cluster})

    def _kafka(self, name: str, address: str, words: str = "", **security: Any) -> None:
        self._add(name, words, kind="kafka", bootstrap_servers=address, security=security)

    def _rabbit(self, name: str, words: str = "", **keys: Any) -> None:
        self._add(name, words, kind="rabbitmq", queues={"include": ["nothing"]}, **keys)

    def _kafka_logins(self) -> None:
        kafka, ca = self._brokers.kafka, str(self._brokers.authority.certificate)
        plain = plain_login(self._brokers, "reader")
        scram = {**plain, "username": SCRAM_USER}
        self._kafka("plain", kafka.sasl, **plain)
        self._kafka("scram-256", kafka.sasl, **{**scram, "mechanism": "SCRAM-SHA-256"})
        self._kafka("scram-512", kafka.sasl, **{**scram, "mechanism": "SCRAM-SHA-512"})
        self._kafka("plain-wrong", kafka.sasl, "credentials are refused", **{**plain, "password": WRONG})
        wrong = {**scram, "mechanism": "SCRAM-SHA-512", "password": WRONG}
        self._kafka("scram-wrong", kafka.sasl, "credentials are refused", **wrong)
        self._kafka("no-login-there", kafka.tls, "takes no such login", **plain)
        self._kafka("login-wanted", kafka.sasl, "probably wants a login", protocol="ssl", ca_file=ca)

    def _kafka_tls(self) -> None:
        kafka, clients, ca = self._brokers.kafka, self._brokers.clients, str(self._brokers.authority.certificate)
        tls = {"protocol": "ssl", "ca_file": ca}
        self._kafka("mutual", kafka.mutual, **tls, **shown(clients.good))
        self._kafka("mutual-locked", kafka.mutual, **tls, **shown(clients.locked), key_password=KEY_PASSWORD)
        self._kafka("mutual-none", kafka.mutual, "probably asks for a client certificate", **tls)
        refused = "refuses the certificate of this client"
        self._kafka("mutual-expired", kafka.mutual, f"{refused}.*has not expired", **tls, **shown(clients.expired))
        self._kafka("mutual-foreign", kafka.mutual, f"{refused}.*authority", **tls, **shown(clients.foreign))
        unknown = {"protocol": "ssl", "ca_file": str(clients.unknown_authority)}
        self._kafka("unknown-authority", kafka.tls, "authority that is not trusted here.*ca_file", **unknown)
        self._kafka("expired", kafka.expired, "broker's certificate has expired.*renew", **tls)
        other = kafka.tls.replace("127.0.0.1", "localhost")
        self._kafka("other-name", other, "for another name than localhost", **tls)

    def _kafka_tokens(self) -> None:
        kafka, ca = self._brokers.kafka, str(self._brokers.authority.certificate)
        tokens = self._brokers.tokens
        login = {"protocol": "sasl_ssl", "mechanism": "OAUTHBEARER", "ca_file": ca}
        oauth = {"token_url": tokens.url, "client_id": "reader", "client_secret": tokens.secret, "scope": "kafka"}
        self._kafka("token", kafka.sasl, **login, oauth=oauth)
        self._kafka("token-refused", kafka.sasl, "invalid_client", **login, oauth={**oauth, "client_secret": WRONG})
        down = {**oauth, "token_url": "http://127.0.0.1:1/token"}
        told = r"127\.0\.0\.1:1/token: the token endpoint cannot be reached"
        self._kafka("token-endpoint-down", kafka.sasl, told, **login, oauth=down)
        unverified = {**oauth, "token_url": f"https://{kafka.tls}/token"}
        told = "token endpoint cannot be reached.*certificate.*oauth.ca_file"
        self._kafka("token-endpoint-unverified", kafka.sasl, told, **login, oauth=unverified)
        msk = {
            "protocol": "sasl_ssl",
            "mechanism": "AWS_MSK_IAM",
            "ca_file": ca,
            "aws_msk_iam": {"region": "eu-west-1"},
        }
        self._kafka("msk-without-identity", kafka.sasl, "no AWS credentials", **msk)

    def _rabbitmq(self) -> None:
        rabbit, clients, ca = self._brokers.rabbitmq, self._brokers.clients, str(self._brokers.authority.certificate)
        good = {"ca_file": ca, **shown(clients.good)}
        self._rabbit("amqps", amqp_url=rabbit.amqps(), ca_file=ca)
        self._rabbit("amqps-certificate-as-login", amqp_url=rabbit.amqps(""), **good)
        self._rabbit("https", management_url=rabbit.management(), **good)
        self._rabbit("https-locked", management_url=rabbit.management(), **locked(ca, clients.locked))
        wrong = f"somebody:{WRONG}"
        self._rabbit("amqps-wrong", "password is refused", amqp_url=rabbit.amqps(wrong), ca_file=ca)
        self._rabbit("https-wrong", "password is refused", management_url=rabbit.management(wrong), **good)
        self._rabbit("amqps-no-login", "no login there", amqp_url=rabbit.amqps(""), **locked(ca, clients.locked))
        self._rabbit("https-none", "asks for a client certificate", management_url=rabbit.management(), ca_file=ca)
        told = "certificate of this client has expired.*renew certificate_file"
        old = {"ca_file": ca, **shown(clients.expired)}
        self._rabbit("amqps-client-expired", told, amqp_url=rabbit.amqps(), **old)
        self._rabbit("https-client-expired", told, management_url=rabbit.management(), **old)
        told = "does not trust the authority that signed the certificate of this client"
        foreign = {"ca_file": ca, **shown(clients.foreign)}
        self._rabbit("amqps-client-foreign", told, amqp_url=rabbit.amqps(), **foreign)
        self._rabbit("https-client-foreign", told, management_url=rabbit.management(), **foreign)
        told = "authority that is not trusted here.*ca_file"
        unknown = {**good, "ca_file": str(clients.unknown_authority)}
        self._rabbit("amqps-unknown-authority", told, amqp_url=rabbit.amqps(), **unknown)
        self._rabbit("https-unknown-authority", told, management_url=rabbit.management(), **unknown)
        told = "for another name than localhost"
        self._rabbit("amqps-other-name", told, amqp_url=rabbit.amqps(host="localhost"), **good)
        self._rabbit("https-other-name", told, management_url=rabbit.management(host="localhost"), **good)
        told = "broker's certificate has expired.*renew"
        self._rabbit("amqps-expired", told, amqp_url=f"amqps://u:p@127.0.0.1:{self._expired_port}", ca_file=ca)
        self._rabbit("https-expired", told, prometheus_url=rabbit.prometheus(), ca_file=ca)


def plain_login(brokers: SecuredBrokers, user: str) -> dict[str, str]:
    ca = str(brokers.authority.certificate)
    return {"protocol": "sasl_ssl", "mechanism": "PLAIN", "username": user, "password": PASSWORD, "ca_file": ca}


def shown(identity: Identity) -> dict[str, str]:
    return {"certificate_file": str(identity.certificate), "key_file": str(identity.key)}


def locked(ca: str, identity: Identity) -> dict[str, str]:
    return {"ca_file": ca, **shown(identity), "key_password": KEY_PASSWORD}


@pytest.fixture(scope="module")
def cases(secured_brokers: SecuredBrokers) -> Iterator[Cases]:
    secured_brokers.rabbitmq.make_user("certified", "unused", "", {"/": {"configure": "", "write": "", "read": ""}})
    playground = Playground(secured_brokers.kafka.plain)
    playground.commit(playground.name("workers"), playground.topic("orders"), 0)
    with tls_server(secured_brokers.expired.both) as port:
        yield Cases(secured_brokers, port)
    playground.clean()


def test_check_tells_each_thing_for_what_it_is(cases: Cases, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text(f"database_url: sqlite:///{tmp_path}/eventflow.db\n" + yaml.safe_dump({"clusters": cases.clusters}))
    ended = eventflow("check", "--config", str(file), "--within", "30s", "--json")
    assert ended.stderr == ""
    assert ended.returncode == 1
    found = {it["cluster"]: it["findings"] for it in json.loads(ended.stdout)["clusters"]}
    missing = {
        name: [f"{it['target']}: {it['message']}; {it['remedy']}" for it in findings if not it["ok"] and it["required"]]
        for name, findings in found.items()
    }
    denied = " ".join(missing.pop(DENIED))
    assert "committed offsets" in denied
    assert "grant Describe on these groups" in denied
    told = {name: texts[0] for name, texts in missing.items() if texts}
    assert wrong_words(cases, told) == {}
    assert told.keys() == cases.words.keys()
    assert_silent(cases, ended.stdout)


def test_the_api_tells_each_thing_for_what_it_is_and_no_log_has_a_secret(cases: Cases, tmp_path: Path) -> None:
    with serving(tmp_path, yaml.safe_dump({"clusters": cases.clusters})) as process:
        process.wait_until_ready()
        seen: dict[str, dict[str, Any]] = {}
        readable = {it["name"] for it in cases.clusters if it["kind"] == "kafka"} & cases.fine - {DENIED}

        def settled() -> bool:
            """Say whether all that can be read is, and the rest is told; a busy machine may take some cycles for it."""
            seen.update({it["cluster"]: it for it in process.get("/api/v1/collectors?limit=100").json()["items"]})
            fine = all(seen[name]["up"] for name in cases.fine) and not any(seen[it]["errors"] for it in readable)
            return (
                fine and {it["reason"] for it in seen[DENIED]["errors"]} == {"forbidden"} and not mistold(cases, seen)
            )

        with suppress(AssertionError):  # what is asserted below says more
            wait_until("all is told", settled)
        pages = "".join(process.get(path).text for path in ("/api/v1/collectors?limit=100", "/metrics", "/readyz"))
        process.end()
        granting = re.compile(r"grant it on the (group|topic): docs/permissions\.md")
        assert [it for it in seen[DENIED]["errors"] if not granting.search(it["message"])] == []
        assert {name: it["errors"] for name, it in seen.items() if name in readable and it["errors"]} == {}
        assert mistold(cases, seen) == {}
        assert_silent(cases, pages + "".join(process.lines))


def mistold(cases: Cases, items: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what is told of clusters that should be fine, or not in the words that it should be told in."""
    told = {name: it["errors"][0]["message"] for name, it in items.items() if it["up"] is False}
    return wrong_words(cases, told) | dict.fromkeys(cases.words.keys() - told.keys(), "it is up")


def wrong_words(cases: Cases, told: Mapping[str, str]) -> dict[str, str]:
    """Return what is not in its words, which say what is wrong and, after a semicolon, what to do about it."""
    right = {it for it, text in told.items() if it in cases.words and re.search(cases.words[it], text) and "; " in text}
    return {it: text for it, text in told.items() if it not in right}


def assert_silent(cases: Cases, text: str) -> None:
    assert text
    assert [secret for secret in cases.secrets if secret in text] == []
