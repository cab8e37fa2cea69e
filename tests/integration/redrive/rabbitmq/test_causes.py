"""Why messages died, from what RabbitMQ itself writes into them."""

from monitor.analysis.causes import cause_of
from monitor.analysis.faults import Certainty, Kind
from tests.integration.redrive.rabbitmq.yard import DLQ, Yard, soon, until


def test_what_expired_what_found_no_room_and_what_was_rejected_are_told_apart(yard: Yard) -> None:
    yard.dead_letters([b"rejected"])
    yard.queue("brief", dead_letter_exchange="", dead_letter_routing_key=DLQ, message_ttl=1)
    yard.queue("narrow", dead_letter_exchange="", dead_letter_routing_key=DLQ, max_length=1)
    yard.publish("brief", [b"expired"])
    yard.publish("narrow", [b"dropped", b"stays"])
    until(lambda: yard.ready(DLQ) == 3)
    causes = {it.value: cause_of(it) for it in yard.bus().browse(yard.label(DLQ), 9, None, soon()).messages}
    assert {body: (cause.kind, cause.certainty) for body, cause in causes.items()} == {
        b"rejected": (Kind.EXCEPTION, Certainty.GUESSED),
        b"expired": (Kind.EXPIRED, Certainty.CERTAIN),
        b"dropped": (Kind.OVERFLOW, Certainty.CERTAIN),
    }
    assert len({cause.id for cause in causes.values()}) == 3
    assert causes[b"expired"].evidence[0].text == "expired"
