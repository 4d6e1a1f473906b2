import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.normalization import finite_range
from nvc_jax.spectral import volume_survey
from nvc_jax.spectral.group_survey import survey

by_kernel = jax.jit(survey, static_argnames="interpret")
by_reference = jax.jit(volume_survey.survey_reference)


def volume_of(shape: tuple[int, int, int], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=shape).cumsum(axis=2) + 1000
    return (np.clip(smooth - 950, 0, 255) if dtype == "uint8" else smooth).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int32"])
@pytest.mark.parametrize("shape", [(16, 24, 32), (9, 13, 140)])
def test_the_kernel_finds_the_range_and_the_sums_of_blocks(shape: tuple[int, int, int], dtype: str) -> None:
    volume = jnp.asarray(volume_of(shape, dtype))
    limits, sums = by_kernel(volume, interpret=True)
    wanted_limits, wanted = by_reference(volume)
    assert [float(limit) for limit in limits] == [float(limit) for limit in wanted_limits]
    np.testing.assert_allclose(sums, wanted, rtol=0, atol=1e-3)


def test_voxels_that_are_not_finite_do_not_count() -> None:
    volume = volume_of((16, 16, 16), "float32")
    volume[0, 0, 0], volume[3, 4, 5], volume[9, 9, 9] = np.inf, np.nan, -np.inf
    limits, sums = by_kernel(jnp.asarray(volume), interpret=True)
    assert tuple(map(float, limits)) == tuple(map(float, jax.jit(finite_range)(volume)))
    assert np.isfinite(sums).all()


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_a_constant_volume_has_no_width(value: float) -> None:
    volume = jnp.full((8, 8, 16), value, jnp.float32)
    limits, sums = by_kernel(volume, interpret=True)
    wanted_limits, wanted = by_reference(volume)
    assert limits == wanted_limits
    np.testing.assert_allclose(sums, wanted, atol=1e-3)


def test_sums_of_the_largest_numbers_are_finite() -> None:
    largest = np.finfo(np.float32).max
    volume = np.where(np.indices((8, 8, 8)).sum(axis=0) % 2 == 0, largest, -largest).astype(np.float32)
    (minimum, maximum), sums = by_kernel(jnp.asarray(volume), interpret=True)
    assert (float(minimum), float(maximum)) == (-largest, largest)
    assert abs(float(sums[0, 0, 0])) < 1e-2
