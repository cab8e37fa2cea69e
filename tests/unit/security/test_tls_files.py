"""Files for TLS are read when the configuration is, and what is wrong with one is told without its password."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from monitor.brokers.tls import open_context
from monitor.config import RabbitCluster, RabbitRedrive, TlsFiles, parse_configuration
from monitor.errors import ConfigurationError, TlsFailed
from tests.integration.secured.certificates import Authority, Identity

PASSWORD, WRONG = "of-the-key", "hunter2-is-wrong"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("files"), "authority")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Identity:
    return authority.sign("client")


@pytest.fixture(scope="module")
def locked(authority: Authority) -> Identity:
    return authority.sign("locked", password=PASSWORD)


def mistake(**keys: object) -> str:
    """Return the mistake that a Kafka cluster's security section with these keys has."""
    section = ", ".join(f"{key}: {value}" for key, value in {"protocol": "ssl", **keys}.items())
    text = f"clusters: [{{name: k, kind: kafka, bootstrap_servers: 'a:1', security: {{{section}}}}}]"
    with pytest.raises(ConfigurationError) as raised:
        parse_configuration(text, "monitor.yml", {})
    return str(raised.value)


def test_files_that_fit_are_taken(authority: Authority, client: Identity, locked: Identity) -> None:
    ca = str(authority.certificate)
    TlsFiles(ca_file=ca, certificate_file=str(client.certificate), key_file=str(client.key))
    TlsFiles(certificate_file=str(client.both))  # the key is in the same file
    TlsFiles(
        certificate_file=str(locked.certificate), key_file=str(locked.key), key_password=SecretStr(PASSWORD)
    ).make_context()


def test_a_file_of_the_wrong_content_is_told_with_its_line(tmp_path: Path, client: Identity) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    empty = tmp_path / "empty.pem"
    assert mistake(ca_file=empty).startswith(f"monitor.yml:1: clusters[0].security: the file {empty} holds no certific")
    assert "holds no certificate; name" in mistake(certificate_file=client.key, key_file=client.key)
    assert "holds no key; name the key" in mistake(certificate_file=client.certificate)
    assert f"the file {tmp_path} " in mistake(ca_file=tmp_path)


def test_a_key_that_does_not_fit_is_told_for_what_it_is(client: Identity, locked: Identity) -> None:
    other = mistake(certificate_file=client.certificate, key_file=locked.key, key_password=PASSWORD)
    assert "is not that of the certificate" in other
    assert "has a password; set key_password" in mistake(certificate_file=locked.certificate, key_file=locked.key)
    wrong = mistake(certificate_file=locked.certificate, key_file=locked.key, key_password=WRONG)
    assert "key_password does not open the key" in wrong
    assert WRONG not in wrong


def test_keys_that_make_no_sense_alone_are_told(client: Identity) -> None:
    assert "need certificate_file" in mistake(key_file=client.key)
    assert "need protocol ssl or sasl_ssl" in mistake(protocol="plaintext", certificate_file=client.both)


def test_a_file_that_goes_while_the_monitor_runs_is_an_error_of_the_broker(tmp_path: Path, client: Identity) -> None:
    renewed = tmp_path / "renewed.pem"
    renewed.write_bytes(client.both.read_bytes())
    files = TlsFiles(certificate_file=str(renewed))
    renewed.unlink()
    with pytest.raises(TlsFailed, match=r"k: the file .*renewed\.pem cannot be read"):
        open_context(files, "k")
    renewed.write_bytes(client.both.read_bytes())
    open_context(files, "k")


def test_redrive_has_the_files_of_its_cluster_unless_it_has_its_own(
    tmp_path: Path, authority: Authority, client: Identity, locked: Identity
) -> None:
    renewed = tmp_path / "ca.pem"
    renewed.write_bytes(authority.certificate.read_bytes())
    watching = RabbitCluster(
        name="r",
        kind="rabbitmq",
        amqp_url=SecretStr("amqps://a"),
        ca_file=str(renewed),
        certificate_file=str(client.both),
        redrive=RabbitRedrive(),
    )
    assert watching.redrive_access[0] == SecretStr("amqps://a")
    assert watching.redrive_access[1].certificate_file == str(client.both)
    redrive = RabbitRedrive(
        amqp_url=SecretStr("amqps://b"),
        certificate_file=str(locked.certificate),
        key_file=str(locked.key),
        key_password=SecretStr(PASSWORD),
    )
    url, found = watching.model_copy(update={"redrive": redrive}).redrive_access
    assert (url, found.ca_file) == (SecretStr("amqps://b"), str(renewed))
    assert (found.certificate_file, found.key_file) == (str(locked.certificate), str(locked.key))
    assert found.key_password == SecretStr(PASSWORD)
    renewed.unlink()  # which the next connection tells, and not whoever makes it ready
    assert watching.redrive_access[1].ca_file == str(renewed)
