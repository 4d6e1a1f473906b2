import math

import numpy as np
import pytest

from nvc_jax.container.value_rules import choose_fill_value, limits_as_json, limits_from_json
from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits, ValueRange


@pytest.mark.parametrize("limits", [NO_LIMITS, (0.0, math.inf), (-math.inf, 3.5), (-1.0, 1.0)])
def test_limits_return_from_json(limits: Limits) -> None:
    stored = limits_as_json(limits)
    assert all(limit is None or math.isfinite(limit) for limit in stored)
    assert limits_from_json("value_limits", stored) == limits


@pytest.mark.parametrize(
    "stored", [[2, 1], [1], [1, 2, 3], 7, ["a", 1], ["0", "1"], [True, None], [math.nan, 1], {"a": 1}, None]
)
def test_other_json_is_refused(stored: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        limits_from_json("value_limits", stored)


@pytest.mark.parametrize(
    ("dtype", "value_range", "fill_value"),
    [
        ("float16", ValueRange(0.0, 1.0), "NaN"),
        ("float64", ValueRange(0.0, 1.0, (-9.0,)), "NaN"),
        ("int16", ValueRange(0.0, 1.0, (-9.0,)), -9),
        ("int16", ValueRange(-10.0, 1.0, (-9.0,)), 32767),
        ("uint8", ValueRange(0.0, 254.0), 255),
        ("uint8", ValueRange(1.0, 255.0), 0),
        ("int8", ValueRange(-100.0, 127.0, (1e10,)), -128),
        ("uint8", ValueRange(0.0, 255.0), 0),
    ],
)
def test_the_fill_value_shows_where_a_chunk_is_missing(
    dtype: str, value_range: ValueRange, fill_value: str | int
) -> None:
    assert choose_fill_value(np.dtype(dtype), value_range) == fill_value
