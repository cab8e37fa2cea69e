"""FIFO queues: order within a group, and no silent loss by deduplication."""

from tests.integration.redrive.aws.conftest import Playground, deadline, outgoing

FIFO = {"FifoQueue": "true"}
BY_CONTENT = {**FIFO, "ContentBasedDeduplication": "true"}


def fill(ground: Playground, url: str, groups: int, each: int) -> None:
    for number in range(each):
        for group in range(groups):
            ground.send(
                url, [f"{group}:{number}"], MessageGroupId=f"g{group}", MessageDeduplicationId=f"{group}-{number}"
            )


def test_the_order_within_each_group_is_kept(ground: Playground) -> None:
    dead, work = ground.queues(**FIFO)
    fill(ground, dead, groups=3, each=25)
    assert len([it for it in ground.redrive(dead) if it.confirmed]) == 75
    arrived = [it["Body"].split(":") for it in ground.receive(work, 75)]
    for group in ("0", "1", "2"):
        assert [int(number) for of, number in arrived if of == group] == list(range(25))


def test_content_that_was_sent_a_moment_ago_is_not_dropped_as_a_duplicate(ground: Playground) -> None:
    """With the body's hash as deduplication id SQS would say yes, and deliver nothing."""
    dead, work = ground.queues(**BY_CONTENT)
    ground.send(work, ["same"], MessageGroupId="g")
    assert len(ground.receive(work, 1)) == 1
    ground.send(dead, ["same"], MessageGroupId="g")
    assert [it.confirmed for it in ground.redrive(dead)] == [True]
    assert [it["Body"] for it in ground.receive(work, 1)] == ["same"]


def test_a_second_job_sends_again_what_the_first_had_sent_and_one_job_only_once(ground: Playground) -> None:
    dead, work = ground.queues(**FIFO)
    ground.send(dead, ["a"], MessageGroupId="g", MessageDeduplicationId="d")
    with ground.holding(ground.job(dead)) as held:
        (message,) = held.take(1, deadline())
        for _ in range(2):  # as after a crash between sending and the journal
            assert [it.confirmed for it in held.send([outgoing(message)], deadline())] == [True]
    assert len(ground.receive(work, 2, seconds=2)) == 1
    with ground.holding(ground.job(dead, id_="second")) as held:
        (message,) = held.take(1, deadline())
        assert [it.confirmed for it in held.send([outgoing(message)], deadline())] == [True]
    assert len(ground.receive(work, 1)) == 1


def test_what_is_not_selected_does_not_hold_back_the_rest_of_its_group(ground: Playground) -> None:
    dead, work = ground.queues(**FIFO)
    fill(ground, dead, groups=1, each=25)
    unwanted = {"0:2", "0:5"}
    with ground.holding(ground.job(dead)) as held:
        while messages := held.take(10, deadline()):
            wanted = [it for it in messages if (it.value or b"").decode() not in unwanted]
            assert all(it.confirmed for it in held.send([outgoing(it) for it in wanted], deadline()))
            assert all(held.remove(wanted, deadline()))
    arrived = [it["Body"] for it in ground.receive(work, 23)]
    assert arrived == [f"0:{number}" for number in range(25) if f"0:{number}" not in unwanted]
    assert [it["Body"] for it in ground.receive(dead, 2)] == ["0:2", "0:5"]


def test_the_plan_says_what_looking_and_selecting_cannot_do(ground: Playground) -> None:
    dead, _ = ground.queues(**FIFO)
    survey = ground.survey(dead, select="true")
    assert "order within each message group is kept" in survey.ordering
    assert any("holds back its group" in it for it in survey.warnings)
    assert "first ten" in ground.bus.browse(ground.name(dead), 0, None, deadline()).warning
