"""Free ports on loopback that stay one stack's own for as long as it exists."""

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from stack.cache import cache_directory, locked
from stack.errors import StackError

LOWEST_PORT = 10_000
TRIES = 2_000


def reserve_ports(names: Sequence[str], owner: Path) -> dict[str, int]:
    """Choose a free port for each name and keep other stacks of this user away from them.

    `owner` is the stack's folder: a reservation lapses with the folder, or with its next one. Ports lie
    below the range that the kernel gives to outgoing connections: a client that keeps dialling a stopped broker on a
    port of that range can meet itself (a TCP self-connect), and a broker that restarts could find its port taken.

    Raises:
        StackError: no free ports were found.
    """
    register = cache_directory() / "ports.json"
    with locked(register.with_suffix(".lock")):
        taken = {
            port: holder for port, holder in _read(register).items() if holder != str(owner) and Path(holder).exists()
        }
        chosen: dict[str, int] = {}
        for name in names:
            chosen[name] = _free_port({*taken, *chosen.values()})
        taken.update({port: str(owner) for port in chosen.values()})
        register.write_text(json.dumps({str(port): holder for port, holder in taken.items()}))
    return chosen


def _read(register: Path) -> dict[int, str]:
    try:
        return {int(port): str(holder) for port, holder in json.loads(register.read_text()).items()}
    except FileNotFoundError:
        return {}


def _free_port(taken: set[int]) -> int:
    highest = _first_ephemeral_port() - 1
    for _ in range(TRIES):
        port = random.randint(LOWEST_PORT, highest)
        if port not in taken and can_listen(port):
            return port
    raise StackError(f"There is no free port between {LOWEST_PORT} and {highest} on 127.0.0.1.")


def _first_ephemeral_port() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def can_listen(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As the brokers do it: connections of an earlier broker that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
