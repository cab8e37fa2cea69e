"""Curves and alerts, and the Prometheus and Alertmanager that may have them already."""

from typing import Annotated

from pydantic import Field

from monitor.config.section import Section
from monitor.config.values import LongInterval, SecretHttpUrl


class History(Section):
    """The curves of the last days: how long they are kept, of how many, or the Prometheus that has them anyway."""

    keep: LongInterval = 7 * 86400.0
    series: Annotated[int, Field(ge=0, le=100_000)] = 2000
    prometheus_url: SecretHttpUrl | None = None


class Alerts(Section):
    """Who evaluates the rules and who notifies, for the page of alerts; without either it tells of statuses."""

    prometheus_url: SecretHttpUrl | None = None
    alertmanager_url: SecretHttpUrl | None = None
