from dataclasses import replace

from monitor.brokers.aws.dead_letters import TopicSource, find_expiry, mapped_origins, resolve
from monitor.brokers.aws.queues import AllowPolicy
from monitor.config import DeadLetterMapping
from monitor.model import FoundBy, Origin, Problem, Role
from tests.unit.aws.builders import arn, by_name, policy, queue

LONG = 1_209_600.0


def test_the_target_of_a_redrive_policy_is_a_dead_letter_queue_whatever_its_name() -> None:
    relations = resolve(by_name(queue("orders", "parked"), queue("parked", retention=LONG)))
    assert relations.roles == {"orders": Role.WORK, "parked": Role.DEAD_LETTER}
    assert relations.targets == {"orders": "parked"}
    assert relations.dead_letters["parked"].found_by is FoundBy.TOPOLOGY
    assert relations.dead_letters["parked"].origins == (Origin("orders", FoundBy.TOPOLOGY),)
    assert relations.dead_letters["parked"].problems == ()
    assert relations.source_problems == {}


def test_a_dead_letter_queue_that_two_queues_share_has_both_as_origins() -> None:
    relations = resolve(by_name(queue("b", "shared"), queue("a", "shared"), queue("shared", retention=LONG)))
    assert [origin.name for origin in relations.dead_letters["shared"].origins] == ["a", "b"]


def test_a_queue_that_only_its_name_tells_of_has_the_origin_that_its_name_says() -> None:
    relations = resolve(by_name(queue("orders", "parked"), queue("parked", retention=LONG), queue("orders-dlq")))
    assert relations.dead_letters["orders-dlq"].found_by is FoundBy.NAME
    assert relations.dead_letters["orders-dlq"].origins == (Origin("orders", FoundBy.NAME),)


def test_the_configuration_names_dead_letter_queues_that_nothing_else_shows() -> None:
    mapped = mapped_origins(
        "pay ments",
        [
            DeadLetterMapping(queue="pay%20ments/graveyard", origins=["orders"]),
            DeadLetterMapping(queue="pay ments/tomb", origins=[]),
            DeadLetterMapping(queue="other/elsewhere", origins=["x"]),
        ],
    )
    assert mapped == {"graveyard": ("orders",), "tomb": ()}
    relations = resolve(by_name(queue("graveyard"), queue("tomb")), mapped=mapped)
    assert relations.dead_letters["graveyard"].found_by is FoundBy.CONFIGURATION
    assert relations.dead_letters["graveyard"].origins == (Origin("orders", FoundBy.CONFIGURATION),)


def test_queues_whose_redrive_policies_lead_back_are_retry_queues_and_not_dead() -> None:
    relations = resolve(by_name(queue("orders", "orders-dlq"), queue("orders-dlq", "orders")))
    assert relations.roles == {"orders": Role.WORK, "orders-dlq": Role.RETRY}
    assert relations.dead_letters == {}


def test_a_retry_stage_passes_on_to_the_queue_that_is_really_dead() -> None:
    queues = by_name(queue("orders", "orders-retry-1"), queue("orders-retry-1", "orders-dlq"), queue("orders-dlq"))
    assert resolve(queues).roles == {
        "orders": Role.WORK,
        "orders-retry-1": Role.RETRY,
        "orders-dlq": Role.DEAD_LETTER,
    }


def test_a_source_without_a_dead_letter_queue_is_a_problem_unless_it_holds_dead_letters_itself() -> None:
    relations = resolve(by_name(queue("orders"), queue("orders-dlq"), queue("orders-retry-1")))
    assert relations.source_problems == {"orders": (Problem.NONE_CONFIGURED,)}


def test_only_a_target_that_the_service_says_is_missing_counts_as_missing() -> None:
    queues = by_name(queue("orders", "gone"), queue("payments", "unreadable"))
    assert resolve(queues, missing={arn("gone")}).source_problems == {"orders": (Problem.TARGET_MISSING,)}


def test_a_target_in_another_region_is_told_and_not_taken_for_the_local_queue_of_that_name() -> None:
    relations = resolve(by_name(queue("orders", arn("parked", "eu-west-1")), queue("parked")))
    assert relations.source_problems["orders"] == (Problem.OTHER_REGION,)
    assert relations.roles["parked"] is Role.WORK


