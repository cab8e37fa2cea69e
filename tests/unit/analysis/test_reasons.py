import pytest

from monitor.analysis.reasons import Facts, tell
from monitor.analysis.status import Cause
from monitor.model import Age, AgeMethod, Subscription, System

FACTS = Facts(Cause.EMPTY, 2, 20, 725.0, 130.0, 30.0, 12.0, 10.0)


def subscription(backlog: float | None = 1_340, in_flight: float | None = None) -> Subscription:
    return Subscription(
        "orders/g/t",
        System.KAFKA,
        "orders",
        "t",
        "g",
        backlog_messages=backlog,
        in_flight_messages=in_flight,
        oldest_age=Age(200.0, AgeMethod.LOWER_BOUND),
        retention_seconds=210.0,
        lost_messages_total=7,
        expected=20,
        measured=17,
    )


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("facts", [FACTS, Facts(Cause.EMPTY, 0, 0, 0.0, None, 60.0, None, None)])
def test_every_rule_has_one_sentence_whatever_is_not_known(cause: Cause, facts: Facts) -> None:
    for it in (subscription(), subscription(None), subscription(1, 1), subscription(0, 5)):
        sentence = tell(cause, it, facts)
        assert sentence
        assert "None" not in sentence
        assert not sentence.endswith(".")


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (
            Cause.LOST,
            "7 messages lost unread since this was first watched; 1,340 messages wait, 2 of 20 partitions concerned",
        ),
        (
            Cause.NOBODY,
            "1,340 messages wait, 2 of 20 partitions concerned; nobody has been there to consume for 2 min",
        ),
        (
            Cause.OLD,
            "the oldest message has waited at least 3 min, allowed is 30 s; "
            "1,340 messages wait, 2 of 20 partitions concerned",
        ),
        (
            Cause.GROWING,
            "1,340 messages wait, 2 of 20 partitions concerned; "
            "the backlog only grows: 12.0/s come in, 10.0/s are consumed",
        ),
        (
            Cause.UNMEASURED,
            "the backlog of only 17 of 20 partitions is known: the others could not be read, "
            "or have no committed offset in their log",
        ),
        (Cause.EMPTY, "nothing waits"),
    ],
)
def test_sentences_carry_the_numbers(cause: Cause, sentence: str) -> None:
    assert tell(cause, subscription(), FACTS) == sentence


@pytest.mark.parametrize(
    ("backlog", "in_flight", "begin"),
    [
        (1, None, "1 message waits"),
        (2, 1, "2 messages wait and 1 is in flight"),
        (0, 1, "1 message is in flight"),
        (0, 50, "50 messages are in flight"),
        (0, 0, "0 messages wait"),
    ],
)
def test_what_waits_and_what_is_in_flight_are_told_apart(backlog: float, in_flight: float | None, begin: str) -> None:
    whole = Facts(Cause.EMPTY, 1, 1, 0.0, None, 60.0, 5.0, 5.0)
    assert tell(Cause.KEEPING_UP, subscription(backlog, in_flight), whole) == f"{begin}; consumed at 5.0/s"


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Cause.LOST, "; but 7 messages lost unread since this was first watched"),
        (Cause.NOBODY, "; but nobody has been there to consume for 2 min"),
        (Cause.UNTOUCHED, "; but nothing was consumed for 12 min in 2 of those read"),
        (Cause.STUCK, "; but consumers finished nothing for 12 min in 2 of those read"),
        (Cause.OLD, ""),
        (Cause.KEEPING_UP, ""),
    ],
)
@pytest.mark.parametrize("hidden_by", [Cause.UNMEASURED, Cause.UNCOUNTED])
def test_what_could_not_be_read_hides_nothing_that_is_known(hidden_by: Cause, found: Cause, sentence: str) -> None:
    told = tell(hidden_by, subscription(None), FACTS._replace(found=found))
    assert told == tell(hidden_by, subscription(None), FACTS) + sentence
