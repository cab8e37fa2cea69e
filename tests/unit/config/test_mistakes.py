"""Each mistake in a configuration is one sentence with its place and remedy."""

from pathlib import Path

import pytest

from monitor.config import load_configuration, parse_configuration, with_listen
from monitor.errors import ConfigurationError

KAFKA = "{name: orders, kind: kafka, bootstrap_servers: 'localhost:9092'%s}"
SECRET = "hunter2"


def mistakes(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text, "monitor.yml", environment)
    return str(caught.value).split("\n")


def mistake(text: str, **environment: str) -> str:
    (told,) = mistakes(text, **environment)
    return told


def with_cluster(text: str) -> str:
    return f"{text}\nclusters: [{KAFKA % ''}]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("servr: {}", "monitor.yml:1: servr: unknown key; did you mean server?"),
        ("server:\n  lisen: x", "monitor.yml:2: server.lisen: unknown key; did you mean listen?"),
        ("kafka: {}", "monitor.yml:1: kafka: unknown key; known are alerts, "),
        ("owners:\n  - {match: a, team: b, taem: c}", "monitor.yml:2: owners[0].taem: unknown key; did you mean team?"),
        (
            "server:\n  tokens:\n    - {name: a, role: admin, sha265: b}",
            "monitor.yml:3: server.tokens[0].sha265: unknown key; did you mean sha256?",
        ),
    ],
)
def test_an_unknown_key_is_told_with_line_and_nearest_key(text: str, told: str) -> None:
    assert any(line.startswith(told) for line in mistakes(with_cluster(text)))


@pytest.mark.parametrize(
    ("cluster", "key", "nearest"),
    [
        (KAFKA % ", intervall: 2s", "intervall", "interval"),
        (KAFKA % ", security: {protocl: ssl}", "security.protocl", "protocol"),
        (KAFKA % ", topics: {inclde: []}", "topics.inclde", "include"),
        (
            "{name: mail, kind: rabbitmq, amqp_url: 'amqp://localhost', managment_url: x}",
            "managment_url",
            "management_url",
        ),
        (
            "{name: mail, kind: rabbitmq, amqp_url: 'amqp://localhost', vhosts: {exlude: []}}",
            "vhosts.exlude",
            "exclude",
        ),
        ("{name: aws, kind: aws, region: r, profil: x}", "profil", "profile"),
        ("{name: aws, kind: aws, region: r, cloudwatch: {enabeld: true}}", "cloudwatch.enabeld", "enabled"),
    ],
)
def test_an_unknown_key_inside_a_cluster_of_any_kind_is_told_with_the_nearest_of_that_kind(
    cluster: str, key: str, nearest: str
) -> None:
    assert (
        mistake(f"clusters:\n  - {cluster}")
        == f"monitor.yml:2: clusters[0].{key}: unknown key; did you mean {nearest}?"
    )


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ("[a]", "clusters[0]: must be a mapping of keys; leave it out for its defaults"),
        ("{name: a, kind: kafak}", "clusters[0]: unknown kind; did you mean kafka?"),
        ("{name: a}", "clusters[0]: kind is missing; add kind: kafka or rabbitmq or aws"),
        ("{name: a, kind: kafka}", "clusters[0].bootstrap_servers: is missing; add it"),
        (KAFKA.replace("orders", "5") % "", "clusters[0].name: must be text; put it into quotes"),
        (KAFKA.replace("orders", "''") % "", "clusters[0].name: must not be empty"),
        (KAFKA.replace("orders", '"a\\nb"') % "", "clusters[0].name: must not have line breaks or control characters"),
        (KAFKA % ", topics: all", "clusters[0].topics: must be a mapping of keys; leave it out for its defaults"),
        (KAFKA % ", topics: {include: all}", "clusters[0].topics.include: must be a list, "),
        (KAFKA % ", granularity: group", "clusters[0].granularity: must be 'partition' or 'topic'"),
        (
            "{name: a, kind: aws, region: r, cloudwatch: {enabled: 1}}",
            "clusters[0].cloudwatch.enabled: must be true or false",
        ),
        (KAFKA.replace("localhost:9092", "localhost") % "", "clusters[0].bootstrap_servers: must be host:port, "),
        (KAFKA.replace("localhost:9092", "a:1,b") % "", "clusters[0].bootstrap_servers: must be host:port, "),
        (
            "{name: a, kind: rabbitmq}",
            "clusters[0]: needs at least one of amqp_url, management_url, prometheus_url",
        ),
        (
            KAFKA % ", security: {protocol: sasl_ssl}",
            "clusters[0].security: protocol sasl_ssl needs mechanism, username and password",
        ),
        (KAFKA % ", security: {mechanism: PLAIN}", "clusters[0].security: mechanism PLAIN needs protocol sasl_ssl or "),
        (
            KAFKA % ", security: {ca_file: /nowhere/ca.pem}",
            "clusters[0].security.ca_file: the file /nowhere/ca.pem cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_told(cluster: str, told: str) -> None:
    assert mistake(f"clusters: [{cluster}]").startswith(f"monitor.yml:1: {told}")


@pytest.mark.parametrize("interval", ["0", "15", "fast", "true", "[1s]", "-1s", "''", "1 week"])
def test_an_interval_that_is_no_duration_is_told_with_an_example(interval: str) -> None:
    told = mistake(f"clusters: [{KAFKA % f', interval: {interval}'}]")
    assert told == "monitor.yml:1: clusters[0].interval: must be a duration with its unit, as in 15s, 1m or 500ms"


@pytest.mark.parametrize("interval", ["0s", "0.0m", "99ms", ".inf", ".nan", "366d", f"{'9' * 400}s"])
def test_an_interval_that_is_too_short_or_too_long_is_told_with_the_limits(interval: str) -> None:
    told = mistake(f"clusters: [{KAFKA % f', interval: {interval}'}]")
    assert told == "monitor.yml:1: clusters[0].interval: must be at least 0.1s and at most 365d"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("owners: {a: b}", "owners: must be a list, an entry a line after a dash; leave the key out for none"),
        ("objectives:", "objectives: must be a list, an entry a line after a dash; leave the key out for none"),
        ("objectives: [{subscription: a}]", "objectives[0].max_age: is missing; add it"),
        (
            "objectives: [{subscription: a, max_age: 5s, target: 99.9}]",
            "objectives[0].target: must be above 0% and below 100%, as in 99.9%",
        ),
        (
            "objectives: [{subscription: a, max_age: 5s, target: often}]",
            "objectives[0].target: must be a number",
        ),
        ("database_url: 'mysql://u:hunter2@h/db'", "database_url: must begin with sqlite:/// or postgresql+psycopg://"),
        ("server: {listen: 9610}", "server.listen: must be text; put it into quotes"),
        (
            "masking: [{queue: a, hide: [body.card]}]",
            "masking[0].hide: must be /key, /body/..., /headers/NAME, /properties/NAME or /exception_message",
        ),
        (
            "archive: {keys: [too-short]}",
            "archive.keys: must be 32 random bytes as URL-safe base64: openssl rand -base64 32 | tr -- +/ -_",
        ),
        ("archive: {keep: 5m}", "archive.keep: must be at least 1h"),
    ],
)
def test_mistakes_in_other_sections_are_told(section: str, told: str) -> None:
    assert mistake(with_cluster(section)) == f"monitor.yml:1: {told}"


