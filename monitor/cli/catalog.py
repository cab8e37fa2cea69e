"""The commands of `eventflow catalog`: the event catalog as a file, beside what is seen, and its schemas compared."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.apiclient import DEFAULT_URL
from monitor.catalog.checking import is_asyncapi
from monitor.catalog.compatibility import Comparison, Mode, compare_all, compare_catalogs, worst
from monitor.catalog.graphs import Style, draw
from monitor.catalog.loading import load_catalog, make_catalog
from monitor.catalog.problems import Compatibility
from monitor.catalog.reading import read_document
from monitor.catalog.schema_files import read_schema
from monitor.cli.output import make_console, print_json, print_line, show_plain
from monitor.cli.redrives import Url, connect
from monitor.cli.tables import catalog_table
from monitor.errors import ConfigurationError

EXIT_CODES = {Compatibility.COMPATIBLE: 0, Compatibility.INCOMPATIBLE: 1, Compatibility.UNKNOWN: 3}

_MOST_DIFFERENCES = 100_000

catalog_commands = typer.Typer(no_args_is_help=True, help="The event catalog: an AsyncAPI 3 document.")

CatalogFile = Annotated[Path, typer.Argument(metavar="FILE", help="An AsyncAPI 3 document, as YAML or JSON.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@catalog_commands.command("check")
def check(file: CatalogFile, as_json: AsJson = False) -> None:
    """Tell every mistake of a catalog with its place. Exit code 0 when there is none, 2 otherwise."""
    found = load_catalog(file)
    numbers = {"services": len(found.services), "events": len(found.events), "channels": len(found.channels)}
    if as_json:
        print_json({"title": found.title, **numbers})
    else:
        told = "{title}: {services} services, {events} versions of events, {channels} channels"
        print_line(show_plain(told.format(title=found.title, **numbers)))


@catalog_commands.command("check-compat")
def check_compat(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="OLD... NEW", help="Catalogs, or schemas as Avro (.avsc) or JSON Schema."),
    ],
    mode: Annotated[
        Mode, typer.Option(help="Must new readers read the old, old readers the new, or both.")
    ] = Mode.BACKWARD,
    transitive: Annotated[
        bool, typer.Option("--transitive", help="Compare with all versions before, not only the newest of them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell whether the schemas of NEW are compatible with those of OLD.

    Exit code 0 when they are, 1 when they are not, 3 when that cannot be known, 2 for wrong usage.
    """
    if len(files) < 2:
        raise typer.BadParameter("name at least two files, the newest last")
    found = _compare(files, mode, transitive=transitive)
    verdict = worst([it.compatibility for it in found]) if found else Compatibility.UNKNOWN
    if as_json:
        print_json({"compatibility": verdict, "mode": mode, "comparisons": [_tell(it) for it in found]})
    else:
        for comparison in found:
            _print(comparison)
        print_line(verdict if found else f"{verdict}: they have no event in common")
    raise typer.Exit(EXIT_CODES[verdict])


@catalog_commands.command("diff")
def diff(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show what is seen and not written down in the monitor's catalog, and written down and not seen.

    Exit code 0 when nothing differs, 1 when something does, 3 when nothing differs as far as can be seen.
    """
    with connect(url) as monitor:
        found = monitor.catalog_differences(limit=_MOST_DIFFERENCES)
    if as_json:
        print_json(found)
    else:
        for item in found["items"]:
            where = f"{item['cluster']}: " if item["cluster"] else ""
            print_line(show_plain(f"{item['kind']}: {where}{item['text']}"))
        for unjudged in found["not_judged"]:
            print_line(show_plain(f"not judged: {unjudged['cluster'] or ''} {unjudged['reason']}"))
        if not (found["items"] or found["not_judged"]):
            print_line("nothing differs")
    raise typer.Exit(1 if found["total"] else 3 if found["not_judged"] else 0)


@catalog_commands.command("draft")
def draft(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Print a first catalog, from what the monitor sees: destinations and who receives from them."""
    with connect(url) as monitor:
        if as_json:
            print_json(monitor.catalog_draft_as_json())
        else:
            print_line(monitor.catalog_draft().rstrip("\n"))


@catalog_commands.command("show")
def show(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show the events of the monitor's catalog, with who sends and receives them."""
    with connect(url) as monitor:
        found = monitor.catalog()
    if as_json:
        print_json(found)
        return
    make_console().print(catalog_table(found))


@catalog_commands.command("graph")
def graph(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A catalog; without it the monitor's own.")
    ] = None,
    style: Annotated[Style, typer.Option("--format", help="The language of the graph.")] = Style.MERMAID,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Print the flow of events as a graph."""
    if file is not None:
        drawn = draw(load_catalog(file), style)
    else:
        with connect(url) as monitor:
            drawn = monitor.catalog_graph(style)
    if as_json:
        print_json({"format": style, "graph": drawn})
    else:
        print_line(drawn.rstrip("\n"))


def _compare(files: list[Path], mode: Mode, *, transitive: bool) -> list[Comparison]:
    documents = [read_document(file) for file in files]
    catalogs = [is_asyncapi(it) for it in documents]
    if all(catalogs):
        *before, last = (make_catalog(it) for it in documents)
        chosen = before if transitive else before[-1:]
        return [it for old in chosen for it in compare_catalogs(old, last, mode, transitive=transitive)]
    if any(catalogs):
        raise ConfigurationError("some of the files are catalogs and others schemas; name files of one kind")
    versions = [(it.name, read_schema(it)) for it in documents]
    return compare_all(versions, mode, transitive=transitive)


def _tell(it: Comparison) -> dict[str, Any]:
    return {"old": it.old, "new": it.new, "compatibility": it.compatibility, "problems": list(map(asdict, it.problems))}


def _print(it: Comparison) -> None:
    print_line(show_plain(f"{it.old} -> {it.new}: {it.compatibility}"))
    for problem in it.problems:
        print_line(show_plain(f"  {problem.compatibility}: {problem}"))
