import json
import traceback
from pathlib import Path

import pytest

from examples.event_flow.__main__ import main
from examples.event_flow.buses import kafka
from examples.event_flow.names import Endpoints, EndpointsUnreadable, Names

WHOLE = '{"kafka": "127.0.0.1:1", "rabbitmq": {"amqp": "amqp://u:secret@127.0.0.1:1/"}, "aws": "http://127.0.0.1:1"}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON file"),
        ("{}", "lacks one of kafka, rabbitmq.amqp, aws"),
        ("[]", "lacks one of"),
        ('{"kafka": "127.0.0.1:1", "rabbitmq": null, "aws": ""}', "lacks one of"),
    ],
)
def test_a_wrong_file_of_endpoints_is_told_in_one_sentence(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(text)
    assert main(["setup", "--endpoints", str(path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_missing_file_of_endpoints_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EndpointsUnreadable, match="start the brokers first"):
        Endpoints.load(tmp_path / "endpoints.json")


def test_endpoints_do_not_show_the_password(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(WHOLE)
    endpoints = Endpoints.load(path)
    assert endpoints.amqp == "amqp://u:secret@127.0.0.1:1/"
    assert "secret" not in repr(endpoints)


@pytest.mark.parametrize(
    "wrong", [["--rate", "0"], ["--rate", "inf"], ["--poison", "1.5"], ["--poison", "x"], ["--count", "-1"], ["nobody"]]
)
def test_an_option_out_of_range_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_names_are_those_that_the_monitor_is_shown_with() -> None:
    names = Names()
    assert (names.kafka_topic, names.kafka_dead_letter_topic) == ("order-events", "order-events.dlq")
    assert [names.kafka_group(service) for service in ("notification", "inventory")] == [
        "notification-group",
        "inventory-group",
    ]
    assert (names.sns_topic, names.sqs_queue, names.sqs_dead_letter_queue) == (
        "OrderEvents",
        "NotificationQueue",
        "NotificationDLQ",
    )


def test_a_prefix_stands_before_every_name() -> None:
    names = Names("t-")
    assert all(
        name.startswith("t-")
        for name in (
            names.kafka_topic,
            names.kafka_dead_letter_topic,
            names.kafka_group("notification"),
            names.exchange,
            names.dead_letter_exchange,
            names.queue("inventory"),
            names.dead_letter_queue("inventory"),
            names.sns_topic,
            names.sqs_queue,
            names.sqs_dead_letter_queue,
        )
    )


def test_tls_and_sasl_are_switched_on_by_the_file_of_endpoints(tmp_path: Path) -> None:
    password, path = tmp_path / "password", tmp_path / "endpoints.json"
    password.write_text("s3cret\n")
    security = {"ca_file": "/ca.pem", "username": "shop", "password_file": str(password)}
    path.write_text(json.dumps({**json.loads(WHOLE), "security": security}))
    endpoints = Endpoints.load(path)
    assert "s3cret" not in repr(endpoints)
    assert kafka.connection(endpoints) == {
        "bootstrap.servers": "127.0.0.1:1",
        "log_level": 2,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": "s3cret",
    }


def test_a_missing_password_file_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps({**json.loads(WHOLE), "security": {"username": "shop", "password_file": "/no/such"}}))
    with pytest.raises(EndpointsUnreadable, match="/no/such cannot be read"):
        Endpoints.load(path)


def test_a_password_file_that_is_no_text_is_told_by_its_name_without_what_it_holds(tmp_path: Path) -> None:
    password, path = tmp_path / "password", tmp_path / "endpoints.json"
    password.write_bytes(b"s3cret\xff")
    path.write_text(json.dumps({**json.loads(WHOLE), "security": {"password_file": str(password)}}))
    with pytest.raises(EndpointsUnreadable, match="password is no text in UTF-8") as caught:
        Endpoints.load(path)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("security", [[], None, {"password_file": 7}])
def test_security_that_is_no_object_of_texts_is_told_as_such(security: object, tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps({**json.loads(WHOLE), "security": security}))
    with pytest.raises(EndpointsUnreadable, match="security is no object of texts"):
        Endpoints.load(path)
