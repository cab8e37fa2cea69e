"""Views filled by hand, and an API over them that is asked without a network."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from monitor.api.application import make_api
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.config import Server, Token, hash_token
from monitor.exposition.choice import Choice
from monitor.exposition.page import MetricsPage
from monitor.model import (
    ClusterView,
    DeadLetterQueue,
    FoundBy,
    Health,
    Mute,
    Snapshot,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
    encode_id,
)

NOW = 1_700_000_000.0
BASE_URL = "http://127.0.0.1:9610"


def subscription(name: str, cluster: str = "orders", **fields: Any) -> Subscription:
    """A group that reads a topic of its own name."""
    group = f"{name}-group"
    given = {"scope": {"group": group, "topic": name}, "destination": name, "subscriber": group, **fields}
    return Subscription(encode_id(cluster, group, name), System.KAFKA, cluster, **given)


def dead_letters(queue: str, cluster: str = "orders", **fields: Any) -> DeadLetterQueue:
    given = {"found_by": FoundBy.NAME, "scope": {"topic": queue}, **fields}
    return DeadLetterQueue(encode_id(cluster, queue), System.KAFKA, cluster, queue, **given)


def verdict(status: Status = Status.OK, **fields: Any) -> Verdict:
    return Verdict(status, **{"reason": "as told", "since": NOW - 60, **fields})


def view(
    subscriptions: Sequence[Subscription | tuple[Subscription, Verdict]] = (),
    dead: Sequence[DeadLetterQueue] = (),
    tables: Mapping[str, Table] | None = None,
    **health: Any,
) -> ClusterView:
    """The view of a cluster that was read ten seconds ago."""
    cluster = health.pop("cluster", "orders")
    kind = health.pop("kind", "kafka")
    pairs = [it if isinstance(it, tuple) else (it, verdict()) for it in subscriptions]
    subjects, verdicts = tuple(it for it, _ in pairs), tuple(it for _, it in pairs)
    snapshot = Snapshot(
        cluster, kind, NOW - 10, 0.5, subjects, tuple(dead), tables or {}, expected=4, measured=4, notes=("by hand",)
    )
    return ClusterView(Health(cluster, kind, 15.0, **{"up": True, **health}), snapshot, verdicts)


def blind_view(cluster: str = "orders", **health: Any) -> ClusterView:
    """The view of a cluster of which nothing is known now."""
    return ClusterView(Health(cluster, "kafka", 15.0, **health))


@dataclass
class Api:
    """The app over `views`, which a test may change between two calls."""

    views: list[ClusterView] = field(default_factory=list)
    server: Server = field(default_factory=Server)
    mute_of: Callable[[str], Mute | None] = lambda _: None
    most_series: int | None = None

    def __post_init__(self) -> None:
        self.page = MetricsPage("1.2.3", choice_of=lambda _: Choice(most=self.most_series))
        clock = Clock(now=lambda: NOW)
        page = self.page
        mute_of = lambda id_: self.mute_of(id_)  # noqa: E731 - looked up anew each time
        sources = Sources(lambda: self.views, page.page, page.series, clock, mute_of, page.dropped)
        self.app = make_api(sources, lambda: self.server)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        # What fails inside is answered as it would be over the network, instead of raised here.
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            return await client.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", f"/api/v1/{path}", **more)

    def ids(self, path: str, **parameters: Any) -> list[str]:
        answer = self.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]


class AppTransport(httpx.BaseTransport):
    """Hands the requests of a synchronous client to the app."""

    def __init__(self, api: Api) -> None:
        self._api, self.asked = api, []  # type: tuple[Api, list[httpx.Request]]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._api.ask(request.method, str(request.url), headers=dict(request.headers), content=request.read())
        return httpx.Response(answer.status_code, headers={"content-type": answer.headers["content-type"]},
                              content=answer.content)  # fmt: skip


def pages(api: Api, path: str, **parameters: Any) -> Iterable[dict[str, Any]]:
    """All pages of a list, by following `next`."""
    cursor = None
    for _ in range(1000):
        answer = api.get(path, params={**parameters, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        yield answer.json()
        cursor = answer.json()["next"]
        if cursor is None:
            return
    raise AssertionError("the list does not end")


def guarded(**fields: Any) -> Server:
    """A server with a token of each role; each token is the name of its role."""
    tokens = [Token(name=f"the {role}", role=role, sha256=hash_token(role)) for role in ("viewer", "operator", "admin")]
    return Server(tokens=tokens, **fields)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
