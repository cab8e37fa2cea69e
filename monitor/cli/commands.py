"""The commands: parse, call, print."""

import json
import os
import secrets
import socket
import sys
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.catalog.loading import load_catalog
from monitor.cli.catalog import catalog_commands
from monitor.cli.demo import demo_commands
from monitor.cli.letters import add_letter_commands
from monitor.cli.output import make_console, print_json, print_line, show_plain
from monitor.cli.redrives import audit_commands, redrive_commands
from monitor.cli.tables import check_tables, dead_letters_table, mutes_table, overview, say_moment
from monitor.clock import Clock
from monitor.config import Configuration, Dashboard, Token, hash_token, load_configuration, parse_duration, with_listen
from monitor.errors import EventflowError
from monitor.logs import LogFormat, LogLevel, set_up_logging

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Watches Kafka, RabbitMQ and AWS SNS/SQS side by side: lag, throughput and dead letters.",
)
dead_letter_commands = typer.Typer(no_args_is_help=True, help="Dead-letter queues.")
token_commands = typer.Typer(no_args_is_help=True, help="API tokens.")
app.add_typer(dead_letter_commands, name="dlq")
app.add_typer(catalog_commands, name="catalog")
app.add_typer(demo_commands, name="demo")
app.add_typer(redrive_commands, name="redrive")
app.add_typer(audit_commands, name="audit")
app.add_typer(token_commands, name="token")
add_letter_commands(dead_letter_commands)

_DASHBOARD_PORT = 8501
_PORTS_TRIED = 100

ConfigFile = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration (YAML).")]
Url = Annotated[str, typer.Option("--url", envvar="EVENTFLOW_URL", help="The monitor to ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the body of the API call.")]
Within = Annotated[
    float, typer.Option("--within", metavar="DURATION", parser=parse_duration, help="How long to wait for answers.")
]


@app.command()
def serve(
    config: ConfigFile,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Instead of server.listen.")] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Lines for people or for machines.")] = "console",
    log_level: Annotated[LogLevel, typer.Option(help="The least that is logged.")] = "info",
) -> None:
    """Watch the clusters of a configuration and answer until SIGTERM or Ctrl-C; SIGHUP has it read again."""
    set_up_logging(log_format, log_level)
    load_configuration(config)  # before what follows: a mistake is told at once
    # Here and in `check` alone: the client libraries of all buses come along, and take longer than other commands.
    from monitor.serving import serve as run_monitor

    def load() -> Configuration:
        configuration = load_configuration(config)
        return with_listen(configuration, listen) if listen else configuration

    run_monitor(load, Clock())


@app.command()
def check(config: ConfigFile, within: Within = 10.0, as_json: AsJson = False) -> None:
    """Tell what can be reached and read, and which permission is missing.

    Exit code 0 when all is fine, 1 when a cluster or the database is unreachable or forbidden, 2 when the
    configuration is wrong.
    """
    set_up_logging("console", "error")
    configuration = load_configuration(config)
    if configuration.catalog:
        load_catalog(Path(configuration.catalog))
    from monitor.diagnosis import diagnose

    found = diagnose(configuration, Clock(), within)
    if as_json:
        print_json(found.as_json())
    else:
        make_console().print(check_tables(found.clusters, found.database))
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def doctor(config: ConfigFile, url: Url = DEFAULT_URL, within: Within = 10.0) -> None:
    """Print what a bug report needs, as JSON: versions, configuration without secrets, checks, the running monitor.

    Names of clusters, queues, topics and groups are in it; bodies of messages are not.
    """
    set_up_logging("console", "error")
    configuration = load_configuration(config)
    from monitor.doctor import examine

    with _connect(url) as running:
        print_json(examine(configuration, running, Clock(), within))


