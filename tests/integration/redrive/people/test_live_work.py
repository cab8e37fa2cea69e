"""Work that is under way is never looked at, moved or removed as if it were dead, whatever is wrong with its set-up."""

from collections.abc import Callable, Iterator

import pytest

from monitor.apiclient import ApiClient
from monitor.errors import MonitorRefused
from tests.integration.app.running import wait_until
from tests.integration.redrive.people.conftest import Team


def _export(monitor: ApiClient, queue: str) -> None:
    with monitor.export_letters(queue) as exported:
        b"".join(exported.chunks)


ACTS: dict[str, Callable[[ApiClient, str, str], object]] = {
    "peek": lambda monitor, id_, _name: monitor.letters(id_),
    "groups": lambda monitor, id_, _name: monitor.letter_groups(id_),
    "export": lambda monitor, id_, _name: _export(monitor, id_),
    "redrive": lambda monitor, id_, _name: monitor.plan_redrive(id_, target="elsewhere"),
    "archive": lambda monitor, id_, _name: monitor.plan_redrive(id_, action="archive", reason="gone"),
    "purge": lambda monitor, id_, name: monitor.purge(id_, name, "none"),
}


@pytest.fixture(scope="module")
def live(team: Team) -> Iterator[dict[str, str]]:
    """The names of queues by id in which work is under way, whose dead letters have nowhere to go."""
    mail, cloud = team.rabbitmq, team.aws
    queues = [
        mail.queue("live", dead_letter_exchange="gone"),
        mail.queue("live-retry-1", dead_letter_exchange="gone", message_ttl=3_600_000),
        mail.queue("live-plain"),
    ]
    for queue in queues:
        mail.publish(queue, [b"at work"])
    gone = cloud.make_queue("gone")
    url = cloud.make_queue("live", "gone", 1000)
    cloud.sqs.delete_queue(QueueUrl=gone)
    cloud.sqs.send_message(QueueUrl=url, MessageBody="at work")
    names = {f"r/{mail.vhost}/{queue}": f"{mail.vhost}/{queue}" for queue in queues}
    names[f"a/{cloud.name('live')}"] = cloud.name("live")

    def seen() -> bool:
        return names.keys() <= {it["id"] for it in team.alice.all_dead_letters() if it["problems"]}

    wait_until("the mistakes of the set-up are told", seen)
    yield names
    assert [mail.bodies(queue) for queue in queues] == [[b"at work"]] * len(queues)
    for queue in queues:
        mail.channel.queue_delete(queue)
    cloud.sqs.delete_queue(QueueUrl=url)


@pytest.mark.parametrize("act", ACTS)
def test_no_act_on_dead_letters_takes_work_for_dead(team: Team, live: dict[str, str], act: str) -> None:
    for id_, name in live.items():
        with pytest.raises(MonitorRefused, match="holds no dead letters") as refused:
            ACTS[act](team.root, id_, name)
        assert refused.value.status == 409


def test_such_queues_are_listed_with_their_problem_and_nothing_else(team: Team, live: dict[str, str]) -> None:
    listed = {it["id"]: it for it in team.alice.all_dead_letters() if it["id"] in live}
    assert {it["messages"] for it in listed.values()} == {None}
    roles = sorted(it["role"] for it in listed.values())
    assert roles == ["retry", "work", "work", "work"]
    told = [line for line in team.server.metrics().splitlines() if any(f'queue="{it}"' in line for it in live.values())]
    families = {line.partition("{")[0] for line in told if line.startswith("eventflow_dead_letter")}
    assert families == {"eventflow_dead_letter_problem"}
