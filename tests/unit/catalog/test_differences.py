"""Truth against catalog, the draft from what is seen, and the graph."""

import json
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from monitor.api.application import make_api
from monitor.api.catalog import make_catalog_router
from monitor.api.catalog_telling import catalog_item
from monitor.api.sources import Sources
from monitor.apiclient import ApiClient
from monitor.catalog.differences import Differences, find_differences
from monitor.catalog.drafts import draft_as_yaml
from monitor.catalog.graphs import Style, draw
from monitor.catalog.model import DifferenceKind
from monitor.cli.commands import app
from monitor.clock import Clock
from monitor.exposition.page import MetricsPage
from monitor.model import ClusterView, FoundBy, Role, Subscription, System, Table
from tests.unit.api.builders import NOW, Api, AppTransport, blind_view, dead_letters, subscription, view
from tests.unit.catalog.documents import PLAIN, change, read


def queue_of(system: System, name: str, cluster: str = "orders", **more: Any) -> Subscription:
    return replace(subscription(name, cluster, subscriber=name, consumers=1, **more), system=system)


RECEIVING = (
    PLAIN.replace(
        "components:",
        """\
  receiveOrders:
    action: receive
    x-service: mailing
    channel: {$ref: "#/channels/orders"}
    bindings: {kafka: {groupId: {type: string, enum: [orders-group]}}}
components:""",
    )
)  # fmt: skip
CALM = [view([subscription("orders")])]


def found(text: str, views: list[ClusterView]) -> list[tuple[str, str]]:
    return [(it.kind, it.text) for it in find_differences(read(text), views).items]


def test_nothing_differs_where_all_is_written_down_and_seen() -> None:
    assert find_differences(read(RECEIVING), CALM) == Differences((), ())


def test_what_parameters_and_a_pattern_of_groups_mean_is_written_down() -> None:
    address = 'address: "{shop}orders"\n    parameters: {shop: {default: ""}}'
    text = change("enum: [orders-group]", 'pattern: ".*orders-group"', change("address: orders", address, RECEIVING))
    assert found(text, [view([subscription("orders"), subscription("other-orders")])]) == []
    assert found(text, [view([subscription("other-orders")])]) == []
    assert [kind for kind, _ in found(text, [view()])] == [DifferenceKind.DESTINATION_NOT_SEEN]


def test_a_destination_in_no_channel_is_told_with_its_readers() -> None:
    views = [view([subscription("orders"), subscription("parcels")])]
    told = "parcels is seen, read by parcels-group, and in no channel of the catalog"
    assert found(RECEIVING, views) == [(DifferenceKind.DESTINATION_NOT_WRITTEN, told)]


def test_a_topic_without_any_group_is_seen_as_well() -> None:
    topics = Table.of_rows(("topic",), [("orders",), ("lonely",), ("__consumer_offsets",), ("eventflow.probe",)], {})
    kinds = found(RECEIVING, [view([subscription("orders")], tables={"topics": topics})])
    assert kinds == [(DifferenceKind.DESTINATION_NOT_WRITTEN, "lonely is seen, and in no channel of the catalog")]


def test_dead_letter_and_retry_queues_need_not_be_written_down() -> None:
    retry = subscription("orders-retry", role=Role.RETRY)
    dead = dead_letters("orders.dlq", messages=3.0, found_by=FoundBy.NAME)
    reader_of_dead = subscription("orders.dlq")
    assert found(RECEIVING, [view([subscription("orders"), retry, reader_of_dead], [dead])]) == []


def test_a_group_that_no_operation_names_is_told() -> None:
    views = [view([subscription("orders"), subscription("orders", subscriber="spy")])]
    told = "spy reads orders, and no operation of the catalog says so"
    assert found(RECEIVING, views) == [(DifferenceKind.CONSUMER_NOT_WRITTEN, told)]


def test_groups_of_the_product_itself_need_not_be_written_down() -> None:
    views = [view([subscription("orders"), subscription("orders", subscriber="eventflow.redrive.x")])]
    assert found(RECEIVING, views) == []


