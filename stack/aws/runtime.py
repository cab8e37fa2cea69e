"""LocalStack's runtime with what it lacks for us: loopback alone, a feeder, look-ups that are exact and quick.

Runs in LocalStack's own environment, as the process that serves. It reaches into version 4.12.0, which the lock file
pins, so each place that it changes says what is there.
"""

import importlib
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any

from stack.aws.feeder import Feeder


def listen_on_loopback() -> None:
    """Give Twisted's IPv4 endpoint the address.

    The runtime hands it the port of GATEWAY_LISTEN and drops the host, so that it would listen everywhere.
    """
    endpoints: Any = importlib.import_module("twisted.internet.endpoints")
    endpoints.TCP4ServerEndpoint = partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")


def look_metrics_up_by_series() -> None:
    """Let GetMetricData find just the series that it is asked for, in one query, by an index.

    As it is, it looks dimensions up by LIKE '%QueueName=orders%', so `orders` gets what belongs to `orders-dlq` too;
    and it reads every datapoint of the metric, of all queues and times, once for each period: a thousand series of a
    quarter of an hour take a quarter of a minute.
    """
    helper: Any = importlib.import_module("localstack.services.cloudwatch.cloudwatch_database_helper")
    database = helper.CloudwatchDatabase
    make = database.__init__

    def make_with_index(self: Any) -> None:
        make(self)
        with self.DATABASE_LOCK, closing(sqlite3.connect(self.METRICS_DB)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for table in ("SINGLE_METRICS", "AGGREGATED_METRICS"):
                columns = "metric_name, namespace, dimensions, timestamp"
                connection.execute(f"CREATE INDEX IF NOT EXISTS series_{table} ON {table} ({columns})")

    database.__init__ = make_with_index
    database.get_metric_data_stat = read_series


SERIES = """
    metric_name = :name AND namespace = :namespace AND dimensions IS :dimensions
    AND timestamp >= :start AND timestamp < :end
    AND account_id = :account AND region = :region AND (:unit IS NULL OR unit = :unit)
"""
# What was put as single values, and what was put as statistics; the shape of both tables is LocalStack's.
PERIODS_QUERY = f"""
    SELECT CAST((timestamp - :start) / :period AS INTEGER) AS number,
           SUM(samples), SUM(total), MIN(smallest), MAX(largest)
    FROM (
        SELECT timestamp, 1 AS samples, value AS total, value AS smallest, value AS largest
        FROM SINGLE_METRICS WHERE {SERIES}
        UNION ALL
        SELECT timestamp, sample_count, sum, min, max
        FROM AGGREGATED_METRICS WHERE {SERIES}
    )
    GROUP BY number ORDER BY number
"""


def read_series(
    self: Any, account_id: str, region: str, query: Any, start_time: datetime, end_time: datetime, scan_by: str | None
) -> Mapping[str, Sequence[float]]:
    """Give the timestamps and values of one series: a pair for each period in which there is something."""
    wanted, metric = query["MetricStat"], query["MetricStat"]["Metric"]
    start, period = int(start_time.timestamp()), wanted["Period"]
    values = {
        "name": metric["MetricName"],
        "namespace": metric["Namespace"],
        "dimensions": self._get_ordered_dimensions_with_separator(metric.get("Dimensions")),
        "start": start,
        "end": int(end_time.timestamp()),
        "period": period,
        "account": account_id,
        "region": region,
        "unit": wanted.get("Unit"),
    }
    with self.DATABASE_LOCK, closing(sqlite3.connect(self.METRICS_DB_READ_ONLY, uri=True)) as connection:
        rows = connection.execute(PERIODS_QUERY, values).fetchall()
    if scan_by in (None, "TimestampDescending"):
        rows.reverse()
    return {
        "timestamps": [start + number * period for number, *_ in rows],
        "values": [_statistic(wanted["Stat"], *statistics) for _, *statistics in rows],
    }


def _statistic(name: str, samples: float, total: float, smallest: float, largest: float) -> float:
    statistics = {
        "Sum": total,
        "Average": total / samples,
        "Minimum": smallest,
        "Maximum": largest,
        "SampleCount": samples,
    }
    return statistics[name]


if __name__ == "__main__":
    listen_on_loopback()
    look_metrics_up_by_series()
    Feeder().start()
    sys.exit(importlib.import_module("localstack.runtime.main").main())
