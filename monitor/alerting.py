"""Alerts as Prometheus and Alertmanager tell them, and silences, by their HTTP APIs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from monitor.errors import AlertingFailed, NotFound

_TIMEOUT_SECONDS = 5.0
PENDING, FIRING, SILENCED = "pending", "firing", "silenced"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: its labels and annotations, since when, and the silences that hold it back. `state` is one of three."""

    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: float | None = None
    silences: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its rule."""
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Silence:
    """What is not to be notified of until a moment: alerts whose labels match. `matchers` are as people write them."""

    id: str
    matchers: tuple[str, ...]
    reason: str
    actor: str
    since: float | None
    until: float | None


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that evaluates the rules. Raises AlertingFailed."""

    url: str
    http: httpx.Client = field(repr=False)

    def alerts(self) -> list[Alert]:
        """Return what fires and what is pending."""
        body = _ask(self.http, "GET", f"{self.url.rstrip('/')}/api/v1/alerts", "Prometheus")
        try:
            return [
                Alert(it["state"], it["labels"], it["annotations"], _moment(it.get("activeAt")))
                for it in body["data"]["alerts"]
            ]
        except (KeyError, TypeError) as error:
            raise AlertingFailed("what answers as Prometheus (alerts.prometheus_url) is none") from error


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager, by version 2 of its API. Raises AlertingFailed."""

    url: str
    http: httpx.Client = field(repr=False)

    def alerts(self) -> list[Alert]:
        """Return what fires, and what is held back by a silence or by another alert."""
        try:
            return [
                Alert(
                    FIRING if it["status"]["state"] != "suppressed" else SILENCED,
                    it["labels"],
                    it["annotations"],
                    _moment(it["startsAt"]),
                    tuple(it["status"]["silencedBy"]),
                )
                for it in self._ask("GET", "alerts")
            ]
        except (KeyError, TypeError) as error:
            raise AlertingFailed("what answers as Alertmanager (alerts.alertmanager_url) is none") from error

    def silences(self) -> list[Silence]:
        """Return the silences that hold now or will."""
        try:
            return [_silence(it) for it in self._ask("GET", "silences") if it["status"]["state"] != "expired"]
        except (KeyError, TypeError) as error:
            raise AlertingFailed("what answers as Alertmanager (alerts.alertmanager_url) is none") from error

    def silence(self, labels: Mapping[str, str], reason: str, actor: str, since: float, until: float) -> str:
        """Hold back what carries all of these labels, and return the number of the silence."""
        matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()]
        begins, ends = (datetime.fromtimestamp(at, UTC).isoformat() for at in (since, until))
        asked = {"matchers": matchers, "startsAt": begins, "endsAt": ends, "createdBy": actor, "comment": reason}
        body = self._ask("POST", "silences", asked)
        return str(body["silenceID"])

    def end_silence(self, number: str) -> None:
        """End a silence before its time. Raises NotFound."""
        if number not in {it.id for it in self.silences()}:
            raise NotFound(f"there is no silence {number}; it may have ended by itself")
        self._ask("DELETE", f"silence/{number}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return _ask(self.http, method, f"{self.url.rstrip('/')}/api/v2/{path}", "Alertmanager", body)


def make_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return the connections that both are asked over. No proxy of the environment gets to see them."""
    return httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False, transport=transport)


def _ask(http: httpx.Client, method: str, url: str, whom: str, body: object = None) -> Any:
    # Addresses may carry a password, so that errors name the key of the configuration instead.
    key = f"alerts.{whom.lower()}_url"
    try:
        answer = http.request(method, url, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AlertingFailed(f"{whom} ({key}) cannot be asked: {type(error).__name__}") from error
    if not answer.is_success:
        raise AlertingFailed(f"{whom} ({key}) refused with status {answer.status_code}")
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise AlertingFailed(f"what answers as {whom} ({key}) is none") from error


def _silence(it: Mapping[str, Any]) -> Silence:
    return Silence(
        it["id"],
        tuple(_say_matcher(matcher) for matcher in it["matchers"]),
        it["comment"],
        it["createdBy"],
        _moment(it["startsAt"]),
        _moment(it["endsAt"]),
    )


def _say_matcher(matcher: Mapping[str, Any]) -> str:
    sign = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    return f"{matcher['name']}{sign[matcher.get('isEqual', True), matcher['isRegex']]}{matcher['value']}"


def _moment(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def joined(firing: Sequence[Alert], evaluated: Sequence[Alert]) -> list[Alert]:
    """Return what Alertmanager tells together with what is pending in Prometheus, which Alertmanager never hears of."""
    return [*firing, *(it for it in evaluated if it.state == PENDING)]
