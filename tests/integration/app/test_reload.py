"""The configuration read again by SIGHUP: what has not changed goes on, what is wrong changes nothing."""

import signal
from pathlib import Path

from stack.state import Endpoints
from tests.integration.app.running import Process, serving, wait_until

TOKEN = "0" * 63
TWO = """
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{aws}", interval: 1s, cloudwatch: {{enabled: false}}}}
"""
OTHERS = """
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s}}
  - {{name: mail, kind: rabbitmq, management_url: "{mail}", interval: 1s}}
"""


def written(monitor: Process, folder: Path, text: str, endpoints: Endpoints) -> None:
    """Put another configuration in the place of the one that the monitor reads, and ask for it to be read."""
    own = f"database_url: sqlite:///{folder}/eventflow.db\n"
    given = text.format(kafka=endpoints.kafka, aws=endpoints.aws, mail=endpoints.rabbitmq.management)
    (folder / "monitor.yml").write_text(own + given, encoding="utf-8")
    monitor.popen.send_signal(signal.SIGHUP)


def value(monitor: Process, series: str) -> float | None:
    lines = monitor.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith(f"eventflow_{series} ")]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_what_stays_goes_on_without_a_gap_what_goes_is_gone_and_what_comes_is_read(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    first = TWO.format(kafka=endpoints.kafka, aws=endpoints.aws)
    with serving(tmp_path, first) as monitor:
        monitor.wait_until_ready()
        cycles = 'collector_duration_seconds_count{cluster="orders",system="kafka"}'
        before = wait_until("two cycles", lambda: (value(monitor, cycles) or 0) >= 2 and value(monitor, cycles))
        written(monitor, tmp_path, OTHERS, endpoints)

        def taken_over() -> bool:
            up = value(monitor, 'collector_up{cluster="orders",system="kafka"}')
            assert up == 1.0, "the cluster that stays has a gap"
            return value(monitor, 'collector_up{cluster="mail",system="rabbitmq"}') == 1.0

        wait_until("the new cluster is read", taken_over)
        assert 'cluster="aws"' not in monitor.get("/metrics").text
        assert monitor.wait_until_ready()["ok"] == ["orders", "mail"]
        assert (value(monitor, cycles) or 0) >= before  # the counter was not begun anew
        assert value(monitor, "config_last_reload_successful") == 1.0


def test_a_wrong_one_is_refused_and_the_one_before_stays_in_use(endpoints: Endpoints, tmp_path: Path) -> None:
    with serving(tmp_path, TWO.format(kafka=endpoints.kafka, aws=endpoints.aws)) as monitor:
        monitor.wait_until_ready()
        read_at = value(monitor, "config_last_reload_success_timestamp_seconds")
        written(monitor, tmp_path, "clusterz: []\n", endpoints)
        wait_until("it is refused", lambda: value(monitor, "config_last_reload_successful") == 0.0)
        assert value(monitor, "config_last_reload_success_timestamp_seconds") == read_at
        (refused,) = [it["message"] for it in monitor.events() if it["level"] == "error"]
        assert "clusterz: unknown key" in refused
        assert monitor.wait_until_ready()["ok"] == ["orders", "aws"]
        written(monitor, tmp_path, TWO, endpoints)
        wait_until("the mended one is taken", lambda: value(monitor, "config_last_reload_successful") == 1.0)


def test_tokens_hold_from_the_reload_on(endpoints: Endpoints, tmp_path: Path) -> None:
    with serving(tmp_path, TWO.format(kafka=endpoints.kafka, aws=endpoints.aws)) as monitor:
        assert monitor.get("/api/v1/collectors").status_code == 200
        guarded = TWO + f'server: {{{{tokens: [{{{{name: a, role: viewer, sha256: "{TOKEN}1"}}}}]}}}}\n'
        written(monitor, tmp_path, guarded, endpoints)
        wait_until("a token is asked for", lambda: monitor.get("/api/v1/collectors").status_code == 401)
