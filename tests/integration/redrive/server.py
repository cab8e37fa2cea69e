"""A monitor as a process with a database of its own, that can be killed and started again."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitor.api.redrive_items import JobItem
from monitor.apiclient import ApiClient
from tests.integration.app.running import ROOT, Process, wait_until

_OPTIONS = ("--listen", "127.0.0.1:0", "--log-format", "json")
ENDED = ("completed", "completed_with_failures", "cancelled", "failed")


class Server:
    """`eventflow serve` on a free port. Every start goes on with the same database, by default one in its folder."""

    def __init__(
        self,
        folder: Path,
        clusters: str,
        environment: Mapping[str, str],
        settings: str = "",
        token: str | None = None,
        database: str | None = None,
    ) -> None:
        self._file = folder / "monitor.yml"
        about = f"database_url: {database or f'sqlite:///{folder}/eventflow.db'}\n"
        self._file.write_text(f"{about}{settings}clusters:\n{clusters}", encoding="utf-8")
        self._environment, self._token = environment, token
        self._process: Process | None = None
        self.client: ApiClient

    def start(self) -> None:
        """Start, and wait until it answers."""
        popen = subprocess.Popen(
            [sys.executable, "-m", "monitor", "serve", "--config", str(self._file), *_OPTIONS],
            cwd=ROOT,
            env={**self._environment, "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = Process(popen)
        self.client = self.client_of(self._token)

    def client_of(self, token: str | None) -> ApiClient:
        """Return a client for whoever has this token."""
        return ApiClient(self.url, token, timeout_seconds=60)

    @property
    def url(self) -> str:
        assert self._process is not None
        return self._process.url

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.popen.pid

    def metrics(self) -> str:
        assert self._process is not None
        return self._process.get("/metrics").text

    def events(self) -> list[dict[str, Any]]:
        assert self._process is not None
        return self._process.events()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end("kill")

    def stop(self) -> None:
        """End it as an operator would."""
        self._end("terminate")

    def _end(self, how: str) -> None:
        if self._process is None:
            return
        if hasattr(self, "client"):  # not where the start itself has failed
            self.client.close()
        print("".join(self._process.lines)[-20_000:])
        getattr(self._process.popen, how)()
        self._process.popen.wait(20)
        self._process.close()
        self._process = None

    def wait_for_queue(self, id_: str, messages: int | None = None) -> None:
        """Wait until the monitor has seen a dead-letter queue, with so many messages."""

        def seen() -> bool:
            found = {it["id"]: it for it in self.client.all_dead_letters()}
            return id_ in found and (messages is None or found[id_]["messages"] == messages)

        wait_until(f"{id_} is seen with {messages} messages", seen)

    def start_job(self, id_: str, **options: Any) -> JobItem:
        """Plan and start."""
        plan = self.client.plan_redrive(id_, **options)
        assert plan["blockers"] == []
        return self.client.start_redrive(plan["id"], plan["hash"])

    def wait_for_job(self, job: str, *states: str, seconds: float = 60.0) -> JobItem:
        """Wait until a job is in one of these states (by default: has ended)."""

        def there() -> JobItem | None:
            told = self.client.redrive(job)
            return told if told["state"] in (states or ENDED) else None

        found: JobItem = wait_until(f"job {job} is {states or ENDED}", there, seconds)
        return found


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start a server, and end it whatever happens."""
    try:
        server.start()
        yield server
    finally:
        server.kill()
