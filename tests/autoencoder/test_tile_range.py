import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.autoencoder.tile_range import LARGEST_PLANE, find_range, finite_range_by_platform
from nvc_jax.core.normalization import finite_range


@pytest.mark.parametrize("shape", [(7, 5, 9), (24, 16, 128), (1, 3, 300)])
@pytest.mark.parametrize("hidden", [np.nan, np.inf, -np.inf, 0.0])
def test_the_kernel_is_the_specification(shape: tuple, hidden: float) -> None:
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    volume[0, :2] = hidden
    found = find_range(jnp.asarray(volume), interpret=True)
    np.testing.assert_array_equal(np.stack(found), np.stack(finite_range(jnp.asarray(volume))))


def test_a_volume_without_finite_values_has_an_empty_range() -> None:
    found = find_range(jnp.full((4, 8, 8), jnp.nan), interpret=True)
    np.testing.assert_array_equal(np.stack(found), [0, 0])


@pytest.mark.parametrize(
    ("shape", "dtype", "has_kernel"),
    [
        ((4, 8, 128), "float32", True),
        ((4, 8, 128), "uint8", False),
        ((1, LARGEST_PLANE, 2), "float32", False),
    ],
)
def test_other_volumes_are_left_to_the_compiler(shape: tuple, dtype: str, has_kernel: bool) -> None:
    traced = jax.jit(finite_range_by_platform).trace(jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)))
    assert ("tpu_custom_call" in traced.lower(lowering_platforms=("tpu",)).as_text()) == has_kernel
