"""What users with fewer rights see, and how everything that is wrong with an address is told."""

import secrets
import time
from collections.abc import Iterator, Sequence

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from monitor.errors import AuthenticationFailed, BrokerError, Forbidden, Unreachable
from monitor.model import Finding
from tests.integration.rabbitmq.conftest import (
    Admin,
    OpenCollector,
    as_user,
    collect,
    collect_surveyed,
    column,
    quoted,
    roles,
)

PASSWORD = secrets.token_hex(8)
RIGHTS = {"configure": "^$", "write": "^$", "read": "^$"}


@pytest.fixture(scope="module")
def ours(vhost: str, channel: BlockingChannel) -> str:
    """A virtual host with a queue and its dead-letter queue."""
    channel.queue_declare("work", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graveyard"})
    channel.queue_declare("graveyard")
    return vhost


@pytest.fixture(scope="module")
def theirs(admin: Admin) -> Iterator[str]:
    """A virtual host that the users of this module have no rights in."""
    name = admin.make_vhost()
    with admin.connect(name) as connection:
        connection.channel().queue_declare("theirs")
        yield name
    admin.delete(f"vhosts/{quoted(name)}")


@pytest.fixture(scope="module")
def users(admin: Admin, ours: str) -> Iterator[dict[str, str]]:
    """A user with each tag, by tag; each may enter our virtual host and do nothing there."""
    made = {tag: f"it-{tag or 'plain'}-{secrets.token_hex(3)}" for tag in ("", "management", "monitoring")}
    for tag, name in made.items():
        admin.put(f"users/{name}", {"password": PASSWORD, "tags": tag})
        admin.put(f"permissions/{quoted(ours)}/{name}", RIGHTS)
    yield made
    for name in made.values():
        admin.delete(f"users/{name}")


def findings(collector: object, target: str) -> list[Finding]:
    found: Sequence[Finding] = collector.check(time.monotonic() + 10)  # type: ignore[attr-defined]
    assert not any(PASSWORD in f"{finding}" for finding in found)
    return [finding for finding in found if finding.target.startswith(target)]


def test_a_user_of_one_virtual_host_sees_the_queues_there(
    admin: Admin, users: dict[str, str], ours: str, theirs: str, open_collector: OpenCollector
) -> None:
    url = as_user(admin.endpoints.management, users["management"], PASSWORD)
    snapshot = collect_surveyed(open_collector(["*"], [], management_url=url))
    assert set(column(snapshot, "messages_ready")) == {"work", "graveyard"}
    assert roles(snapshot) == {"work": "work", "graveyard": "dead_letter"}
    assert any("alarms of other nodes are hidden" in note for note in snapshot.notes)
    assert "unroutable" not in snapshot.tables  # what is counted for this user is not what happens in the cluster


def test_queues_of_other_virtual_hosts_are_seen_by_the_plugin_and_their_set_up_is_said_to_be_hidden(
    admin: Admin, users: dict[str, str], ours: str, theirs: str, open_collector: OpenCollector
) -> None:
    url = as_user(admin.endpoints.management, users["monitoring"], PASSWORD)
    snapshot = collect_surveyed(open_collector([ours, theirs], ["prometheus"], management_url=url))
    assert roles(snapshot) == {"work": "work", "graveyard": "dead_letter", "theirs": "work"}
    assert any(f"in {theirs} is hidden" in note for note in snapshot.notes)
    assert "theirs" not in {dead.scope["queue"] for dead in snapshot.dead_letters}


def test_check_says_which_virtual_hosts_and_what_else_a_user_does_not_see(
    admin: Admin, users: dict[str, str], theirs: str, open_collector: OpenCollector
) -> None:
    monitoring = as_user(admin.endpoints.management, users["monitoring"], PASSWORD)
    [hidden] = findings(open_collector(["*"], [], management_url=monitoring), "virtual hosts")
    assert (hidden.ok, hidden.required) == (False, False)
    assert theirs in hidden.message
    assert "permissions" in hidden.remedy
    management = as_user(admin.endpoints.management, users["management"], PASSWORD)
    [nodes] = findings(open_collector(["*"], [], management_url=management), "nodes")
    assert (nodes.ok, nodes.required) == (False, False)
    assert "monitoring" in nodes.remedy


def test_check_says_what_is_used_when_all_is_well(ours: str, open_collector: OpenCollector) -> None:
    found = findings(open_collector([ours]), "")
    assert all(finding.ok for finding in found)
    assert "Prometheus plugin" in found[-1].message
    # and of each source what it cannot see
    blind = [finding.message.partition("it cannot see ")[2] for finding in found if finding.target.count(" at ")]
    assert [any(word in spot for spot in blind) for word in ("set-up", "by reason", "not named")] == [True] * 3


@pytest.mark.parametrize("source", ["management", "amqp"])
def test_wrong_credentials_are_told(
    admin: Admin, users: dict[str, str], ours: str, open_collector: OpenCollector, source: str
) -> None:
    url = as_user(getattr(admin.endpoints, source), users["monitoring"], f"not-{PASSWORD}")
    [told] = [f for f in findings(open_collector([ours], [], **{f"{source}_url": url}), "") if "password" in f.message]
    assert (told.ok, told.required) == (False, True)
    assert f"{source}_url" in told.remedy


def test_a_user_who_may_not_use_the_api_is_told_so_and_not_that_the_password_is_wrong(
    admin: Admin, users: dict[str, str], ours: str, open_collector: OpenCollector
) -> None:
    collector = open_collector([ours], [], management_url=as_user(admin.endpoints.management, users[""], PASSWORD))
    with pytest.raises(Forbidden, match="Not management user"):
        collect(collector)
    [told] = findings(collector, "management API")
    assert "Not management user" in told.message


def test_a_virtual_host_that_may_not_be_entered_by_amqp_is_told(
    admin: Admin, users: dict[str, str], theirs: str, open_collector: OpenCollector
) -> None:
    url = as_user(admin.endpoints.amqp, users["monitoring"], PASSWORD).replace("%2F", quoted(theirs))
    [told] = findings(open_collector(["*"], [], amqp_url=url), "AMQP")
    assert theirs in told.message


@pytest.mark.parametrize(
    ("key", "url", "text"),
    [
        ("management_url", "http://no-such-host.invalid:15672", "does not resolve"),
        ("amqp_url", "amqp://no-such-host.invalid", "does not resolve"),
        ("prometheus_url", "http://127.0.0.1:1", "nothing listens"),
        ("amqp_url", "amqp://127.0.0.1:1", "nothing listens"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(open_collector: OpenCollector, key: str, url: str, text: str) -> None:
    told = findings(open_collector(["*"], [], **{key: url}), "")
    assert text in told[0].message
    assert not told[-1].ok


def test_ports_that_speak_something_else_are_told(admin: Admin, open_collector: OpenCollector) -> None:
    amqp, management = admin.endpoints.amqp, admin.endpoints.management
    swapped = [
        ("management_url", management.replace("http:", "https:"), "no TLS connection"),
        ("amqp_url", amqp.replace("amqp:", "amqps:"), "no TLS connection"),
        ("prometheus_url", management, "has no /metrics/detailed"),
        ("management_url", as_user(amqp.replace("amqp:", "http:"), "u", "p"), "the connection failed"),
    ]
    for key, url, text in swapped:
        told = findings(open_collector(["*"], [], **{key: url}), "")
        assert text in told[0].message, (key, told[0])


def test_amqp_alone_without_names_says_what_it_needs(ours: str, open_collector: OpenCollector) -> None:
    collector = open_collector([ours], ["amqp"])
    with pytest.raises(Unreachable, match=r"cannot list queues; name them in queues\.include"):
        collect(collector)
    assert not findings(collector, "depths")[0].ok


def test_a_cycle_with_wrong_credentials_says_so(admin: Admin, ours: str, open_collector: OpenCollector) -> None:
    url = as_user(admin.endpoints.management, "nobody", PASSWORD)
    with pytest.raises(AuthenticationFailed) as caught:
        collect(open_collector([ours], [], management_url=url))
    assert PASSWORD not in str(caught.value)
    assert isinstance(caught.value, BrokerError)


def test_wrong_credentials_for_the_set_up_do_not_cost_the_depths(
    admin: Admin, ours: str, open_collector: OpenCollector
) -> None:
    url = as_user(admin.endpoints.management, "nobody", PASSWORD)
    snapshot = collect(open_collector([ours], ["prometheus"], management_url=url))
    assert set(column(snapshot, "messages_ready")) == {"work", "graveyard"}
    assert [error.reason for error in snapshot.errors] == ["authentication"]
