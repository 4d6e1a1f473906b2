import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice.plan import plan_stream
from nvc_jax.lattice.trial import try_coarse_levels
from nvc_jax.lattice.values import FixedValues, encode_values, fix_values

PADDED_SHAPE = (40, 64, 72)


def waves(shape: Shape3, dtype: str = "f4") -> np.ndarray:
    """Make waves with noise in one half."""
    z, y, x = np.indices(shape)
    noise = np.random.default_rng(0).normal(0, 0.1, shape) * (x > shape[2] // 2)
    return (100 * (2 + np.sin(z / 6) * np.cos(y / 9) + np.sin(x / 7) + noise)).astype(dtype)


def fix(values: np.ndarray, max_error: float, valid: np.ndarray | None = None) -> FixedValues:
    """Turn values to fixed point."""
    return fix_values(values, max_error, PADDED_SHAPE, valid)


@pytest.mark.parametrize(("dtype", "max_error"), [("f4", 0.5), ("f8", 3.0), ("u2", 0.0), ("i2", 4.0)])
@pytest.mark.parametrize("shape", [(33, 50, 70), (40, 64, 72), (1, 9, 5)])
def test_the_kernel_counts_what_the_reference_counts(shape: Shape3, dtype: str, max_error: float) -> None:
    valid = np.random.default_rng(1).random(shape) > 0.1
    fixed = fix(waves(shape, dtype), max_error, valid)
    weights = plan_stream(fixed.volume).weights
    own, reference = (
        try_coarse_levels(fixed, weights, PADDED_SHAPE, by_kernel=by_kernel) for by_kernel in (True, False)
    )
    assert own == reference
    assert own.n_points == np.count_nonzero(valid[::2, ::2, ::2])


def test_a_trial_takes_what_the_volume_takes_at_half_the_resolution() -> None:
    values = waves((40, 64, 72))
    fixed, half = fix(values, 0.5), fix(values[::2, ::2, ::2], 0.5)
    trial = try_coarse_levels(fixed, plan_stream(fixed.volume).weights, PADDED_SHAPE)
    stored, decoded, _ = encode_values(half, plan_stream(half.volume))
    assert 0.85 < trial.bits / (8 * len(stored)) < 1.1
    errors = np.square((decoded - half.values.astype(float)) / half.spacing).sum()
    assert trial.squared_error == pytest.approx(errors, rel=0.1)


def test_nothing_is_taken_by_what_is_known() -> None:
    fixed = fix(np.full((33, 50, 70), 7.0, np.float32), 0.5)
    trial = try_coarse_levels(fixed, plan_stream(fixed.volume).weights, PADDED_SHAPE)
    assert trial.bits < 200
    assert trial.squared_error == 0
