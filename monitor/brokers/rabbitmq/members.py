"""The consumers of a queue, as the management API knows them."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

from monitor.brokers.rabbitmq.addresses import parse_address
from monitor.brokers.rabbitmq.client import HttpClient
from monitor.clock import Clock
from monitor.config import RabbitCluster
from monitor.errors import Forbidden
from monitor.model import Member, Subscription


def read_members(cluster: RabbitCluster, subscription: Subscription, clock: Clock, seconds: float) -> Sequence[Member]:
    """Return who consumes the queue. Raises BrokerError, also where there is no management API to ask."""
    if cluster.management_url is None:
        raise Forbidden("consumers are known to the management API alone", remedy="set management_url")
    vhost, queue = subscription.scope.get("vhost", "/"), subscription.scope["queue"]
    client = HttpClient(parse_address(cluster.management_url), clock, target="management API", tls=cluster)
    with closing(client):
        path = f"/api/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"
        told = client.get_json(path, clock.monotonic() + seconds)
    return [_member(it) for it in told.get("consumer_details", ())]


def _member(it: Mapping[str, Any]) -> Member:
    channel = it.get("channel_details") or {}
    return Member(
        name=str(it.get("consumer_tag", "")),
        client=str(channel.get("connection_name") or channel.get("name") or ""),
        host=str(channel.get("peer_host", "")),
    )
