"""Where a body does not fit its JSON Schema, and what cannot be held against one."""

from typing import Any

import pytest

from monitor.catalog.json_schemas import CannotJudge, find_violations
from monitor.catalog.model import Format, Schema


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan")])
def test_a_number_beyond_arithmetic_is_not_judged_and_ends_nothing(value: Any) -> None:
    with pytest.raises(CannotJudge, match="number"):
        find_violations(Schema(Format.JSON, {"multipleOf": 0.1}), value)
