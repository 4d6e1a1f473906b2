from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral.group_columns import transform_columns
from nvc_jax.spectral.shape_lines import transform_reference

by_kernel = jax.jit(partial(transform_columns, interpret=True))
by_reference = jax.jit(transform_reference)


@pytest.mark.parametrize("sides", [(16, 16), (8, 16), (16, 8)])
@pytest.mark.parametrize("length", [16, 72])
def test_the_kernel_transforms_along_all_axes(sides: tuple[int, int], length: int) -> None:
    rng = np.random.default_rng(0)
    n_axes, n_columns, n_lengths, n_filters = 3, 2, 2, 2
    voxels = rng.normal(size=(n_axes, n_columns, length, *sides)).astype(np.float32)
    first, second = (rng.normal(size=(n_columns, side, side)).astype(np.float32) for side in sides)
    are_means = rng.random(n_columns * sides[0] * sides[1]) < 0.5
    analysis = rng.normal(size=(n_axes, n_lengths, n_filters, length, length)).astype(np.float32)
    is_dc = rng.random((n_axes, n_lengths, length)) < 0.2
    for axis in (0, 2):
        arguments = (
            *(jnp.asarray(voxels), jnp.int32(axis), jnp.asarray(first), jnp.asarray(second)),
            *(jnp.asarray(are_means), jnp.asarray(analysis), jnp.asarray(is_dc)),
            *(jnp.int32(1), jnp.float32(0.5)),
        )
        lines, costs = by_kernel(*arguments)
        wanted, wanted_costs = by_reference(*arguments)
        np.testing.assert_allclose(lines, wanted, rtol=0, atol=2e-4)
        np.testing.assert_allclose(costs, wanted_costs, rtol=1e-5)
        expected = np.einsum("niy,njx,nsyx->nijs", first, second, voxels[axis])
        np.testing.assert_allclose(lines, expected.reshape(-1, length), rtol=0, atol=2e-4)
