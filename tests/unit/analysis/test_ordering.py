from monitor.analysis.ordering import worst_first
from monitor.model import Age, AgeMethod, Role, Status, Subscription, System, Verdict


def row(
    name: str,
    status: Status = Status.LAGGING,
    *,
    age: float | None = None,
    backlog: float | None = None,
    objective: float | None = None,
    role: Role = Role.WORK,
    abandoned: bool = False,
) -> tuple[Subscription, Verdict]:
    known = Age(age, AgeMethod.EXACT) if age is not None else Age.unknown()
    subscription = Subscription(
        name, System.KAFKA, "c", "d", "s", backlog_messages=backlog, oldest_age=known, role=role, abandoned=abandoned
    )
    return subscription, Verdict(status, "", 0.0, objective_age_seconds=objective)


def order(*rows: tuple[Subscription, Verdict]) -> list[str]:
    return [subscription.id for subscription, _ in sorted(rows, key=lambda it: worst_first(*it))]


def test_statuses_come_in_the_order_of_the_model() -> None:
    rows = [row(status.value, status) for status in reversed(Status)]
    assert order(*rows) == [status.value for status in Status]


def test_work_comes_before_retry_queues_of_the_same_status() -> None:
    assert order(row("retry", age=900, role=Role.RETRY), row("work", age=1)) == ["work", "retry"]


def test_what_is_furthest_beyond_its_objective_comes_first_then_the_oldest_then_the_deepest() -> None:
    rows = [
        row("deep", backlog=900),
        row("shallow", backlog=9),
        row("not known"),
        row("old", age=5_000),
        row("twice", age=60, objective=30),
        row("ten times", age=50, objective=5),
    ]
    assert order(*rows) == ["ten times", "twice", "old", "deep", "shallow", "not known"]


def test_who_was_abandoned_stands_behind_those_that_need_somebody() -> None:
    rows = [row("abandoned", Status.STOPPED, age=900_000, abandoned=True), row("late", age=9), row("ok", Status.OK)]
    assert order(*rows) == ["late", "abandoned", "ok"]


def test_equal_rows_keep_one_order() -> None:
    assert order(row("b"), row("a")) == order(row("a"), row("b")) == ["a", "b"]