@app.command()
def status(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show all subscriptions and dead-letter queues on all buses, worst first."""
    with _connect(url) as monitor:
        subscriptions, dead_letters = monitor.all_subscriptions(), monitor.all_dead_letters()
        collectors = [] if as_json else monitor.collectors()
    if as_json:
        print_json({"subscriptions": subscriptions, "dead_letters": dead_letters})
        return
    console = make_console()
    console.print(overview(subscriptions, dead_letters, collectors, Clock().now(), console.width))


@app.command("mute")
def mute_subject(
    subject: Annotated[str, typer.Argument(metavar="ID", help="A subscription or dead-letter queue, or a pattern.")],
    until: Annotated[str, typer.Option(metavar="T", help="2h, or a time as 2030-01-31T18:00 (local) or with zone.")],
    reason: Annotated[str, typer.Option(help="Why, for those who find it muted.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let a planned stop wake nobody until a moment; what is measured goes on."""
    with _connect(url) as monitor:
        item = monitor.mute(subject, reason, **read_end(until))
    if as_json:
        print_json(item)
        return
    matched = f"{item['subscriptions']} subscriptions and {item['dead_letters']} dead-letter queues"
    print_line(f"muted until {say_moment(item['until'])} (number {item['id']}), matching {matched} now")


@app.command("unmute")
def unmute_subject(
    subject: Annotated[str, typer.Argument(metavar="ID", help="As it was muted, or the number of the mute.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """End the mutes of an id or pattern before their time."""
    with _connect(url) as monitor:
        active = monitor.mutes()
        found = [item for item in active if subject in (item["subject"], str(item["id"]))]
        if not found:
            others = ", ".join(item["subject"] for item in active) or "nothing is"
            raise EventflowError(f"{subject} is not muted under this name; muted now: {others}")
        ended = [monitor.unmute(item["id"]) for item in found]
    if as_json:
        print_json({"items": ended, "next": None})
    else:
        print_line(f"no longer muted: {subject}")


@app.command("mutes")
def list_mutes(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List what is muted now, by whom, why and until when."""
    with _connect(url) as monitor:
        items = monitor.mutes()
    if as_json:
        print_json({"items": items, "next": None})
        return
    make_console().print(mutes_table(items) if items else "nothing is muted")


@app.command("mark")
def mark(
    name: Annotated[str, typer.Argument(help="What happened, such as 'deploy notification-service'.")],
    note: Annotated[str, typer.Option(help="More of it, such as the version.")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Note that something happens now, such as a deployment: causes of death are told beside it."""
    with _connect(url) as monitor:
        item = monitor.mark(name, note)
    if as_json:
        print_json(item)
    else:
        print_line(f"marked {item['name']} at {say_moment(item['at'])} (number {item['id']})")


@app.command("marks")
def list_marks(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List what was noted as having happened in the last seven days, the newest first."""
    with _connect(url) as monitor:
        items = monitor.marks()
    if as_json:
        print_json({"items": items, "next": None})
        return
    for item in items:
        note = f": {item['note']}" if item["note"] else ""
        print_line(show_plain(f"{say_moment(item['at'])}  {item['name']}{note} ({item['actor']})"))
    if not items:
        print_line("nothing is marked")


def read_end(text: str) -> dict[str, float]:
    """Read when a mute is to end: a duration, or a time, which without a zone is that of this machine."""
    try:
        return {"for_seconds": cast(float, parse_duration(text))}
    except ValueError:
        pass
    try:
        return {"until": datetime.fromisoformat(text).astimezone().timestamp()}
    except (ValueError, OverflowError) as error:
        told = "must be a duration as 90m or 2h, or a time as 2030-01-31T18:00"
        raise typer.BadParameter(told, param_hint="--until") from error


@dead_letter_commands.command("ls")
def list_dead_letters(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the dead-letter queues on all buses, worst first."""
    with _connect(url) as monitor:
        items = monitor.all_dead_letters()
    if as_json:
        print_json({"items": items, "next": None, "total": len(items)})
        return
    console = make_console()
    console.print(dead_letters_table(items, Clock().now(), console.width) if items else "none has been found")


@token_commands.command("new")
def make_token(
    name: Annotated[str, typer.Option(help="Whose token it is.")] = "operator",
    role: Annotated[Literal["viewer", "operator", "admin"], typer.Option(help="What it may.")] = "operator",
    as_json: Annotated[bool, typer.Option("--json", help="Print both as JSON.")] = False,
) -> None:
    """Make a token: it is shown this once, and the configuration keeps its hash alone."""
    secret = secrets.token_urlsafe(32)
    entry = Token(name=name, role=role, sha256=hash_token(secret))
    if as_json:
        print_json({"token": secret, "entry": entry.model_dump()})
        return
    print_line(f"Token, shown only now (EVENTFLOW_TOKEN): {secret}")
    print_line("For the configuration, under server.tokens:")
    # JSON is YAML, and quotes whatever the name has in it.
    print_line(f"    - {json.dumps(entry.model_dump(), ensure_ascii=False)}")


@app.command()
def dashboard(
    url: Url = DEFAULT_URL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first port to try.")] = _DASHBOARD_PORT,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The monitor's configuration, for its section `dashboard`.")
    ] = None,
) -> None:
    """Start the dashboard on this machine's loopback, on the port or the next free one."""
    if find_spec("dashboards") is None:
        raise EventflowError("the package `dashboards` is not installed; install eventflow-monitor as a whole")
    settings = load_configuration(config).dashboard if config else Dashboard()
    free = next_free_port(port)
    instead = "" if free == port else f" ({port} is taken)"
    print_line(f"Dashboard: http://127.0.0.1:{free}{instead}, asking {url}")
    sys.stdout.flush()
    environment = {
        **os.environ,
        "EVENTFLOW_URL": url,
        "EVENTFLOW_DASHBOARD_SESSION_SECONDS": str(settings.session),
        "EVENTFLOW_DASHBOARD_IDLE_SECONDS": str(settings.idle),
        "EVENTFLOW_DASHBOARD_PROXIES": ",".join(settings.proxies),
        "EVENTFLOW_DASHBOARD_IDENTITY_HEADER": settings.identity_header,
    }
    # In this process's place, so that a signal to it reaches the dashboard.
    os.execve(sys.executable, [sys.executable, "-m", "dashboards", "--port", str(free)], environment)  # noqa: S606


def next_free_port(first: int) -> int:
    """Return the first port from `first` on that nobody listens on. Raises EventflowError when many are taken."""
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            # As the server itself will: a port that only remembers old connections is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EventflowError(f"no port is free from {first} on; choose another by --port")


def _connect(url: str) -> ApiClient:
    return ApiClient(url, os.environ.get("EVENTFLOW_TOKEN"))