@pytest.mark.parametrize(
    "address", ["9610", ":9610", "localhost", "127.0.0.1:99999", "127.0.0.1:http", "h:1/path", "u@h:1", "::1:9610", ""]
)
def test_an_address_to_listen_on_that_is_no_host_and_port_is_told(address: str) -> None:
    told = mistake(with_cluster(f"server: {{listen: '{address}'}}"))
    assert told.startswith("monitor.yml:1: server.listen: must be host:port, with a port from 0 to 65535")


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:9610", "[::1]:9610", "127.0.0.2:80"])
def test_loopback_needs_no_tokens(address: str) -> None:
    configuration = parse_configuration(with_cluster(f"server: {{listen: '{address}'}}"), "monitor.yml", {})
    assert configuration.server.listen == address


@pytest.mark.parametrize("address", ["0.0.0.0:9610", "[::]:9610", "192.0.2.1:9610", "monitor.example:9610"])
def test_listening_beyond_loopback_without_tokens_is_refused(address: str) -> None:
    told = mistake(with_cluster(f"server: {{listen: '{address}'}}"))
    assert told == f"monitor.yml:1: server: listening on {address} needs server.tokens; or listen on 127.0.0.1"


def test_the_address_of_the_command_line_is_held_to_the_same_rules() -> None:
    configuration = parse_configuration(with_cluster(""), "monitor.yml", {})
    assert with_listen(configuration, "127.0.0.1:1234").server.listen == "127.0.0.1:1234"
    with pytest.raises(ConfigurationError, match=r"^--listen: listening on 0\.0\.0\.0:1 needs server\.tokens"):
        with_listen(configuration, "0.0.0.0:1")
    with pytest.raises(ConfigurationError, match=r"^--listen: must be host:port"):
        with_listen(configuration, "1234")


