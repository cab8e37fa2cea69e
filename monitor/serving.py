"""The running monitor: where it listens, how it is told to read its configuration again, and how it ends."""

import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from queue import SimpleQueue
from types import FrameType

import uvicorn
from fastapi import FastAPI

from monitor.allocator import return_freed_memory
from monitor.app import Monitor
from monitor.clock import Clock
from monitor.collecting.outcome import attempt
from monitor.config import Configuration, split_address
from monitor.errors import EventflowError, StorageError
from monitor.storage.database import Database

Loader = Callable[[], Configuration]

_LOG = logging.getLogger(__name__)
_ANSWERS_FINISHED_WITHIN_SECONDS = 1
_KEPT_ALIVE_SECONDS = 75  # longer than a scrape interval, so that Prometheus keeps its connection
_BACKLOG = 128


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals to the app: its own handlers would raise them again after the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(load: Loader, clock: Clock) -> None:
    """Watch and answer until SIGTERM or SIGINT, then end within five seconds, whatever hangs.

    `load` reads the configuration: now, and again at every SIGHUP. To be called from the main thread. Raises
    EventflowError when the configuration is wrong, the address cannot be listened on, or the database cannot be used.
    """
    return_freed_memory()
    configuration = load()
    with open_listener(configuration.server.listen) as listener, closing(_open_database(configuration)) as database:
        monitor = Monitor(configuration, database, clock, address=address_of(listener))
        server = _QuietServer(_server_settings(monitor.make_app()))
        with _obeying_signals(server, Reloads(load, configuration, monitor)):
            monitor.start()
            try:
                _LOG.info("listening on %s", address_of(listener), extra={"clusters": len(configuration.clusters)})
                server.run(sockets=[listener])
            finally:
                monitor.stop()
    _LOG.info("ended")


class Reloads:
    """Reads the configuration again when asked, in a thread of its own; a wrong one changes nothing."""

    def __init__(self, load: Loader, configuration: Configuration, monitor: Monitor) -> None:
        self._load, self._started_with, self._monitor = load, configuration, monitor
        self._asked: SimpleQueue[bool] = SimpleQueue()  # whose `put` a signal handler may call
        self._thread = threading.Thread(target=self._run, name="reloads", daemon=True)

    def start(self) -> None:
        """Begin to wait for being asked."""
        self._thread.start()

    def ask(self) -> None:
        """Have the configuration read again; returns at once."""
        self._asked.put(True)

    def stop(self) -> None:
        """Be asked no more."""
        self._asked.put(False)

    def _run(self) -> None:
        while self._asked.get():
            error = attempt(self._reload).error
            if error:
                _LOG.error("the configuration was read again and refused; the one before stays: %s", error)
            self._monitor.tell_reload(successful=error is None)

    def _reload(self) -> None:
        configuration = self._load()
        self._monitor.reconfigure(configuration)
        _LOG.info("the configuration was read again", extra={"clusters": len(configuration.clusters)})
        for key in _unchangeable(self._started_with, configuration):
            _LOG.warning("%s has changed, which takes effect at the next start", key)


def _unchangeable(before: Configuration, now: Configuration) -> list[str]:
    """Return the keys that differ and are looked at once, at the start."""
    pairs = {
        "server.listen": (before.server.listen, now.server.listen),
        "database_url": (before.database_url, now.database_url),
        "history": (before.history, now.history),
    }
    return [key for key, (old, new) in pairs.items() if old != new]


def _open_database(configuration: Configuration) -> Database:
    try:
        return Database.open(configuration.database_url.get_secret_value())
    except StorageError as error:
        raise StorageError(f"{error}; see database_url in the configuration") from error


def _server_settings(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # believed, they would let anybody on this machine say who asks
        timeout_keep_alive=_KEPT_ALIVE_SECONDS,
        timeout_graceful_shutdown=_ANSWERS_FINISHED_WITHIN_SECONDS,
    )


@contextmanager
def _obeying_signals(server: uvicorn.Server, reloads: Reloads) -> Iterator[None]:
    """Make SIGTERM and SIGINT end the server, which looks ten times a second, and SIGHUP ask for a reload."""

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    def reload(number: int, frame: FrameType | None) -> None:
        reloads.ask()

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    reloads.start()
    try:
        yield
    finally:
        reloads.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def open_listener(address: str) -> socket.socket:
    """Return a socket that listens on `host:port`. Raises EventflowError with a sentence that says what to do."""
    host, port = split_address(address)
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # With the protocol named, asyncio switches off the delay that holds back the end of a short answer for 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise EventflowError(f"cannot listen on {address}: {error.strerror}; choose another by --listen") from error
    try:
        # A monitor that has just ended leaves connections behind that would keep its successor from the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise EventflowError(f"cannot listen on {address}: {_why(error)}; choose another by --listen") from error
    return listener


def _why(error: OSError) -> str:
    return "another program listens there" if error.errno == errno.EADDRINUSE else str(error.strerror)


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
