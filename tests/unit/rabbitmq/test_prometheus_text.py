"""The plugin's text: names of any kind come back as they were, whether a version escapes them or not."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.rabbitmq.prometheus_text import (
    Page,
    escapes_labels,
    queue_key,
    samples_of,
)

FAMILY = "rabbitmq_detailed_queue_messages_ready"
# The broker takes line feeds out of queue names. Without escapes nothing tells where a virtual host's name ends if the
# end itself is in the name.
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), min_size=1, max_size=20)
PLAIN_NAMES = NAMES.filter(lambda name: '",queue="' not in name)


def escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def page(labels: str) -> bytes:
    return f"# TYPE {FAMILY} gauge\n# HELP {FAMILY} Messages\n{FAMILY}{{{labels}}} 7\n".encode()


@given(vhost=NAMES, name=NAMES)
def test_a_name_is_read_back_from_a_version_that_escapes(vhost: str, name: str) -> None:
    [labels], values = Page(page(f'vhost="{escaped(vhost)}",queue="{escaped(name)}"')).samples(FAMILY)
    assert queue_key(labels, escaped=True) == (vhost, name)
    assert values == (b"7",)


@given(vhost=PLAIN_NAMES, name=NAMES)
def test_a_name_is_read_back_from_a_version_that_does_not_escape(vhost: str, name: str) -> None:
    [labels], values = Page(page(f'vhost="{vhost}",queue="{name}"')).samples(FAMILY)
    assert queue_key(labels, escaped=False) == (vhost, name)
    assert values == (b"7",)


def test_the_same_text_is_read_by_the_version_that_wrote_it() -> None:
    labels = rb'vhost="/",queue="a\\b"'
    assert queue_key(labels, escaped=True) == ("/", "a\\b")
    assert queue_key(labels, escaped=False) == ("/", r"a\\b")


def test_escaping_began_with_3_13() -> None:
    assert [escapes_labels(version) for version in ("3.10.8", "3.12.14", "3.13.0", "4.0.5", "4.3.5+rc", "")] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_a_family_ends_where_the_next_one_begins() -> None:
    other = "rabbitmq_detailed_queue_messages"
    text = page('vhost="/",queue="a"') + page('vhost="/",queue="b"').replace(FAMILY.encode(), other.encode())
    assert Page(text).samples(FAMILY)[0] == (b'vhost="/",queue="a"',)
    assert Page(text).samples(other)[0] == (b'vhost="/",queue="b"',)
    assert Page(b"# a remark\n" + text).samples(other)[0] == (b'vhost="/",queue="b"',)


def test_a_family_without_samples_is_there_all_the_same() -> None:
    text = f"# TYPE {FAMILY} gauge\n# HELP {FAMILY} Messages\n".encode()
    assert Page(text).has(FAMILY)
    assert Page(text).samples(FAMILY) == ((), ())
    assert Page(text).labels(FAMILY) == {}
    assert not Page(text).has("rabbitmq_detailed_queue")
    assert not Page(b"<html>").has(FAMILY)


def test_a_name_that_looks_like_a_sample_is_none() -> None:
    name = f'{FAMILY}{{vhost="/",queue="x"}} 9'
    found = Page(page(f'vhost="/",queue="{escaped(name)}"')).samples(FAMILY)[0]
    assert [queue_key(labels, escaped=True) for labels in found] == [("/", name)]


def test_labels_that_are_of_no_queue_have_no_key() -> None:
    assert queue_key(b'channel="<0.1.0>"', escaped=False) is None
    assert queue_key(b'channel="<0.1.0>"', escaped=True) is None
    assert queue_key(b"", escaped=True) is None


def test_a_virtual_host_that_stands_twice_is_read_once() -> None:
    # rabbitmq-server commit 79f04c23f3: 4.0 writes it for the queue and again for the exchange
    labels = b'vhost="v",queue="q",vhost="v",exchange="e"'
    assert queue_key(labels, escaped=True) == ("v", "q")


def test_small_pages_are_read_with_their_labels() -> None:
    text = b'# TYPE a untyped\na{x="1",y="q\\"uote"} 2\na_total 3.5\nb 4\n'
    assert list(samples_of(text, ("a",))) == [("a", {"x": "1", "y": 'q"uote'}, 2.0), ("a_total", {}, 3.5)]
