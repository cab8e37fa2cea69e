"""History from a real Prometheus (Debian's package), filled with what the monitor's metrics would have been."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.storage.history import Point
from monitor.storage.prometheus import PrometheusHistory
from stack.ports import reserve_ports

NOW = time.time() // 3600 * 3600 - 1800
BEGUN = int(NOW - 3600)
KINDS = {"orders": "kafka", "mail": "rabbitmq"}
SUBSCRIPTION = 'cluster="orders",destination="order events",subscriber="a/\\"b\\"",system="kafka"'
QUEUE = 'cluster="mail",destination="shop/q",subscriber="shop/q",system="rabbitmq"'
DEAD = 'cluster="mail",queue="shop/dead",system="rabbitmq"'


def samples() -> Iterator[str]:
    """A scrape every 30 s for 20 minutes, as OpenMetrics; a family's samples stand together."""
    scrapes = [(BEGUN + 30 * number, number) for number in range(40)]
    for name, value in (
        ("subscription_backlog_messages", lambda number: 100 + number),
        ("subscription_oldest_age_seconds", lambda number: 40 - number),
        ("subscription_consumers", lambda number: 2),
    ):
        yield f"# TYPE eventflow_{name} gauge"
        for at, number in scrapes:
            yield f"eventflow_{name}{{{SUBSCRIPTION}}} {value(number)} {at}"
        if name == "subscription_backlog_messages":
            yield from (f"eventflow_{name}{{{QUEUE}}} 7 {at}" for at, _ in scrapes)
    yield "# TYPE eventflow_subscription_published_messages counter"
    for at, number in scrapes:
        yield f"eventflow_subscription_published_messages_total{{{SUBSCRIPTION}}} {300 * number} {at}"
    yield "# TYPE eventflow_subscription_status gauge"
    for at, number in scrapes:
        stopped = 10 <= number < 12
        yield f'eventflow_subscription_status{{{SUBSCRIPTION},status="stopped"}} {int(stopped)} {at}'
        yield f'eventflow_subscription_status{{{SUBSCRIPTION},status="ok"}} {int(not stopped)} {at}'
    yield "# TYPE eventflow_dead_letter_messages gauge"
    yield from (f"eventflow_dead_letter_messages{{{DEAD}}} 3 {at}" for at, _ in scrapes)
    yield "# EOF"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    port = reserve_ports(["prometheus"], folder)["prometheus"]
    (folder / "samples").write_text("\n".join(samples()) + "\n", encoding="utf-8")
    (folder / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    _run("promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples"), str(folder / "data"))
    command = [
        _find("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(url, process, folder / "log")
            yield url
        finally:
            process.terminate()


def _find(program: str) -> str:
    found = shutil.which(program)
    assert found, f"{program} is not installed"
    return found


def _run(program: str, *arguments: str) -> None:
    subprocess.run([_find(program), *arguments], check=True, capture_output=True)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus is not ready: {log.read_text(encoding='utf-8')[-2000:]}")


def history(url: str) -> PrometheusHistory:
    return PrometheusHistory(url, KINDS, Clock())


def test_a_curve_is_told_in_the_same_shape_with_gaps_as_null(prometheus: str) -> None:
    with closing(history(prometheus)) as curves:
        curve = curves.read("subscription:orders/a%2F%22b%22/order%20events", BEGUN - 600, NOW, 300)
    assert curve.step_seconds == 300
    by_time = {it.at: it for it in curve.points}
    assert sorted(by_time) == list(range(BEGUN - 600, int(NOW), 300))
    assert by_time[BEGUN - 600] == Point(BEGUN - 600)
    # From the eleventh to the twentieth scrape; a window reaches its end and, before Prometheus 3, its beginning too.
    point = by_time[BEGUN + 300]
    assert point.messages in (119, 120)
    assert point.oldest_age_seconds in (29, 30)
    assert (point.consumers, point.status, point.consumed_per_second) == (2, "stopped", None)
    assert point.published_per_second == pytest.approx(10.0)
    assert by_time[BEGUN + 600].status == "ok"
    assert by_time[BEGUN + 1800] == Point(BEGUN + 1800)


def test_queues_are_found_by_their_ids_too(prometheus: str) -> None:
    with closing(history(prometheus)) as curves:
        curve = curves.read("subscription:mail/shop/q", BEGUN, BEGUN + 600, 300)
        assert [it.messages for it in curve.points] == [7, 7]
        dead = curves.read("dead_letters:mail/shop/dead", BEGUN, BEGUN + 600, None)
        assert {it.messages for it in dead.points} == {3}
        assert dead.step_seconds == 60
        unknown = curves.read("subscription:mail/other", BEGUN, BEGUN + 600, 300)
        assert unknown.points == [Point(BEGUN), Point(BEGUN + 300)]


def test_chosen_values_and_the_sums_of_a_cluster_are_told_too(prometheus: str) -> None:
    with closing(PrometheusHistory(prometheus, KINDS, Clock())) as history:
        both = ["cluster:mail", "dead_letters:mail/shop/dead"]
        found = history.read_many(both, BEGUN + 300, BEGUN + 360, 60, ["messages"])
        assert [point.messages for curve in found.values() for point in curve.points] == [7, 3]
        (point,) = history.read("cluster:orders", BEGUN + 300, BEGUN + 360, 60).points
        assert (point.messages, point.status, point.consumers) == (112, "stopped", 2)


def test_a_prometheus_that_is_away_is_told_without_its_address() -> None:
    with closing(history("http://user:geheim@127.0.0.1:1")) as curves, pytest.raises(StorageError) as raised:
        curves.read("subscription:mail/q", BEGUN, BEGUN + 600, 300)
    assert str(raised.value) == "Prometheus (history.prometheus_url) cannot be read: ConnectError"


def test_what_answers_and_is_no_prometheus_is_told() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    with pytest.raises(StorageError, match="JSONDecodeError"):
        PrometheusHistory("http://x", KINDS, Clock(), page).read("subscription:mail/q", BEGUN, BEGUN + 60, None)
