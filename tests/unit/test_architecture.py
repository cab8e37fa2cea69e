"""Arrows point one way: what may import what is read from the sources."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the top down; a package may import those of its own layer and of the layers below.
LAYERS = (
    {"cli", "__main__"},
    {"app", "serving"},
    {
        "api",
        "exposition",
        "redrive",
        "catalog",
        "collecting",
        "analysis",
        "apiclient",
        "checks",
        "diagnosis",
        "doctor",
        "rules",
    },
    {"brokers", "storage", "alerting"},
    {
        "config",
        "document",
        "model",
        "letters",
        "conventions",
        "errors",
        "allocator",
        "clock",
        "memory",
        "words",
        "logs",
        "shipped",
        "tls",
    },
)

CLIENT_LIBRARIES = {"confluent_kafka", "pika", "boto3", "botocore", "aws_msk_iam_sasl_signer"}
# The client of the API, what its items look like and what it raises, and the words that people are told things in.
KNOWN_OUTSIDE = {
    "monitor.apiclient",
    "monitor.api.catalog_items",
    "monitor.api.items",
    "monitor.api.redrive_items",
    "monitor.errors",
    "monitor.model",
    "monitor.words",
}


def sources(folder: str) -> Iterator[Path]:
    return (ROOT / folder).rglob("*.py")


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in it, also for types alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield from (submodule(node.module or "", alias.name) for alias in node.names)


def submodule(module: str, name: str) -> str:
    """Return what `from module import name` imports: a module of ours, if `name` is one."""
    path = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() else module


def layer_of(module: str) -> int | None:
    """Return how deep the part of the monitor lies that a module belongs to; None for what is no part of it."""
    root, _, rest = module.partition(".")
    part = rest.split(".")[0]
    return next((depth for depth, layer in enumerate(LAYERS) if root == "monitor" and part in layer), None)


MONITOR = {module_of(file): tuple(imports(file)) for file in sources("monitor")}


def test_every_module_has_its_layer() -> None:
    assert {module for module in MONITOR if module != "monitor" and layer_of(module) is None} == set()


def test_nothing_imports_what_is_above_it() -> None:
    upward = {
        f"{module} -> {imported}"
        for module, all_imported in MONITOR.items()
        for imported in all_imported
        if (above := layer_of(imported)) is not None and (own := layer_of(module)) is not None and above < own
    }
    assert upward == set()


def test_only_brokers_import_client_libraries() -> None:
    users = {
        f"{module} -> {imported}"
        for module, all_imported in MONITOR.items()
        for imported in all_imported
        if imported.split(".")[0] in CLIENT_LIBRARIES and not module.startswith("monitor.brokers.")
    }
    assert users == set()


@pytest.mark.parametrize(
    ("bus", "libraries"),
    [("kafka", {"pika", "boto3", "botocore"}), ("rabbitmq", {"confluent_kafka", "boto3", "botocore"}),
     ("aws", {"confluent_kafka", "pika"})],
)  # fmt: skip
def test_each_bus_knows_its_own_library_and_no_other_bus(bus: str, libraries: set[str]) -> None:
    others = {f"monitor.brokers.{it}" for it in ("kafka", "rabbitmq", "aws") if it != bus}
    for module, all_imported in MONITOR.items():
        if module.startswith(f"monitor.brokers.{bus}"):
            assert not libraries.intersection(imported.split(".")[0] for imported in all_imported)
            assert not any(imported.startswith(other) for imported in all_imported for other in others), module


@pytest.mark.parametrize("library", ["streamlit", "dashboards", "examples", "stack", "tests", "benchmarks"])
def test_the_monitor_never_imports(library: str) -> None:
    assert {m for m, all_imported in MONITOR.items() if library in {it.split(".")[0] for it in all_imported}} == set()


@pytest.mark.parametrize("folder", ["dashboards", "examples"])
def test_programs_around_the_monitor_know_only_its_client_and_vocabulary(folder: str) -> None:
    internals = {
        f"{file.relative_to(ROOT)} -> {imported}"
        for file in sources(folder)
        for imported in imports(file)
        if imported.split(".")[0] == "monitor" and imported not in KNOWN_OUTSIDE
    }
    assert internals == set()


def test_there_are_no_import_cycles() -> None:
    graph = {
        module: {it for it in all_imported if it in MONITOR} - {module} for module, all_imported in MONITOR.items()
    }
    assert find_cycle(graph) == []


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of one cycle, empty when there is none."""
    done: set[str] = set()
    trail: list[str] = []

    def visit(module: str) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        trail.append(module)
        for imported in sorted(graph[module]):
            if cycle := visit(imported):
                return cycle
        done.add(trail.pop())
        return []

    return next((cycle for module in sorted(graph) if (cycle := visit(module))), [])


def test_a_cycle_would_be_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
