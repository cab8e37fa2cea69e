"""Which failures of the suite get a second try."""

import pytest

from tests.suite import MOST_TRIED_AGAIN, worth_another_try

ON_A_BROKER = "tests/integration/kafka/test_ages.py::test_one"


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ([ON_A_BROKER], True),
        ([ON_A_BROKER, "tests/dashboards/test_pages.py::test_two"], True),
        ([ON_A_BROKER, "tests/unit/test_naming.py::test_three"], False),
        ([ON_A_BROKER] * MOST_TRIED_AGAIN, True),
        ([ON_A_BROKER] * (MOST_TRIED_AGAIN + 1), False),
        ([], False),
    ],
)
def test_only_a_few_tests_on_real_parts_are_tried_again(failed: list[str], told: bool) -> None:
    assert worth_another_try(failed) is told
