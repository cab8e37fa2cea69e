"""A whole queue is removed at once."""

from tests.integration.redrive.aws.conftest import Playground, deadline, eventually


def test_everything_goes_and_about_how_much_is_told(ground: Playground) -> None:
    dead, _ = ground.queues()
    ground.send(dead, ["a", "b", "c"])
    assert ground.bus.purge(ground.name(dead), deadline()) == 3
    assert eventually(lambda: ground.counts(dead) == (0, 0))
