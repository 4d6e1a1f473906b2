import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.dtypes import DEVICE_DTYPES
from nvc_jax.core.normalization import (
    denormalize,
    finite_limits,
    finite_range,
    is_wide,
    normalize,
    normalize_wide,
)


@jax.jit
def round_trip(volume: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Normalise a volume by its own range, and undo it."""
    low, high = finite_range(volume)
    unit = normalize(volume, low, high)
    return unit, denormalize(unit, low, high, volume.dtype)


@pytest.mark.parametrize("dtype", DEVICE_DTYPES)
def test_round_trip(dtype: str) -> None:
    volume = np.random.default_rng(0).uniform(0, 30000 if dtype != "uint8" else 255, (4, 5, 6)).astype(dtype)
    unit, restored = round_trip(volume)
    assert (unit.min(), restored.dtype) == (0, volume.dtype)
    assert unit.max() == pytest.approx(1)
    np.testing.assert_allclose(restored, volume, rtol=1e-6, atol=0 if dtype != "float32" else 1e-2)


@pytest.mark.parametrize("value", [0, -7.5, 3e38])
def test_constant_volume_maps_to_zero_and_back(value: float) -> None:
    unit, restored = round_trip(np.full((2, 2, 2), value, np.float32))
    assert np.all(unit == 0)
    assert np.all(restored == np.float32(value))


def test_values_that_are_not_finite_stay_out_of_the_range() -> None:
    unit, _ = round_trip(np.array([np.nan, -np.inf, 1, 2, 3, np.inf], np.float32))
    np.testing.assert_allclose(unit, [0, 0, 0, 0.5, 1, 1])
    assert finite_range(jnp.array([jnp.nan])) == (0, 0)


@pytest.mark.parametrize("scale", [3e38, 1e-30])
def test_huge_and_tiny_ranges(scale: float) -> None:
    volume = np.array([-1, -0.5, 0, 1], np.float32) * np.float32(scale)
    unit, restored = round_trip(volume)
    np.testing.assert_allclose(unit, [0, 0.25, 0.5, 1], atol=1e-6)
    np.testing.assert_allclose(restored, volume, atol=scale * 1e-6)


def test_infinities_beside_a_constant_map_to_zero() -> None:
    unit, _ = round_trip(np.array([5, 5, np.inf], np.float32))
    np.testing.assert_array_equal(unit, 0)


def test_narrow_integer_ranges_stay_in_the_unit_interval() -> None:
    unit, _ = round_trip(np.arange(-24606, -24546, dtype=np.int16))
    assert (unit.min(), unit.max()) == (0, 1)


@pytest.mark.parametrize("limits", [(0, 1e300), (-1e308, 1e308), (1e9, 1e9 + 1), (0, 1e-300)])
def test_values_that_float32_does_not_hold_are_scaled_as_others_are(limits: tuple[float, float]) -> None:
    low, high = limits
    unit = np.linspace(0, 1, 30)
    values = np.concatenate([low * (1 - unit) + high * unit, [np.nan, np.inf, -np.inf]])
    assert is_wide(values.dtype)
    assert finite_limits(values) == limits
    scaled = normalize_wide(values, low, high)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [*unit, 0, 1, 0], atol=1e-4)


def test_wide_values_without_a_range_are_zero() -> None:
    assert finite_limits(np.array([np.nan, np.inf])) == (0, 0)
    assert normalize_wide(np.array([7.0, np.nan]), 7, 7).tolist() == [0, 0]
    assert [is_wide(np.dtype(name)) for name in ("uint8", "int16", "float16", "float32", "int32")] == [
        False,
        False,
        False,
        False,
        True,
    ]
