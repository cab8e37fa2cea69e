"""A version that its consumer does not know, from the dead letter to the patch that the catalog proposes and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.catalog.fitting import Fitter
from monitor.catalog.identifying import Letter, Where
from monitor.catalog.loading import load_catalog
from tests.integration.app.running import _ENVIRONMENT
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.redrive.server import Server, running
from tests.unit.catalog.registry import fake_registry

SHIPPED = Path(__file__).parents[4] / "config" / "catalog.yml"
GROUP = "workers"
REGISTERED = {"type": "record", "name": "Parcel", "fields": [{"name": "weight_grams", "type": "int"}]}
ANSWERS: dict[str, tuple[int, Any]] = {"/schemas/ids/7": (200, {"schema": json.dumps(REGISTERED)})}


@pytest.fixture(scope="module")
def topics(yard: Yard) -> tuple[str, str]:
    return yard.pair(1, "versions")


@pytest.fixture(scope="module")
def catalog(topics: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped catalog, with the topic and group of this test."""
    text = SHIPPED.read_text(encoding="utf-8")
    changes = {
        'OnKafka:\n    address: "{flow}order-events"\n': f"OnKafka:\n    address: {topics[0]}\n",
        "    protocol: kafka\n": "    protocol: kafka\n    x-cluster: k\n",
        'default: inventory-group, pattern: "(.*-)?inventory-group"': f"default: {GROUP}",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path_factory.mktemp("catalog") / "catalog.yml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def monitor(yard: Yard, catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A monitor with a catalog and a registry that says that it is a fake."""
    names = f'{{include: ["{yard.kafka.prefix}*"]}}'
    about = f'kind: kafka, bootstrap_servers: "{yard.kafka.bootstrap}", interval: 500ms, topics: {names}'
    clusters = f"  - {{name: k, {about}, groups: {names}, redrive: {{}}}}\n"
    with fake_registry(ANSWERS) as (url, _):
        settings = f"catalog: {catalog}\nschema_registry: {{url: '{url}'}}\n"
        server = Server(tmp_path_factory.mktemp("server"), clusters, _ENVIRONMENT, settings)
        with running(server) as started:
            yield started


def test_a_new_version_goes_back_as_the_one_that_is_known(
    yard: Yard, topics: tuple[str, str], catalog: Path, monitor: Server
) -> None:
    target, dead = topics
    known = load_catalog(catalog)
    (example,) = next(it.examples for it in known.events.values() if str(it.id) == "OrderCreated 2")
    yard.fill(dead, 3, spring_headers(target, group=GROUP), value=lambda _: json.dumps(example).encode())
    monitor.wait_for_queue(f"k/{dead}", 3)
    (group,) = monitor.client.letter_groups(f"k/{dead}")["items"]
    held, impact = group["schema"], group["impact"]
    assert held is not None
    assert (held["event"], held["wrote"], held["known"], held["fits"]) == ("OrderCreated", "2", ["1"], "2")
    assert group["advice"]["action"] == "transform_and_redrive"
    assert impact is not None
    assert impact["services"] == [{"name": "inventory", "owner": "warehouse"}]
    job = monitor.start_job(f"k/{dead}", group=group["id"], patch=held["patch"])
    assert monitor.wait_for_job(job["id"])["counts"]["sent"] == 3
    for message in yard.read(target):
        found = Fitter(known).fit(Letter(json.loads(message.value() or b""), {}, Where("k", target, GROUP)))
        assert found is not None
        assert (str(found.wrote), found.violations) == ("OrderCreated 1", ())


def test_a_framed_body_is_shown_decoded_and_another_told_why_not(yard: Yard, monitor: Server) -> None:
    target, dead = yard.pair(1, "framed")
    bodies = [b"\x00\x00\x00\x00\x07\xc8\x01", b"\x00\x00\x00\x00\x07", b"\x00\x00\x00\x00\x08\xc8\x01"]
    yard.fill(dead, 3, spring_headers(target), value=lambda number: bodies[number])
    monitor.wait_for_queue(f"k/{dead}", 3)
    decoded, _, unknown = monitor.client.letters(f"k/{dead}")["items"]
    assert (decoded["value_decoded"], decoded["value_schema"]) == ('{"weight_grams": 100}', "schema 7 of the registry")
    assert (unknown["value_decoded"], unknown["value_note"]) == (None, "the registry has no schema 8")
