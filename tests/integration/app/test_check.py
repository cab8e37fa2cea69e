"""`eventflow check` tells each thing that can be wrong with a target for what it is."""

import json
import re
from pathlib import Path

from monitor.model import Finding
from stack.state import Endpoints
from tests.integration.app.running import black_holes, eventflow, untrusted_tls_server


def check(folder: Path, *clusters: str, within: str = "10s") -> tuple[int, dict[str, list[Finding]]]:
    file = folder / "monitor.yml"
    database = f"database_url: sqlite:///{folder}/eventflow.db\n"
    file.write_text(
        database + "clusters:\n" + "".join(f"  - {{{cluster}}}\n" for cluster in clusters), encoding="utf-8"
    )
    # Keys of nobody: away from loopback the collector does not make them up.
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ended = eventflow("check", "--config", str(file), "--within", within, "--json", **keys)
    assert ended.stderr == ""
    body = json.loads(ended.stdout)
    return ended.returncode, {
        it["cluster"]: [Finding(**finding) for finding in it["findings"]] for it in body["clusters"]
    }


def missing(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.required and not finding.ok]


def test_all_is_fine_with_the_brokers_of_the_stack(endpoints: Endpoints, tmp_path: Path) -> None:
    code, found = check(
        tmp_path,
        f'name: orders, kind: kafka, bootstrap_servers: "{endpoints.kafka}"',
        f'name: mail, kind: rabbitmq, amqp_url: "{endpoints.rabbitmq.amqp}", '
        f'management_url: "{endpoints.rabbitmq.management}", prometheus_url: "{endpoints.rabbitmq.prometheus}"',
        f'name: aws, kind: aws, region: us-east-1, endpoint_url: "{endpoints.aws}"',
    )
    assert {name: missing(findings) for name, findings in found.items()} == {"orders": [], "mail": [], "aws": []}
    assert all(findings for findings in found.values())
    assert code == 0


UNRESOLVED = (
    'name: kafka, kind: kafka, bootstrap_servers: "broker.invalid:9092"',
    'name: amqp, kind: rabbitmq, amqp_url: "amqp://u:p@broker.invalid:5672"',
    'name: management, kind: rabbitmq, management_url: "http://broker.invalid:15672"',
    'name: aws, kind: aws, region: us-east-1, endpoint_url: "http://broker.invalid:4566"',
)

UNTRUSTED = (
    'name: kafka, kind: kafka, bootstrap_servers: "127.0.0.1:%d", security: {protocol: ssl}',
    'name: amqp, kind: rabbitmq, amqp_url: "amqps://u:p@127.0.0.1:%d"',
    'name: management, kind: rabbitmq, management_url: "https://127.0.0.1:%d"',
    'name: aws, kind: aws, region: us-east-1, endpoint_url: "https://127.0.0.1:%d"',
)


def assert_told(findings: list[Finding], words: str) -> None:
    """Something required is missing; each thing is told on one line with its remedy, and one names the cause."""
    assert missing(findings)
    wrong = [finding for finding in findings if not finding.ok]
    for finding in wrong:
        assert finding.target
        assert "\n" not in finding.message + finding.remedy
        assert finding.remedy, finding
    assert any(re.search(words, finding.message, re.IGNORECASE) for finding in wrong), wrong


def test_an_address_that_does_not_resolve_is_told_on_every_bus(tmp_path: Path) -> None:
    code, found = check(tmp_path, *UNRESOLVED)
    assert code == 1
    assert list(found) == ["kafka", "amqp", "management", "aws"]
    for findings in found.values():
        assert_told(findings, "resolve")


def test_a_certificate_that_does_not_verify_is_told_on_every_bus(tmp_path: Path) -> None:
    with untrusted_tls_server() as port:
        code, found = check(tmp_path, *(cluster % port for cluster in UNTRUSTED))
    assert code == 1
    assert list(found) == ["kafka", "amqp", "management", "aws"]
    for findings in found.values():
        assert_told(findings, "certificate")


def test_wrong_credentials_are_told_without_repeating_them(endpoints: Endpoints, tmp_path: Path) -> None:
    def wrong(url: str) -> str:
        return re.sub(r"//[^:]+:[^@]+@", "//eventflow:hunter2@", url)

    code, found = check(
        tmp_path,
        f'name: amqp, kind: rabbitmq, amqp_url: "{wrong(endpoints.rabbitmq.amqp)}"',
        f'name: management, kind: rabbitmq, management_url: "{wrong(endpoints.rabbitmq.management)}"',
    )
    assert code == 1
    for findings in found.values():
        assert_told(findings, "credentials|password|user")
        assert not any("hunter2" in finding.message + finding.remedy for finding in findings)


def test_what_hangs_costs_no_more_than_the_time_given(endpoints: Endpoints, tmp_path: Path) -> None:
    with black_holes("kafka") as holes:
        code, found = check(
            tmp_path,
            f'name: hung, kind: kafka, bootstrap_servers: "127.0.0.1:{holes["kafka"].port}"',
            f'name: fine, kind: kafka, bootstrap_servers: "{endpoints.kafka}"',
            within="2s",
        )
    assert code == 1
    assert missing(found["hung"])
    assert missing(found["fine"]) == []
