import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import MODELS, N_CLASSES, N_TABLES

from nvc_jax.spectral.bitstream import BlockSymbols
from nvc_jax.spectral.dequantization import dequantize
from nvc_jax.spectral.entropy_model import reconstruct_coefficients
from nvc_jax.transform.block_layout import N_COEFFICIENTS

N_BLOCKS = 9


@pytest.mark.parametrize("n_quantizers", [1, 2])
@pytest.mark.parametrize("share", [0.01, 0.9])
def test_coefficients_are_those_of_the_points_in_units_of_the_step(n_quantizers: int, share: float) -> None:
    rng = np.random.default_rng(n_quantizers)
    model = MODELS[n_quantizers]._replace(
        reconstruction_offsets=jnp.asarray(rng.uniform(0, 0.3, (n_quantizers * N_TABLES, 2)), jnp.float32)
    )
    points = rng.integers(-9, 10, (N_BLOCKS, N_COEFFICIENTS)) * (
        rng.random((N_BLOCKS, N_COEFFICIENTS)) < share
    )
    points[0, 100:110] = [-(2**20), 2**20, 1, -1, 2, -2, 3, -3, 0, 2**15 + 1]
    points = jnp.asarray(points * (3 - n_quantizers), jnp.int32)
    first = jnp.asarray(rng.integers(-70000, 70000, N_BLOCKS), jnp.int32)
    classes = jnp.asarray(rng.integers(0, N_CLASSES, N_BLOCKS), jnp.int32)
    step = jnp.float32(0.013)
    coefficients = jax.jit(dequantize)(model, BlockSymbols(points, first, classes), first, step)
    in_steps = jax.jit(reconstruct_coefficients)(model, points.at[:, 0].set(2 * first), classes)
    np.testing.assert_array_equal(coefficients, np.asarray(in_steps) * np.float32(0.013))
