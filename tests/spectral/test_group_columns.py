import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.group_columns import transform_columns


@pytest.mark.parametrize("sides", [(16, 16), (8, 16), (16, 8)])
@pytest.mark.parametrize("length", [16, 72])
def test_the_kernel_multiplies_along_both_axes(sides: tuple[int, int], length: int) -> None:
    rng = np.random.default_rng(0)
    n_axes, n_columns = 3, 2
    voxels = rng.normal(size=(n_axes, n_columns, length, *sides)).astype(np.float32)
    first, second = (rng.normal(size=(n_columns, side, side)).astype(np.float32) for side in sides)
    for axis in (0, 2):
        arguments = (jnp.asarray(voxels), jnp.int32(axis), jnp.asarray(first), jnp.asarray(second))
        lines = jax.jit(transform_columns, static_argnames="interpret")(*arguments, interpret=True)
        expected = np.einsum("niy,njx,nsyx->nijs", first, second, voxels[axis])
        np.testing.assert_allclose(lines, expected.reshape(-1, length), rtol=0, atol=2e-4)
