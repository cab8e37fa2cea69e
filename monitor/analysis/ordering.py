"""Which subscription to look at first: one order for the API, the commands and the pages."""

from monitor.model import Role, Status, Subscription, Verdict

_RANK = {status: rank for rank, status in enumerate(Status)}

Key = tuple[int, bool, float, float, float, str]


def worst_first(subscription: Subscription, verdict: Verdict) -> Key:
    """Return the key that sorts the worst to the front.

    By status, where who was abandoned stands with the well ones: nobody is to do anything at once. Then work before
    retry queues, then how far the age is beyond its objective, then age, then backlog; what is not known counts as
    nothing, and the id makes the order the same every time.
    """
    age = subscription.oldest_age.seconds or 0.0
    objective = verdict.objective_age_seconds
    return (
        _RANK[Status.OK if subscription.abandoned else verdict.status],
        subscription.role is Role.RETRY,
        -age / objective if objective else 0.0,
        -age,
        -(subscription.backlog_messages or 0.0),
        subscription.id,
    )
