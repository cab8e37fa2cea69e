"""The handle that asks for committed offsets, with nobody at the other end: how it begins and ends."""

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.brokers.kafka.committed import GroupOffsets, Request
from monitor.errors import AuthenticationFailed
from tests.waiting import wait_for

NOBODY = {"bootstrap.servers": "127.0.0.1:1"}
BY_TOKEN = {**NOBODY, "security.protocol": "sasl_plaintext", "sasl.mechanism": "OAUTHBEARER"}


def test_closing_ends_what_is_still_asked_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    reader = GroupOffsets(NOBODY, "group")
    (serving,) = (thread for thread in threading.enumerate() if thread not in before)
    futures = [reader.ask("group", request) for request in (None, Request(["t", "t"], [0, 1]))]
    reader.close()
    for future in futures:
        error = future.exception(5)
        assert isinstance(error, KafkaException)
        assert error.args[0].code() == KafkaError._DESTROY
    wait_for(lambda: not serving.is_alive(), "the thread's end")
    with pytest.raises(KafkaException):
        reader.ask("group", None)


def test_settings_that_the_library_does_not_know_are_told() -> None:
    with pytest.raises(KafkaException, match=r"no\.such\.setting"):
        GroupOffsets({**NOBODY, "no.such.setting": "1"}, "group")


def test_a_signer_is_asked_for_a_token_and_may_fail() -> None:
    asked = []

    def sign(configuration: str) -> tuple[str, float]:
        asked.append(configuration)
        raise AuthenticationFailed("there is no identity")

    reader = GroupOffsets({**BY_TOKEN, "oauth_cb": sign}, "")
    wait_for(lambda: asked == [""], "the library's wish for a token", seconds=5)
    reader.close()
