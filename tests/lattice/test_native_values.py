import numpy as np
import pytest

from nvc_jax.core.dtypes import round_floats
from nvc_jax.lattice import native_values

FLOAT32 = np.dtype(np.float32)


@pytest.mark.parametrize("fraction_bits", [0, 1, 4])
@pytest.mark.parametrize("scale", [1e-40, 1.0, 3e37])
def test_values_become_fixed_point_as_in_numpy(scale: float, fraction_bits: int) -> None:
    rng = np.random.default_rng(fraction_bits)
    values = (rng.normal(0, 1, (5, 7, 33)) * scale).astype(FLOAT32)[:, ::2]
    low, spacing = float(values.min()), 0.0123 * scale
    exact = (values.astype(np.float64) - low) / spacing * (1 << fraction_bits)
    fixed = native_values.fix_floats(values, low, spacing, fraction_bits)
    np.testing.assert_array_equal(fixed, np.floor(exact) if fraction_bits else np.rint(exact))


@pytest.mark.parametrize("unit", [1e-42, 0.01, 1e34])
def test_fixed_point_becomes_values_as_in_numpy(unit: float) -> None:
    fixed = np.random.default_rng(0).integers(-(2**20), 2**20, (5, 7, 33)).astype(np.int32)[:, :, 3:]
    fixed[0, 0, :2] = -(2**31), 2**31 - 1
    restored = native_values.restore_floats(fixed, -3.3, unit)
    np.testing.assert_array_equal(restored, round_floats(-3.3 + fixed * unit, FLOAT32))
    assert np.isfinite(restored).all()
