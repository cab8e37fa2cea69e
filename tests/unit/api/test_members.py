"""`/api/v1/subscriptions/{id}/members`; real brokers are asked in tests/integration/app."""

from collections.abc import Sequence

from monitor.api.application import make_api
from monitor.api.members import make_member_router
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.errors import TimedOut
from monitor.model import Member, Subscription
from tests.unit.api.builders import NOW, Api, subscription, view


def api_over(found: Sequence[Member] | TimedOut | None) -> Api:
    api = Api([view([subscription("a/b")])])

    def read(it: Subscription) -> Sequence[Member] | None:
        assert it.subscriber == "a/b-group"
        if isinstance(found, TimedOut):
            raise found
        return found

    sources = Sources(lambda: api.views, api.page.page, api.page.series, Clock(now=lambda: NOW))
    api.app = make_api(sources, lambda: api.server, [make_member_router(sources, read)])
    return api


def test_who_consumes_is_told_with_what_each_owns() -> None:
    api = api_over([Member("m-1", "client", "10.0.0.1", ("0", "3"), 2)])
    told = {"name": "m-1", "client": "client", "host": "10.0.0.1", "owns": ["0", "3"], "owns_elsewhere": 2}
    for path in ("orders/a%2Fb-group/a%2Fb", "orders%2Fa%252Fb-group%2Fa%252Fb"):
        assert api.get(f"subscriptions/{path}/members").json() == {"items": [told], "known": True}


def test_a_bus_that_does_not_tell_is_not_one_without_consumers() -> None:
    path = "subscriptions/orders/a%2Fb-group/a%2Fb/members"
    assert api_over(None).get(path).json() == {"items": [], "known": False}
    assert api_over([]).get(path).json() == {"items": [], "known": True}


def test_a_broker_that_does_not_answer_is_told() -> None:
    answer = api_over(TimedOut("no answer", target="orders")).get("subscriptions/orders/a%2Fb-group/a%2Fb/members")
    assert (answer.status_code, answer.json()["type"]) == (502, "urn:eventflow:problem:broker-failed")
    assert api_over([]).get("subscriptions/orders/none/members").status_code == 404
