from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.group_kernels import load_where
from nvc_jax.core.normalization import denormalize, normalize
from nvc_jax.core.shapes import Shape3
from nvc_jax.transform import group_separable
from nvc_jax.transform.block_layout import from_blocks, to_blocks
from nvc_jax.transform.group_separable import locate_coefficients
from nvc_jax.transform.separable import apply_matrices

LIMITS = (jnp.float32(-3), jnp.float32(5))
RULE = group_separable.EnergyRule(1.5, 0.25)
SHAPES: tuple[Shape3, ...] = ((8, 16, 24), (13, 5, 140))  # one tile, and more than one, the last not full


def matrices_for(shape: Shape3) -> list[jax.Array]:
    rng = np.random.default_rng(0)
    sides = (-(-side // 8) * 8 for side in shape)
    return [jnp.asarray(rng.normal(size=(side, side)) / np.sqrt(side), jnp.float32) for side in sides]


def volume_of(shape: Shape3, dtype: str) -> jax.Array:
    values = np.random.default_rng(1).uniform(-4, 6, shape)  # some beyond the limits
    return jnp.asarray(np.abs(values).astype(dtype) if dtype == "uint8" else values, dtype)


@jax.jit
def transform(volume: jax.Array, matrices: list[jax.Array]) -> jax.Array:
    widths = [(0, len(matrix) - side) for matrix, side in zip(matrices, volume.shape, strict=True)]
    centered = jnp.pad(normalize(volume, *LIMITS) - 0.5, widths, mode="edge")
    return to_blocks(apply_matrices(centered, matrices))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_compute_the_coefficients_of_the_specification(shape: Shape3, dtype: str) -> None:
    volume, matrices = volume_of(shape, dtype), matrices_for(shape)
    kernels = jax.jit(partial(group_separable.forward, limits=LIMITS, rule=RULE, interpret=True))
    coefficients, energies = kernels(volume, matrices=matrices)
    expected = transform(volume, matrices)
    np.testing.assert_allclose(coefficients, expected, rtol=0, atol=2e-6)
    of_each = np.minimum(np.abs(expected[:, 1:]) * 1.5, 0.25)
    np.testing.assert_allclose(energies, of_each.sum(axis=1), rtol=0, atol=2e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_compute_the_volume_of_the_specification(shape: Shape3, dtype: str) -> None:
    matrices = matrices_for(shape)
    z, y, x = sides = tuple(len(matrix) for matrix in matrices)
    blocks = np.random.default_rng(2).normal(size=(z * y * x // 512, 512)) / 4
    blocks = jnp.asarray(blocks, jnp.float32)

    def load(blocks: jax.Array, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        block, coefficient, exists = locate_coefficients(sides, z, y, x)
        return load_where(blocks, (block, coefficient), exists)

    @jax.jit
    def by_kernels(blocks: jax.Array, matrices: list[jax.Array]) -> jax.Array:
        return group_separable.inverse(load, blocks, matrices, LIMITS, shape, dtype, interpret=True)

    @jax.jit
    def by_products(blocks: jax.Array, matrices: list[jax.Array]) -> jax.Array:
        centered = apply_matrices(from_blocks(blocks, (z // 8, y // 8, x // 8)), matrices)
        return denormalize(centered[: shape[0], : shape[1], : shape[2]] + 0.5, *LIMITS, dtype)

    volume, expected = by_kernels(blocks, matrices), by_products(blocks, matrices)
    assert volume.dtype == expected.dtype
    atol = {"float32": 1e-5, "float16": 4e-3, "uint8": 1}[dtype]
    np.testing.assert_allclose(volume.astype(jnp.float32), expected.astype(jnp.float32), rtol=0, atol=atol)
