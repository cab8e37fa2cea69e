"""The rights that `docs/permissions.md` lists, read from there, so that what is proven is what is written."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

DOCUMENT = Path(__file__).parents[3] / "docs" / "permissions.md"
_RESOURCES = {
    "cluster": ResourceType.BROKER,
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
}


@dataclass(frozen=True)
class Right:
    """One right on Kafka."""

    resource: str
    name: str
    pattern: str
    operation: str

    def named(self, names: Mapping[str, str]) -> "Right":
        """Return it with names in place of what the document leaves open."""
        return Right(self.resource, names.get(self.name, self.name), self.pattern, self.operation)

    def binding(self, user: str) -> AclBinding:
        """Return it as an access control list's entry for a user."""
        operation = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.operation).upper()
        return AclBinding(
            _RESOURCES[self.resource],
            self.name,
            ResourcePatternType[self.pattern.upper()],
            f"User:{user}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )


def kafka_rights(heading: str) -> list[Right]:
    """Return the rights below a heading as `Kafka: watching`."""
    rights = [Right(*row[:4]) for row in _rows(heading)]
    assert rights
    return rights


def rabbitmq_rights() -> dict[str, tuple[str, dict[str, str]]]:
    """Return tag and permissions by what they are for."""
    return {
        row[0].replace("`", ""): (row[1], dict(zip(("configure", "write", "read"), row[2:5], strict=True)))
        for row in _rows("RabbitMQ")
    }


def aws_actions(statement: str) -> frozenset[str]:
    """Return the actions that a policy's statement allows."""
    for block in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        for found in json.loads(block)["Statement"]:
            if found["Sid"] == statement:
                return frozenset(found["Action"])
    raise AssertionError(f"there is no statement {statement}")


def _rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the table below a heading, without code marks where a cell is nothing but code."""
    section = re.split(rf"^#+ {re.escape(heading)}$", DOCUMENT.read_text(), flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [re.sub(r"^`(.*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")]
