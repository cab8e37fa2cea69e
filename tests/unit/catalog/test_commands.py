"""`eventflow catalog check` and `check-compat`: what they print, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.cli.commands import app
from monitor.errors import ConfigurationError
from tests.unit.catalog.documents import PLAIN, change

SHIPPED = Path(__file__).parents[3] / "config" / "catalog.yml"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["catalog", *arguments])
    if isinstance(result.exception, ConfigurationError):
        raise result.exception
    return result.exit_code, result.output


def write(folder: Path, name: str, body: Any) -> str:
    file = folder / name
    file.write_text(body if isinstance(body, str) else json.dumps(body))
    return str(file)


def test_a_catalog_without_mistakes_is_told_by_its_numbers() -> None:
    assert run("check", str(SHIPPED)) == (0, "Event flow: 4 services, 3 versions of events, 6 channels\n")


def test_a_catalog_with_mistakes_is_refused_with_their_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"c\.yml:12: /operations/sendOrders/action"):
        run("check", write(tmp_path, "c.yml", change("action: send", "action: sends")))


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


OLD = schema("a", a={"type": "string"})


@pytest.mark.parametrize(
    ("new", "options", "code", "told"),
    [
        (schema("a", a={"type": "string"}, b={"type": "string"}), (), 0, "compatible\n"),
        (schema("a", "b", a={"type": "string"}, b={"type": "string"}), (), 1, "incompatible: b: is needed"),
        (schema("a", "b", a={"type": "string"}, b={"type": "string"}), ("--mode", "forward"), 0, "compatible\n"),
        (schema("a", a={"type": "string", "format": "uuid"}), (), 3, "unknown: a: format is another, or new"),
        (schema("a", "b", a={"type": "string"}, b={"type": "string"}), ("--mode", "full"), 1, "incompatible"),
    ],
)
def test_the_exit_code_says_what_was_found(
    tmp_path: Path, new: Any, options: tuple[str, ...], code: int, told: str
) -> None:
    exit_code, output = run("check-compat", write(tmp_path, "1.json", OLD), write(tmp_path, "2.json", new), *options)
    assert exit_code == code
    assert told in output


def test_transitive_compares_with_all_before(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "1.json", schema()),
        write(tmp_path, "2.json", schema("a", a={"type": "string"})),
        write(tmp_path, "3.json", schema("a", a={"type": "string"})),
    ]
    assert run("check-compat", *files)[0] == 0
    assert run("check-compat", *files, "--transitive")[0] == 1


def test_avro_is_compared_by_its_own_rules(tmp_path: Path) -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    new = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}
    code, output = run("check-compat", write(tmp_path, "1.avsc", old), write(tmp_path, "2.avsc", new), "--json")
    assert code == 1
    problem = {"field": "b", "compatibility": "incompatible", "text": "was not written, and has no default"}
    assert json.loads(output)["comparisons"][0]["problems"] == [problem]


def test_catalogs_are_compared_event_by_event(tmp_path: Path) -> None:
    old = write(tmp_path, "1.yml", PLAIN)
    same, changed = (
        write(tmp_path, "2.yml", PLAIN),
        write(tmp_path, "3.yml", change("{type: string}", "{type: integer}")),
    )
    assert run("check-compat", old, same)[0] == 0
    code, output = run("check-compat", old, changed)
    assert code == 1
    assert "Ordered 1 before -> Ordered 1 now: incompatible" in output
    assert "id: was string and is integer" in output


def test_catalogs_without_an_event_in_common_are_not_called_compatible(tmp_path: Path) -> None:
    old, other = write(tmp_path, "1.yml", PLAIN), write(tmp_path, "2.yml", PLAIN.replace("Ordered", "Placed"))
    code, output = run("check-compat", old, other)
    assert (code, output) == (3, "unknown: they have no event in common\n")


def test_a_new_version_is_compared_with_the_one_before_without_what_tells_them_apart(tmp_path: Path) -> None:
    one = change("id: {type: string}", "id: {type: string}\n        version: {const: 1}")
    two = one.replace("Ordered.v1", "Ordered.v2").replace("const: 1", "const: 2")
    assert run("check-compat", write(tmp_path, "1.yml", one), write(tmp_path, "2.yml", two))[0] == 0


def test_files_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="some of the files are catalogs"):
        run("check-compat", write(tmp_path, "1.yml", PLAIN), write(tmp_path, "2.json", OLD))


def test_one_file_is_wrong_usage(tmp_path: Path) -> None:
    assert run("check-compat", write(tmp_path, "1.json", OLD))[0] == 2


def test_eventflow_check_refuses_a_catalog_with_mistakes(tmp_path: Path) -> None:
    catalog = write(tmp_path, "c.yml", change("action: send", "action: sends"))
    clusters = "clusters: [{name: k, kind: kafka, bootstrap_servers: '127.0.0.1:1'}]\n"
    configuration = write(tmp_path, "m.yml", f"catalog: {catalog}\n{clusters}")
    result = CliRunner().invoke(app, ["check", "--config", configuration])
    assert isinstance(result.exception, ConfigurationError)
    assert "c.yml:12: /operations/sendOrders/action" in str(result.exception)