def test_retention_no_longer_than_the_source_is_too_short_in_standard_queues() -> None:
    equal = resolve(by_name(queue("orders", "parked"), queue("parked")))
    assert equal.dead_letters["parked"].problems == (Problem.RETENTION_TOO_SHORT,)


def test_retention_no_longer_than_the_source_is_fine_in_fifo_queues_which_begin_anew() -> None:
    relations = resolve(by_name(queue("orders.fifo", "parked.fifo"), queue("parked.fifo")))
    assert relations.dead_letters["parked.fifo"].problems == ()
    assert relations.dead_letters["parked.fifo"].carried_seconds == 0.0


def test_a_redrive_allow_policy_that_does_not_name_the_source_forbids_it() -> None:
    parked = queue("parked", retention=LONG)
    for allow, problems in (
        (AllowPolicy(), ()),
        (AllowPolicy("denyAll"), (Problem.NOT_ALLOWED,)),
        (AllowPolicy("byQueue", frozenset({arn("other")})), (Problem.NOT_ALLOWED,)),
        (AllowPolicy("byQueue", frozenset({arn("orders")})), ()),
    ):
        relations = resolve(by_name(queue("orders", "parked"), replace(parked, allow=allow)))
        assert relations.dead_letters["parked"].problems == problems


def test_the_queue_of_a_topic_subscription_is_a_dead_letter_queue_of_the_topic() -> None:
    source = TopicSource("events/orders", "events", arn("events", service="sns"), arn("undeliverable"))
    relations = resolve(by_name(queue("undeliverable", policy=policy({}))), [source])
    assert relations.dead_letters["undeliverable"].origins == (Origin("events", FoundBy.TOPOLOGY),)
    assert relations.dead_letters["undeliverable"].problems == ()
    assert relations.topic_problems == {}


def test_what_is_wrong_with_a_topic_subscription_is_told_under_its_own_name() -> None:
    def source(endpoint: str, target: str | None, *, drops: bool = False) -> TopicSource:
        return TopicSource(f"events/{endpoint}", "events", arn("events", service="sns"), target, drops)

    relations = resolve(
        {},
        [
            source("bare", None),
            source("gone", arn("gone")),
            source("far", arn("far", "eu-west-1")),
            source("shut", arn("shut"), drops=True),
        ],
        missing={arn("gone")},
    )
    assert relations.topic_problems == {
        "events/bare": (Problem.NONE_CONFIGURED,),
        "events/gone": (Problem.TARGET_MISSING,),
        "events/far": (Problem.OTHER_REGION,),
        "events/shut": (Problem.DROPS_EVERYTHING,),
    }


def test_a_queue_that_does_not_let_a_topic_in_is_told_under_the_name_of_the_subscription() -> None:
    topic = arn("events", service="sns")
    fed, shut, parked = queue("fed", policy=policy({})), queue("shut"), queue("parked", policy=policy({}))

    def problems(delivers_to: str, target: str) -> tuple[Problem, ...]:
        source = TopicSource("events/it", "events", topic, arn(target), delivers_to=arn(delivers_to))
        return resolve(by_name(fed, shut, parked), [source]).topic_problems.get("events/it", ())

    assert problems("fed", "parked") == ()
    assert problems("shut", "parked") == (Problem.NOT_ALLOWED,)
    assert problems("fed", "shut") == (Problem.NOT_ALLOWED,)
    assert problems("not-watched", "not-watched-either") == ()


def test_a_dead_letter_expires_earlier_by_the_time_that_it_may_have_spent_in_its_source() -> None:
    assert find_expiry(now=0.0, retention=1_000.0, oldest_possible=100.0, carried=0.0) == 900.0
    assert find_expiry(now=0.0, retention=1_000.0, oldest_possible=100.0, carried=300.0) == 600.0


def test_an_expiry_is_never_in_the_past_and_now_where_any_age_is_possible() -> None:
    assert find_expiry(now=50.0, retention=1_000.0, oldest_possible=100.0, carried=2_000.0) == 50.0
    assert find_expiry(now=50.0, retention=1_000.0, oldest_possible=1_000.0, carried=0.0) == 50.0
    assert find_expiry(now=50.0, retention=1_000.0, oldest_possible=90_000.0, carried=0.0) == 50.0
