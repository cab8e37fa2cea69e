"""What a correct configuration gives."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from monitor.config import (
    AwsCluster,
    Configuration,
    Filter,
    KafkaCluster,
    RabbitCluster,
    load_configuration,
    parse_configuration,
)
from monitor.errors import ConfigurationError

KAFKA = "name: orders, kind: kafka, bootstrap_servers: 'localhost:9092'"


def parse(text: str, **environment: str) -> Configuration:
    return parse_configuration(text, "monitor.yml", environment)


def kafka(text: str = "", **environment: str) -> KafkaCluster:
    (cluster,) = parse(f"clusters: [{{{KAFKA}{text}}}]", **environment).clusters
    assert isinstance(cluster, KafkaCluster)
    return cluster


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2), ("15s", 15), ("1m", 60), ("1.5h", 5400), ("1d", 86400), ("2 s", 2)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert kafka(f", interval: {text}").interval == seconds


def test_a_cycle_may_take_its_interval_and_at_least_five_seconds() -> None:
    assert kafka(", interval: 2s").cycle_deadline == 5
    assert kafka(", interval: 20s").cycle_deadline == 20
    assert kafka(", interval: 20s, deadline: 3s").cycle_deadline == 3


def test_kinds_have_their_own_defaults() -> None:
    others = "{name: mail, kind: rabbitmq, amqp_url: 'amqp://h'}, {name: aws, kind: aws, region: r}"
    orders, mail, aws = parse(f"clusters: [{{{KAFKA}}}, {others}]").clusters
    assert (orders.interval, mail.interval, aws.interval) == (15, 15, 30)
    assert isinstance(mail, RabbitCluster)
    assert isinstance(aws, AwsCluster)
    assert aws.cloudwatch.enabled


def test_counters_are_as_fresh_as_their_broker_renews_them() -> None:
    text = "clusters: [{name: a, kind: aws, region: r%s}]"
    assert parse(text % "").clusters[0].counters_every == 60
    assert parse(text % ", cloudwatch: {enabled: false}").clusters[0].counters_every == 0
    assert kafka().counters_every == 0


def test_a_share_is_read_as_a_percentage() -> None:
    text = f"clusters: [{{{KAFKA}}}]\nobjectives: [{{subscription: 'orders/*', max_age: 30s, target: 99.9%}}]"
    assert parse(text).objectives[0].target == pytest.approx(0.999)


def test_variables_stand_anywhere_in_a_value() -> None:
    cluster = kafka(", security: {protocol: sasl_ssl, mechanism: PLAIN, username: 'u-${A}-${B}', password: '${C}'}",
                    A="1", B="2", C="hunter2")  # fmt: skip
    assert cluster.security.username == "u-1-2"
    assert cluster.security.password == SecretStr("hunter2")


def test_a_secret_file_loses_its_last_line_break_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("amqp://u: pw @h\r\n", encoding="utf-8")
    (cluster,) = parse(f"clusters: [{{name: mail, kind: rabbitmq, amqp_url: 'file:{secret}'}}]").clusters
    assert isinstance(cluster, RabbitCluster)
    assert cluster.amqp_url == SecretStr("amqp://u: pw @h")


def test_a_variable_may_name_a_secret_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("amqp://h", encoding="utf-8")
    text = "clusters: [{name: mail, kind: rabbitmq, amqp_url: 'file:${DIRECTORY}/url'}]"
    (cluster,) = parse(text, DIRECTORY=str(tmp_path)).clusters
    assert isinstance(cluster, RabbitCluster)
    assert cluster.amqp_url == SecretStr("amqp://h")


def test_a_variable_is_not_read_for_variables_again() -> None:
    assert kafka(", topics: {include: ['${A}']}", A="${B}").topics.include == ["${B}"]


def test_anchors_and_merge_keys_share_values() -> None:
    first, second, third = parse(
        "clusters:\n"
        "  - &base {name: a, kind: aws, region: r, interval: 5s}\n"
        "  - {<<: *base, name: b}\n"
        "  - {name: c, <<: [{profile: p, interval: 1s}, *base]}\n"
    ).clusters
    assert [it.name for it in (first, second, third)] == ["a", "b", "c"]
    assert [it.interval for it in (first, second, third)] == [5, 5, 1]
    assert isinstance(third, AwsCluster)
    assert third.profile == "p"


def test_secrets_are_in_no_representation() -> None:
    text = "clusters: [{name: mail, kind: rabbitmq, amqp_url: 'amqp://u:hunter2@h'}]\ndatabase_url: 'sqlite:///hunter2'"
    configuration = parse(text)
    assert "hunter2" not in repr(configuration)
    assert "hunter2" not in str(configuration)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text(f"\ufeffclusters: [{{{KAFKA}}}]", encoding="utf-8")
    assert load_configuration(file).clusters[0].name == "orders"


def test_a_filter_takes_what_is_included_and_not_excluded() -> None:
    watched = Filter(include=["order-*"], exclude=["*-test"])
    assert [name for name in ("order-a", "order-test", "mail") if watched.matches(name)] == ["order-a"]


def test_each_group_is_in_one_of_the_shares_of_a_cluster() -> None:
    shares = [kafka(f", groups_share: {number}/3, groups: {{exclude: [g7]}}").watched_groups for number in (1, 2, 3)]
    assert sorted(name for share in shares for name in ("g1", "g2", "g3", "g4", "g5", "g7") if share.matches(name)) == [
        "g1",
        "g2",
        "g3",
        "g4",
        "g5",
    ]
    assert all(any(share.matches(f"group-{number}") for number in range(50)) for share in shares)


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(ConfigurationError, match="one of several shares"):
        kafka(f", groups_share: '{share}'")
