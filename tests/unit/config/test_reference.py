"""The reference configuration names every key of the code, with the default that the code has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from monitor.config import (
    AwsCluster,
    Configuration,
    KafkaCluster,
    MskIam,
    OAuth,
    RabbitCluster,
    load_configuration,
)

CONFIG = Path(__file__).parents[3] / "config"

# Keys whose default is empty or None, and of which the reference shows an example instead.
EXAMPLES = {
    "server.tokens",
    "server.people",
    "clusters",
    "objectives",
    "owners",
    "dead_letters",
    "masking",
    "clusters[0].redrive",
    "clusters[1].redrive",
    "clusters[2].redrive",
    "clusters[1].amqp_url",
    "clusters[1].management_url",
    "clusters[1].prometheus_url",
}


def walk(section: BaseModel, written: Any, path: str) -> Iterator[tuple[str, Any, BaseModel]]:
    """Yield every key of the code with what the text has there, and the section that it stands in."""
    assert isinstance(written, dict), f"{path or 'the reference'} is no mapping"
    for name in type(section).model_fields:
        key = f"{path}.{name}".lstrip(".")
        assert name in written, f"{key} is missing in the reference"
        yield key, written[name], section
        yield from walk_into(getattr(section, name), written[name], key)


def walk_into(value: Any, written: Any, key: str) -> Iterator[tuple[str, Any, BaseModel]]:
    if isinstance(value, BaseModel):
        yield from walk(value, written, key)
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            if isinstance(entry, BaseModel):
                yield from walk(entry, written[place], f"{key}[{place}]")


@pytest.fixture(scope="module")
def reference() -> Configuration:
    return load_configuration(CONFIG / "reference.yml", {})


@pytest.fixture(scope="module")
def keys(reference: Configuration) -> list[tuple[str, Any, BaseModel]]:
    written = yaml.safe_load((CONFIG / "reference.yml").read_text(encoding="utf-8"))
    return list(walk(reference, written, ""))


def test_the_reference_has_a_cluster_of_each_kind(reference: Configuration) -> None:
    assert [type(it) for it in reference.clusters] == [KafkaCluster, RabbitCluster, AwsCluster]


def test_the_reference_names_every_key_with_the_default_of_the_code(keys: list[tuple[str, Any, BaseModel]]) -> None:
    assert len(keys) > 50
    differing = {}
    for key, _, section in keys:
        field = type(section).model_fields[key.rpartition(".")[2]]
        value = getattr(section, key.rpartition(".")[2])
        if field.is_required() or isinstance(value, BaseModel):  # of a section, its keys are compared
            continue
        if key not in EXAMPLES and value != field.default:
            differing[key] = (value, field.default)
    assert differing == {}


def test_every_example_stands_for_an_empty_default(keys: list[tuple[str, Any, BaseModel]]) -> None:
    sections = {key: section for key, _, section in keys}
    for key in EXAMPLES:
        assert not type(sections[key]).model_fields[key.rpartition(".")[2]].default


def test_the_comments_name_every_value_that_a_choice_has(keys: list[tuple[str, Any, BaseModel]]) -> None:
    text = (CONFIG / "reference.yml").read_text(encoding="utf-8")
    for key, _, section in keys:
        for choice in literals(type(section).model_fields[key.rpartition(".")[2]].annotation):
            assert choice in text, f"{choice} of {key} is not in the reference"


@pytest.mark.parametrize("section", [OAuth, MskIam])
def test_the_comments_name_the_keys_of_sections_that_are_left_out(section: type[BaseModel]) -> None:
    text = (CONFIG / "reference.yml").read_text(encoding="utf-8")
    for name in section.model_fields:
        assert f"#   {name}: " in text, f"{name} of {section.__name__} is not in the reference"


def literals(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        else:
            yield from literals(inner)


def test_the_demo_watches_the_addresses_of_its_environment() -> None:
    environment = {
        "KAFKA_BOOTSTRAP": "127.0.0.1:9092",
        "RABBITMQ_AMQP_URL": "amqp://127.0.0.1:5672/%2F",
        "RABBITMQ_MANAGEMENT_URL": "http://127.0.0.1:15672",
        "RABBITMQ_PROMETHEUS_URL": "http://127.0.0.1:15692",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    }
    orders, mail, aws = load_configuration(CONFIG / "demo.yml", environment).clusters
    assert isinstance(orders, KafkaCluster)
    assert isinstance(mail, RabbitCluster)
    assert isinstance(aws, AwsCluster)
    assert (orders.name, mail.name, aws.name) == ("orders", "mail", "aws")
    assert orders.bootstrap_servers == "127.0.0.1:9092"
    assert orders.probe is not None
    assert mail.amqp_url == SecretStr("amqp://127.0.0.1:5672/%2F")
    assert aws.endpoint_url == "http://127.0.0.1:4566"
