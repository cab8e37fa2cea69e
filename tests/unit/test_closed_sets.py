"""Words that rules, dashboards and scripts compare with: a new one, or another spelling, breaks them."""

from collections.abc import Iterable

import pytest

from monitor.api.guard import ROLES
from monitor.model import Problem, Status, System
from monitor.redrive.model import JobState


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (System, "kafka rabbitmq sqs sns"),
        (Status, "ok lagging stalled stopped rewound losing unknown"),
        (
            Problem,
            "none_configured target_missing retention_too_short not_allowed other_region drops_everything",
        ),
        (
            JobState,
            "planned awaiting_approval scheduled canary running paused verifying completed completed_with_failures "
            "cancelling cancelled failed interrupted recovering",
        ),
        (ROLES, "viewer operator admin"),
    ],
    ids=["systems", "statuses", "problems", "states of jobs", "roles"],
)
def test_the_words_are_these(known: Iterable[str], words: str) -> None:
    assert {str(it) for it in known} == set(words.split())