def test_guarding_metrics_without_tokens_is_refused() -> None:
    assert "metrics: token needs server.tokens" in mistake(with_cluster("server: {metrics: token}"))


def test_approvals_need_two_who_may_act() -> None:
    tokens = [f"{{name: {name}, role: {name}, sha256: {'ab' * 32}}}" for name in ("viewer", "operator", "admin")]

    def section(*given: str) -> str:
        return with_cluster(f"server: {{tokens: [{', '.join(given)}]}}\napprovals: {{above: 10}}")

    assert "nobody can approve a redrive of their own" in mistake(section(*tokens[:2]))
    assert parse_configuration(section(*tokens), "monitor.yml", {}).approvals.above == 10


def test_two_clusters_with_one_name_are_told() -> None:
    told = mistake(f"clusters: [{KAFKA % ''}, {KAFKA % ''}]")
    assert told == (
        "monitor.yml:1: clusters: clusters 1 and 2 are both named 'orders'; rename one, ids and labels begin with them"
    )


def test_two_tokens_with_one_name_are_told() -> None:
    token = f"{{name: alice, role: admin, sha256: {'ab' * 32}}}"
    told = mistake(with_cluster(f"server: {{tokens: [{token}, {token}]}}"))
    assert "tokens 1 and 2 are both named 'alice'" in told


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    told = mistakes(
        "clusters:\n"
        "  - {name: a, kind: kafka, interval: 0}\n"
        "  - {name: b, kind: rabbitmq, amqp_ulr: x}\n"
        "ownrs: []\n"
        "server: {listen: x}\n"
    )
    assert [line.split(": ")[0] for line in told] == [f"monitor.yml:{line}" for line in (2, 2, 3, 4, 5)]


def test_an_unset_variable_is_told_by_name_and_every_one_of_them() -> None:
    told = mistakes("clusters:\n  - {name: a, kind: rabbitmq, amqp_url: '${ONE}', management_url: '${TWO}'}")
    assert told == [
        "monitor.yml:2: clusters[0].amqp_url: the variable ONE is not set; set it, or write the value",
        "monitor.yml:2: clusters[0].management_url: the variable TWO is not set; set it, or write the value",
    ]


def test_a_secret_file_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for file, why in (
        ("/nowhere/pw", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "it is not UTF-8 text"),
    ):
        told = mistake(f"clusters: [{{name: a, kind: rabbitmq, amqp_url: 'file:{file}'}}]")
        assert told.startswith(f"monitor.yml:1: clusters[0].amqp_url: the file {file} cannot be read ({why})")


@pytest.mark.parametrize(
    "text",
    [
        f"clusters: [{{name: a, kind: rabbitmq, amqp_url: 'amqp://u:{SECRET}/x@h'}}]",
        f"clusters: [{{name: a, kind: rabbitmq, amqp_url: 'http://u:{SECRET}@h'}}]",
        f"clusters: [{{name: a, kind: rabbitmq, amqp_url: 'amqp://u:p@h:{SECRET}'}}]",
        f"clusters: [{{name: a, kind: rabbitmq, management_url: 'http://[{SECRET}'}}]",
        "clusters: [{name: a, kind: rabbitmq, amqp_url: '${URL}'}]",
        f"clusters: [{{name: a, kind: rabbitmq, amqp_url: [{SECRET}]}}]",
        f"clusters: [{{name: a, kind: kafka, bootstrap_servers: {SECRET}, interval: {SECRET}}}]",
        with_cluster(f"server: {{listen: '{SECRET}'}}"),
        with_cluster(f"server: {{tokens: [{{name: a, role: admin, sha256: {SECRET}}}]}}"),
        with_cluster(f"database_url: 'postgres://u:{SECRET}@h/db'"),
        with_cluster(f"archive: {{keys: [{SECRET}]}}"),
        with_cluster(f"masking: [{{queue: a, hide: [{SECRET}]}}]"),
        f"clusters: 'amqp://u:{SECRET}@h",
        f"clusters: {{a: b: amqp://u:{SECRET}@h}}",
        f"clusters: !{SECRET[:2]} {SECRET}",
    ],
)
def test_no_mistake_quotes_a_value(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(text, "monitor.yml", {"URL": f"u:{SECRET}@h"})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


WHOLE = "{subscription: '%s', max_age: 5s}"
OPERATORS = ", ".join(f"{{name: {name}, role: operator, sha256: {'ab' * 32}}}" for name in "ab")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("oders/*", "there is no cluster 'oders'; did you mean orders?"),
        ("elsewhere/billing/*", "there is no cluster 'elsewhere'; known are orders, pay%2Fments"),
        ("pay/ments/*", "there is no cluster 'pay'; known are orders, pay%2Fments"),
        ("order/*", "there is no cluster 'order'; did you mean orders?"),
        ("ordr*/billing/x", "there is no cluster 'ordr*'; did you mean orders?"),
        ("Orders/*", "there is no cluster 'Orders'; did you mean orders?"),
        ("orders", "matches no id; ids are cluster/name, and a pattern is one as cluster/*"),
        ("", "matches no id; ids are cluster/name, and a pattern is one as cluster/*"),
    ],
)
def test_a_pattern_that_can_match_nothing_is_told_with_its_place_and_the_nearest_cluster(
    pattern: str, told: str
) -> None:
    clusters = f"clusters: [{KAFKA % ''}, {KAFKA.replace('orders', 'pay/ments') % ''}]"
    sections = {
        "objectives[0].subscription": f"objectives: [{WHOLE % pattern}]",
        "owners[0].match": f"owners: [{{match: '{pattern}', team: a}}]",
        "masking[0].queue": f"masking: [{{queue: '{pattern}', hide: [/body/card]}}]",
        "approvals.queues[0]": f"approvals: {{queues: ['{pattern}']}}\nserver: {{tokens: [{OPERATORS}]}}",
    }
    for place, section in sections.items():
        assert mistake(f"{clusters}\n{section}") == f"monitor.yml:2: {place}: {told}"


