import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.chunk_interfaces import NO_LIMITS, Limits
from nvc_jax.core.valid_values import valid_mask
from nvc_jax.native.value_counts import N_ENDS, count_values

FLOAT32 = np.dtype(np.float32)


@given(
    st.integers(0, 1000), st.lists(st.integers(0, 1000), min_size=1, max_size=3), st.sampled_from([1, 5, 400])
)
def test_the_last_distinct_values_are_counted(seed: int, sizes: list[int], spread: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-spread, spread, size).astype(FLOAT32) for size in sizes]
    lowest: dict[float, int] = {}
    highest: dict[float, int] = {}
    for part in parts:
        lowest, highest, _ = count_values(part, lowest, highest)
    numbers, counts = np.unique(np.concatenate(parts), return_counts=True)
    expected = list(zip(numbers.tolist(), counts.tolist(), strict=True))
    assert list(lowest.items()) == expected[:N_ENDS]
    assert list(highest.items()) == expected[::-1][:N_ENDS]


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [-0.0, 0.0]])
def test_both_zeros_are_one(zeros: list[float]) -> None:
    lowest, _, _ = count_values(np.array([*zeros, 1, 2], FLOAT32), {}, {})
    assert lowest == {0.0: 2, 1.0: 1, 2.0: 1}
    assert str(min(lowest)) == "0.0"


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.sampled_from([(), (0.0,), (-3.0, 2.0)]),
    st.sampled_from([NO_LIMITS, (-2.5, math.inf), (-1.0, 1.0)]),
)
def test_values_that_are_not_valid_do_not_count(
    seed: int, shape: list[int], missing_values: tuple[float, ...], valid_limits: Limits
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-4, 5, shape).astype(FLOAT32)
    values[rng.random(shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    counted = count_values(values, {}, {}, missing_values, valid_limits)
    valid = values[valid_mask(values, missing_values, valid_limits)]
    numbers, counts = np.unique(valid, return_counts=True)
    expected = list(zip(numbers.tolist(), counts.tolist(), strict=True))
    assert list(counted.lowest.items()) == expected[:N_ENDS]
    assert list(counted.highest.items()) == expected[::-1][:N_ENDS]


@pytest.mark.parametrize("side", [1, 5, 130, 2100])
def test_values_are_taken_in_c_order_however_they_lie(side: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, 2, 20, side + 1)).astype(FLOAT32)
    shifted = np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:].view(FLOAT32).reshape(values.shape)
    parts = (values, values[1], values[:, 1], values[1, :, ::2], values[..., :side], values[..., 1::2])
    for part in (*parts, values.T, values[::-1, 0], values[0, 0, 0, :side], values[:1], shifted):
        counted = count_values(part, {}, {}, has_checksum=True)
        assert counted.checksum == zlib.crc32(part.tobytes())
        assert list(counted.lowest) == np.unique(part)[:N_ENDS].tolist()
