import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvc_jax.chunks.error_correction import (
    apply_correction,
    correct,
    correction_from_bytes,
    correction_to_bytes,
)
from nvc_jax.core.dtypes import CODED_DTYPES, is_float

SHAPE = (4, 5, 6)


def make_volume(rng: np.random.Generator, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if is_float(kind):
        return (rng.normal(0, 100, SHAPE) + rng.choice([0, 1000])).astype(dtype)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, SHAPE, endpoint=True, dtype=kind)


def decode_volume(rng: np.random.Generator, original: np.ndarray, kind: str, size: float) -> np.ndarray:
    """Values that a good or a bad decoder may have made of a volume."""
    exact = original.astype(np.float64)
    decoded = {
        "near": exact + rng.normal(0, size, original.shape),
        "zeros": np.zeros_like(exact),
        "noise": rng.normal(0, np.abs(exact).max(), original.shape),
        "negated": -exact,
    }[kind]
    return decoded.astype(np.float32 if original.dtype.itemsize < 4 else np.float64)


KINDS = st.sampled_from(["near", "zeros", "noise", "negated"])
SEEDS = st.integers(0, 2**32 - 1)


@example(121, "uint16", "zeros", -5.0, 0.015625)  # a sum that float32 rounds the other way
@given(SEEDS, st.sampled_from(CODED_DTYPES), KINDS, st.floats(-5, 0), st.floats(0, 0.2))
def test_the_bound_is_kept_whatever_was_decoded(
    seed: int, dtype: str, kind: str, exponent: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    original = make_volume(rng, dtype)
    width = float(original.max()) - float(original.min())
    bound = 10**exponent * width
    reserve = share * (bound if is_float(original.dtype) else max(bound, 0.5))
    decoded = decode_volume(rng, original, kind, bound)
    correction = correct(original, decoded, bound, reserve)
    if correction is None:
        return
    for elsewhere in (0, -reserve, reserve, rng.uniform(-reserve, reserve, original.shape)):
        # Not all of the reserve: a part is for rounding to the dtype of the decoded values.
        moved = (decoded.astype(np.float64) + 0.999 * elsewhere).astype(decoded.dtype)
        if decoded.dtype == np.float32 and np.spacing(np.abs(moved).max()) > 1e-4 * reserve:
            moved = decoded
        corrected = apply_correction(moved, correction, original.dtype)
        assert corrected.dtype == original.dtype
        errors = np.abs(corrected.astype(np.float64) - original.astype(np.float64))
        assert errors.max() <= bound


@given(SEEDS, st.sampled_from(CODED_DTYPES), KINDS, st.floats(-5, 0))
def test_corrections_come_back_from_bytes(seed: int, dtype: str, kind: str, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    original = make_volume(rng, dtype)
    bound = 10**exponent * (float(original.max()) - float(original.min()))
    correction = correct(original, decode_volume(rng, original, kind, bound), bound, 0.0)
    if correction is None:
        return
    restored = correction_from_bytes(correction_to_bytes(correction, SHAPE), SHAPE, original.dtype)
    assert restored.spacing == correction.spacing
    for restored_part, part in zip(restored, correction, strict=True):
        np.testing.assert_array_equal(restored_part, part)


def test_nothing_is_corrected_that_is_within_the_bound() -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    correction = correct(original, original + np.float32(0.009), 0.01, 1e-4)
    assert correction is not None
    assert correction.positions.size == 0
    assert correction.exact_positions.size == 0


def test_a_reserve_as_large_as_the_bound_is_refused() -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    assert correct(original, original, 0.01, 0.01) is None
    assert correct(original, original, 0.0, 0.0) is None


def test_integers_come_back_exactly_with_a_bound_below_one() -> None:
    original = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    correction = correct(original, original + np.float32(3.3), 0.5, 0.01)
    assert correction is not None
    restored = apply_correction(original + np.float32(3.3), correction, original.dtype)
    np.testing.assert_array_equal(restored, original)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_no_multiple_reaches_are_stored_exactly(bad: float) -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    decoded = original.copy()
    decoded[1, 1, 1] = bad
    correction = correct(original, decoded, 0.01, 1e-4)
    assert correction is not None
    assert correction.exact_positions.tolist() == [26]
    np.testing.assert_array_equal(apply_correction(decoded, correction, original.dtype), original)


def test_damaged_corrections_are_errors() -> None:
    original = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)
    decoded = original + np.float32(0.1)
    decoded[1, 1, 1] = np.nan
    correction = correct(original, decoded, 0.01, 1e-4)
    assert correction is not None
    stored = correction_to_bytes(correction, (3, 4, 5))
    for damaged, message in [
        (stored[:7], "lacks its header"),
        (stored[:9], "1 exact values"),
        (b"\xff" * 8 + stored[8:], "has the spacing nan"),
        (stored[:9] + b"\xff" * 4 + stored[13:], "has an exact value at 4294967295 of 60 voxels"),
    ]:
        with pytest.raises(ValueError, match=message):
            correction_from_bytes(damaged, (3, 4, 5), np.dtype("float32"))
