"""What several buses' tests share."""

from collections.abc import Iterator

import pytest

from tests.integration.secured.brokers import SecuredBrokers


@pytest.fixture(scope="session")
def secured_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBrokers]:
    """Kafka and RabbitMQ with TLS, logins and access rights; apart from the stack that all other tests use."""
    brokers = SecuredBrokers(tmp_path_factory.mktemp("secured"))
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()