@pytest.mark.parametrize(
    "pattern", ["*", "*/billing/*", "orders/billing/orders", "ord*", "o*/x", "order[st]/*", "?rders/*", "pay%2Fments/*"]
)
def test_a_pattern_that_may_match_something_is_taken(pattern: str) -> None:
    clusters = f"clusters: [{KAFKA % ''}, {KAFKA.replace('orders', 'pay/ments') % ''}]"
    parsed = parse_configuration(f"{clusters}\nobjectives: [{WHOLE % pattern}]", "monitor.yml", {})
    assert parsed.objectives[0].subscription == pattern


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "monitor.yml: no cluster is configured, so there is nothing to watch; add one under clusters"),
        ("# nothing but this", "monitor.yml: no cluster is configured, so there is nothing to watch; add one under "),
        ("clusters: []", "monitor.yml: no cluster is configured, so there is nothing to watch; add one under clusters"),
        ("- a", "monitor.yml: must be a mapping of sections; known are alerts, "),
        ("hello", "monitor.yml: must be a mapping of sections; known are alerts, "),
        ("server:\n\tlisten: x", "monitor.yml:2: is not YAML: "),
        ("clusters: 'abc", "monitor.yml:1: is not YAML: found unexpected end of stream; look at the indentation "),
        ("a: 1\n---\nb: 2", "monitor.yml:2: is not YAML: but found another document"),
        ("a: \x00", "monitor.yml: is not YAML: it has characters that YAML forbids"),
        ("[" * 5000, "monitor.yml: is nested too deeply"),
        ("clusters: &a [*a]", "monitor.yml:1: clusters[0]: this anchor contains itself; write the value out"),
        ("clusters: *a", "monitor.yml:1: is not YAML: found undefined alias"),
        ("clusters: !env X", "monitor.yml:1: clusters: the tag !env is not known here; leave it out"),
        ("clusters: !!python/name:os.system X", "monitor.yml:1: clusters: cannot be read as what it looks like"),
        ("clusters: 2024-99-99", "monitor.yml:1: clusters: cannot be read as what it looks like; put it into quotes"),
        ("clusters:\n  - {<<: 3}", "monitor.yml:2: clusters[0]: << merges mappings only"),
        ("? [a]\n: b", "monitor.yml:1: keys must be plain text; write it without brackets"),
        ("clusters: []\nclusters: []", "monitor.yml:2: the key clusters stands twice; keep one"),
        ("server:\n  listen: a\n  listen: b", "monitor.yml:3: the key server.listen stands twice; keep one"),
    ],
)
def test_a_text_that_cannot_be_read_is_told(text: str, told: str) -> None:
    assert mistake(text).startswith(told)


def test_tabs_are_told_for_what_they_are() -> None:
    assert mistake("server:\n\tlisten: x").endswith("indent by spaces, not tabs")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yml"
    latin.write_bytes("clusters: [é]".encode("latin-1"))
    missing = tmp_path / "missing.yml"
    for path, why in (
        (missing, "No such file or directory"),
        (tmp_path, "Is a directory"),
        (latin, "it is not UTF-8 text"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(path)
        assert str(caught.value) == f"{path}: the configuration cannot be read ({why}); name a YAML file by --config"
