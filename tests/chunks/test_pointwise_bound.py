import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.pointwise_bound import PointwiseBound, floor_products
from nvc_jax.chunks.uniform_quantization import round_to_dtype
from nvc_jax.core.dtypes import CODED_DTYPES, ignoring_nan, is_float

SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


def random_values(dtype: str, seed: int) -> np.ndarray:
    """Values of every magnitude, finite and not 0."""
    kind = np.dtype(dtype)
    values = np.frombuffer(np.random.default_rng(seed).bytes(50 * kind.itemsize), kind).copy()
    if not is_float(kind):
        values >>= np.random.default_rng(seed).integers(0, 8 * kind.itemsize - 1, 50).astype(kind)
    values[:2] = (jnp.finfo if is_float(kind) else np.iinfo)(kind).max, 1
    with ignoring_nan(kind):
        values[~np.isfinite(values) | (values == 0)] = 3
    return values


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), SHARES)
def test_products_are_rounded_down_exactly(integers: list[int], share: float) -> None:
    products = floor_products(np.array(integers, np.uint64), share)
    assert products.tolist() == [math.floor(Fraction(share) * i) for i in integers]


@given(st.sampled_from(CODED_DTYPES), st.integers(0, 2**32), SHARES)
def test_what_counts_as_kept_is_kept(dtype: str, seed: int, error: float) -> None:
    values = random_values(dtype, seed)
    bound = PointwiseBound(error)
    factors = np.random.default_rng(seed).choice([1 - error, 1, 1 + error, 0, -1], values.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        decoded = round_to_dtype(values.astype(np.float64) * factors, values.dtype)
    kept = bound.is_kept(values, decoded)
    for value, other, is_kept in zip(values.tolist(), decoded.tolist(), kept.tolist(), strict=True):
        distance, allowed = abs(Fraction(value) - Fraction(other)), Fraction(error) * abs(Fraction(value))
        assert distance <= allowed or not is_kept
        # Floats have a small reserve, integers none.
        assert is_kept or distance > allowed * (1 if not is_float(values.dtype) else 1 - Fraction(1, 2**48))


@pytest.mark.parametrize("dtype", CODED_DTYPES)
@pytest.mark.parametrize("error", [0.5, 0.1, 1e-3, 1e-5])
def test_all_of_an_interval_keeps_the_bound(dtype: str, error: float) -> None:
    values = random_values(dtype, 0)
    bound = PointwiseBound(error)
    centres, half_widths = bound.intervals(values, 20)
    for share in (-0.999999, -0.5, 0.0, 0.7, 0.999999):
        with np.errstate(over="ignore"):
            magnitudes = np.exp2((centres + share * half_widths) / (1 << 20))
            decoded = round_to_dtype(np.where(values < 0, -magnitudes, magnitudes), values.dtype)
        assert bound.is_kept(values, decoded).all()
    if dtype in ("float32", "float64"):
        assert np.median(half_widths) == pytest.approx(bound.half_width * (1 << 20), rel=0.02)