def test_a_queue_that_somebody_reads_and_nobody_is_written_to_is_told() -> None:
    text = change("protocol: kafka", "protocol: amqp")
    queue = queue_of(System.RABBITMQ, "orders")
    assert (
        DifferenceKind.CONSUMER_NOT_WRITTEN,
        "somebody reads orders, and no operation of the catalog says who",
    ) in found(text, [view([queue], kind="rabbitmq")])


def test_what_is_written_down_and_not_there_is_told() -> None:
    told = "orders is written down as orders, and is not seen in orders"
    assert found(RECEIVING, [view()]) == [(DifferenceKind.DESTINATION_NOT_SEEN, told)]
    other_group = [view([subscription("orders", subscriber="spy")])]
    told = "orders-group of mailing is written down as a reader of orders, and not seen"
    assert (DifferenceKind.CONSUMER_NOT_SEEN, told) in found(RECEIVING, other_group)


def test_an_event_that_is_sent_and_received_by_nobody_is_told() -> None:
    kinds = found(PLAIN, [view([subscription("orders")])])
    assert (DifferenceKind.EVENT_NOT_CONSUMED, "checkout sends Ordered, and nobody receives it") in kinds


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("{type: object, required: [id], properties: {id: {type: string}}}", "it reads the new one as that"),
        ("{type: object, required: [id], properties: {id: {type: integer}}}", "it cannot read the new one"),
        ("{allOf: [{type: object}]}", "whether it can read the new one cannot be told from the schemas"),
    ],
)
def test_a_version_that_a_consumer_does_not_list_is_told(new: str, told: str) -> None:
    second = f"    Ordered.v2: {{payload: {new}}}\n  schemas:"
    text = change("  schemas:", second, RECEIVING).replace(
        '      Ordered.v1: {$ref: "#/components/messages/Ordered.v1"}',
        '      Ordered.v1: {$ref: "#/components/messages/Ordered.v1"}\n'
        '      Ordered.v2: {$ref: "#/components/messages/Ordered.v2"}',
    )
    text = text.replace(
        "    bindings: {kafka", '    messages: [{$ref: "#/channels/orders/messages/Ordered.v1"}]\n    bindings: {kafka'
    )
    expected = f"checkout sends Ordered 2, and mailing knows 1: {told}"
    assert found(text, CALM) == [(DifferenceKind.SCHEMA_NOT_KNOWN, expected)]


def test_of_a_cluster_that_cannot_be_read_nothing_is_said() -> None:
    differences = find_differences(read(RECEIVING), [blind_view()])
    assert differences.items == ()
    assert [(it.cluster, it.reason) for it in differences.not_judged] == [("orders", "it cannot be read now")]


def test_a_cluster_that_is_not_configured_is_told() -> None:
    differences = find_differences(read(RECEIVING), [view(cluster="mail")])
    assert ("orders", "no cluster of this name is configured") in [
        (it.cluster, it.reason) for it in differences.not_judged
    ]


def test_a_draft_is_a_catalog_from_which_nothing_differs() -> None:
    queue = queue_of(System.RABBITMQ, "shop/mails", "mail", scope={"vhost": "shop", "queue": "mails"})
    sqs = queue_of(System.SQS, "Jobs", "aws")
    rabbit = view([queue], cluster="mail", kind="rabbitmq")
    aws = view([sqs], cluster="aws", kind="aws", tables={"topics": Table.of_rows(("topic",), [("Alarms",)], {})})
    views = [view([subscription("orders"), subscription("a b/ü")]), rabbit, aws]
    drafted = read(draft_as_yaml(views))
    assert find_differences(drafted, views) == Differences((), ())
    assert {it.service for it in drafted.operations} == {"orders", "a b/ü", "shop/mails", "Jobs"}


def test_a_graph_shows_who_sends_what_where() -> None:
    graph = draw(read(RECEIVING), Style.MERMAID)
    assert graph.splitlines()[0] == "flowchart LR"
    assert '  s0 -->|"Ordered 1"| c0' in graph.splitlines()
    assert '  c0 -->|"Ordered 1"| s1' in graph.splitlines()
    assert 's0 -> c0 [label="Ordered 1"];' in draw(read(RECEIVING), Style.DOT)


