from typing import Any

import pytest

from nvc_jax.training.time_limit import TimeLimit


def test_time_is_counted_from_the_start_and_with_the_time_before() -> None:
    now = [100.0]
    limit = TimeLimit(0.5, lambda: now[0])
    assert (limit.seconds, limit.used(), limit.left()) == (30, 0, 30)
    now[0] += 20
    limit.count_before(15)
    assert (limit.used(), limit.left()) == (35, -5)
    assert limit.before == 15


@pytest.mark.parametrize("minutes", [0, -1, float("inf"), float("nan"), True, "30"])
def test_minutes_that_are_no_time_are_named(minutes: Any) -> None:
    with pytest.raises(ValueError, match=r"`minutes` .* must be a number above 0, such as 30"):
        TimeLimit(minutes)
