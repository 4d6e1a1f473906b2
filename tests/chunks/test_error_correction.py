import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvc_jax.chunks.error_correction import apply_correction, correct
from nvc_jax.core.dtypes import DTYPES


def volume(rng: np.random.Generator, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.normal(0, 100, (4, 5, 6)) + rng.choice([0, 1000])).astype(dtype)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, (4, 5, 6), endpoint=True, dtype=kind)


def decoder(rng: np.random.Generator, original: np.ndarray, kind: str, size: float) -> np.ndarray:
    """What a decoder may have made of a volume, good or bad."""
    exact = original.astype(np.float64)
    decoded = {
        "near": exact + rng.normal(0, size, original.shape),
        "zeros": np.zeros_like(exact),
        "noise": rng.normal(0, np.abs(exact).max(), original.shape),
        "negated": -exact,
    }[kind]
    return decoded.astype(np.float32 if original.dtype.itemsize < 4 else np.float64)


@example(121, "uint16", "zeros", -5.0, 0.015625)  # a sum that float32 rounds the other way
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(DTYPES),
    st.sampled_from(["near", "zeros", "noise", "negated"]),
    st.floats(-5, 0),
    st.floats(0, 0.2),
)
def test_the_bound_is_kept_whatever_was_decoded(
    seed: int, dtype: str, kind: str, exponent: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    original = volume(rng, dtype)
    extent = float(original.max()) - float(original.min())
    bound = 10**exponent * extent
    reserve = share * (bound if original.dtype.kind == "f" else max(bound, 0.5))
    decoded = decoder(rng, original, kind, bound)
    found = correct(original, decoded, bound, reserve)
    if found is None:
        return
    for elsewhere in (0, -reserve, reserve, rng.uniform(-reserve, reserve, original.shape)):
        # Less the rounding to the dtype in which is decoded, which a reserve is to include.
        moved = (decoded.astype(np.float64) + 0.999 * elsewhere).astype(decoded.dtype)
        if decoded.dtype == np.float32 and np.spacing(np.abs(moved).max()) > 1e-4 * reserve:
            moved = decoded
        corrected = apply_correction(moved, found, original.dtype)
        assert corrected.dtype == original.dtype
        errors = np.abs(corrected.astype(np.float64) - original.astype(np.float64))
        assert errors.max() <= bound


def test_nothing_is_corrected_that_is_within_the_bound() -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    found = correct(original, original + np.float32(0.009), 0.01, 1e-4)
    assert found is not None
    assert found.positions.size == 0
    assert found.exact_positions.size == 0


def test_a_reserve_as_large_as_the_bound_is_refused() -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    assert correct(original, original, 0.01, 0.01) is None
    assert correct(original, original, 0.0, 0.0) is None


def test_integers_come_back_exactly_with_a_bound_below_one() -> None:
    original = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    found = correct(original, original + np.float32(3.3), 0.5, 0.01)
    assert found is not None
    restored = apply_correction(original + np.float32(3.3), found, original.dtype)
    np.testing.assert_array_equal(restored, original)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_no_spacing_reaches_is_stored(bad: float) -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    decoded = original.copy()
    decoded[1, 1, 1] = bad
    found = correct(original, decoded, 0.01, 1e-4)
    assert found is not None
    assert found.exact_positions.tolist() == [26]
    np.testing.assert_array_equal(apply_correction(decoded, found, original.dtype), original)