def test_names_in_a_graph_are_texts_whatever_they_hold() -> None:
    text = change("x-service: checkout", 'x-service: \'"] --> evil; click x "javascript:1" \\N <b>\'')
    assert '"] -->' not in draw(read(text), Style.MERMAID)
    assert '\\"] --> evil; click x \\"javascript:1\\" \\\\N <b>' in draw(read(text), Style.DOT)


@pytest.fixture
def api() -> Api:
    """Answers with a catalog that a test may take away."""
    made = Api(CALM)
    sources = Sources(lambda: made.views, made.page.page, made.page.series, Clock(now=lambda: NOW))
    catalog = read(RECEIVING)
    made.app = make_api(sources, lambda: made.server, [make_catalog_router(lambda: catalog, sources)])
    return made


def test_the_api_tells_the_catalog_with_producers_and_consumers(api: Api) -> None:
    answer = api.get("catalog").json()
    event = answer["events"][0]
    assert (event["name"], event["version"], event["producers"], event["consumers"]) == (
        "Ordered", "1", ["checkout"], ["mailing"],
    )  # fmt: skip
    assert event["payload"]["required"] == ["id"]


def test_the_api_compares_the_versions_of_a_catalog_once_and_tells_another_one_anew(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs = [read(RECEIVING), read(change("title: Shop", "title: Store"))]
    telling = Mock(wraps=catalog_item)
    monkeypatch.setattr("monitor.api.catalog.catalog_item", telling)
    sources = Sources(list, MetricsPage().page, lambda _: None, Clock())
    api.app = make_api(sources, lambda: api.server, [make_catalog_router(lambda: catalogs[0], sources)])
    assert [api.get("catalog").json()["title"] for _ in range(3)] == ["Shop"] * 3
    del catalogs[0]
    assert [api.get("catalog").json()["title"] for _ in range(2)] == ["Store"] * 2
    assert [it.args[0].title for it in telling.call_args_list] == ["Shop", "Store"]


def test_the_api_tells_differences_the_graph_and_a_draft(api: Api) -> None:
    api.views = [view()]
    assert [it["kind"] for it in api.get("catalog/diff").json()["items"]] == ["destination_not_seen"]
    assert api.get("catalog/graph", params={"format": "dot"}).text.startswith("digraph {")
    assert "asyncapi: 3.0.0" in api.get("catalog/draft").text


def test_without_a_catalog_the_api_says_what_to_do() -> None:
    sources = Sources(list, MetricsPage().page, lambda _: None, Clock())
    made = Api()
    made.app = make_api(sources, lambda: made.server, [make_catalog_router(lambda: None, sources)])
    answer = made.get("catalog")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no catalog is configured; name an AsyncAPI document by the key `catalog`"


@pytest.mark.parametrize(
    ("views", "code", "told"),
    [
        (CALM, 0, "nothing differs"),
        ([view()], 1, "destination_not_seen: orders: orders is written down as orders"),
        ([blind_view()], 3, "not judged: orders it cannot be read now"),
    ],
)
def test_the_command_tells_differences_by_its_exit_code(
    api: Api, views: list[ClusterView], code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.views = views
    monkeypatch.setattr("monitor.cli.catalog.connect", lambda url: ApiClient(url, transport=AppTransport(api)))
    result = CliRunner().invoke(app, ["catalog", "diff"])
    assert result.exit_code == code
    assert told in result.output


def test_the_commands_print_graph_and_draft(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.cli.catalog.connect", lambda url: ApiClient(url, transport=AppTransport(api)))
    assert CliRunner().invoke(app, ["catalog", "graph"]).output.startswith("flowchart LR\n")
    assert "asyncapi: 3.0.0" in CliRunner().invoke(app, ["catalog", "draft"]).output
    assert json.loads(CliRunner().invoke(app, ["catalog", "draft", "--json"]).output)["asyncapi"] == "3.0.0"
    shown = CliRunner().invoke(app, ["catalog", "show"]).output
    assert [it for it in ("Ordered", "checkout", "mailing", "json") if it not in shown] == []


def test_many_differences_are_told_up_to_a_limit_and_counted(api: Api) -> None:
    api.views = [view([subscription(f"t{number}") for number in range(20)])]
    answer = api.get("catalog/diff", params={"limit": 5}).json()
    assert (len(answer["items"]), answer["total"]) == (5, 21)
