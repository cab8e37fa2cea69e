"""python -m stack: brokers for the demo, the tests and everyday work."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stack.control import Stack
from stack.errors import StackError
from stack.install import install
from stack.interrupts import interrupt_once
from stack.processes import log_tail
from stack.state import PARTS, Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; give the exit code: 0 done, 1 not done, 130 interrupted."""
    parsed = _parser().parse_args(arguments)
    interrupt_once(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        return COMMANDS[parsed.command](parsed)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what was started has ended.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    folder = argparse.ArgumentParser(add_help=False)
    default = os.environ.get("EVENTFLOW_STACK_DIR", ".stack")
    folder.add_argument("--dir", type=Path, default=Path(default), help="the stack's folder (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    version = argparse.ArgumentParser(add_help=False)
    # Defaults stay strings: so argparse converts them, and tells a wrong one as it tells a wrong argument.
    version.add_argument(
        "--rabbitmq", type=int, default=os.environ.get("RABBITMQ") or None, help="3 or 4 (as installed)"
    )
    up = commands.add_parser("up", parents=[folder, version], help="start everything and wait until it serves")
    up.add_argument("--kafka-brokers", type=int, default=os.environ.get("KAFKA_BROKERS") or None, help="1 or 3")
    up.add_argument("--only", choices=PARTS, action="append", help="start just this part (may be given again)")
    commands.add_parser("down", parents=[folder], help="end every process of the stack and drop its data")
    status = commands.add_parser("status", parents=[folder], help="show every server")
    status.add_argument("--json", action="store_true", help="for programs")
    lacking = commands.add_parser("install", parents=[version], help="install what the system lacks; starts no service")
    lacking.add_argument("--for", dest="purpose", choices=("venv", "demo", "test"), default="demo")
    for name, text in NAMED.items():
        command = commands.add_parser(name, parents=[folder], help=text)
        command.add_argument("name", metavar="NAME", help="kafka, kafka-1, kafka-2, kafka-3, rabbitmq or aws")
        if name == "logs":
            command.add_argument("--lines", type=int, default=100, help="how many lines of the end (%(default)s)")
    return parser


NAMED = {
    "logs": "print the end of a server's log",
    "freeze": "hold a server: it keeps its connections and answers nothing",
    "thaw": "let a frozen server go on",
    "kill": "end a server as a crash does",
    "restart": "start a server again on its old data",
}


def _up(parsed: argparse.Namespace) -> int:
    began = time.monotonic()
    chosen = (parsed.kafka_brokers, parsed.rabbitmq, parsed.only)
    options = None if chosen == (None, None, None) else _options(*chosen)
    endpoints = Stack(parsed.dir, options).start(
        lambda text: print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)
    )
    print(json.dumps(endpoints.values, indent=2))
    return 0


def _options(kafka_brokers: int | None, rabbitmq: int | None, parts: Sequence[str] | None) -> Options:
    return Options(1 if kafka_brokers is None else kafka_brokers, rabbitmq, tuple(parts or PARTS))


def _down(parsed: argparse.Namespace) -> int:
    print("The stack has ended." if Stack(parsed.dir).stop() else f"No stack is up in {parsed.dir}.")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    servers = Stack(parsed.dir).status()
    if parsed.json:
        print(json.dumps([asdict(server) for server in servers], indent=2))
    else:
        for server in servers:
            pids = " ".join(map(str, server.pids))
            print(f"{server.name:<10}{server.state:<10}{server.address:<18}{pids}")
        if not servers:
            print(f"No stack is up in {parsed.dir}.")
    return 0 if servers and all(server.state == "running" for server in servers) else 1


def _logs(parsed: argparse.Namespace) -> int:
    for path in Stack(parsed.dir).logs(parsed.name):
        print(log_tail(path, parsed.lines))
    return 0


def _act(parsed: argparse.Namespace) -> int:
    stack = Stack(parsed.dir)
    {"freeze": stack.freeze, "thaw": stack.thaw, "kill": stack.kill, "restart": stack.restart}[parsed.command](
        parsed.name
    )
    print(f"{parsed.name}: {parsed.command} done.")
    return 0


def _install(parsed: argparse.Namespace) -> int:
    install(parsed.purpose, parsed.rabbitmq, lambda text: print(text, flush=True))
    return 0


COMMANDS = {
    "install": _install,
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "freeze": _act,
    "thaw": _act,
    "kill": _act,
    "restart": _act,
}

if __name__ == "__main__":
    sys.exit(main())
