"""The lapped block transform: a filter across block borders, then an orthonormal DCT of each 8³ block.

The filter takes the place of the paper's overlapping margins (section 2.3) at no redundancy: four voxels on
either side of every border are mixed before blocks are cut and unmixed after they are assembled, so that a
block's basis functions reach into its neighbours and fade out (Tran, Liang and Tu, 2003). Both stages are
products with one 512 × 512 matrix. At the faces of the volume, mirrored voxels turn the filter into the
identity.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.blocks import Shape3, assemble_blocks, check_shape, extract_blocks

BLOCK = 8
N_LATENTS = BLOCK**3
FILTERS = ("none", "orthonormal", "half", "biorthogonal")
"""Strengths of the filter, weakest first but one: each suits other data, and the encoder chooses."""

_BLOCKS_PER_STEP = 1024


def _dct(size: int, half_shift: bool = False) -> np.ndarray:
    """Orthonormal DCT-II, or DCT-IV with ``half_shift``; rows are basis functions."""
    frequency = np.arange(size)[:, None] + (0.5 if half_shift else 0.0)
    matrix = np.sqrt(2 / size) * np.cos(np.pi * (np.arange(size) + 0.5) * frequency / size)
    if not half_shift:
        matrix[0] /= np.sqrt(2)
    return matrix


def _filter_matrix(name: str) -> np.ndarray:
    """The filter across one border along one axis, 8 × 8."""
    identity, mirror = np.eye(4), np.eye(4)[::-1]
    scale = {"none": None, "orthonormal": 1.0, "half": 1.6, "biorthogonal": 1.6}[name]
    if scale is None:
        return np.eye(BLOCK)
    rotation = mirror @ _dct(4).T @ np.diag([scale, 1, 1, 1]) @ _dct(4, half_shift=True) @ mirror
    if name == "half":
        rotation = (identity + rotation) / 2
    butterfly = np.block([[identity, mirror], [mirror, -identity]]) / np.sqrt(2)
    zero = np.zeros((4, 4))
    return butterfly.T @ np.block([[identity, zero], [zero, rotation]]) @ butterfly


@functools.cache
def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters and their inverses (n, 8, 8), and norms (n, 8) of the synthesis functions of each latent."""
    filters = np.stack([_filter_matrix(name) for name in FILTERS])
    inverses = np.linalg.inv(filters)
    norms = []
    for inverse in inverses:
        undo = np.eye(3 * BLOCK)
        for border in (BLOCK, 2 * BLOCK):
            undo[border - 4 : border + 4, border - 4 : border + 4] = inverse
        norms.append(np.linalg.norm(undo[:, BLOCK : 2 * BLOCK] @ _dct(BLOCK).T, axis=0))
    return filters.astype(np.float32), inverses.astype(np.float32), np.stack(norms).astype(np.float32)


def _cube(matrix: jax.Array) -> jax.Array:
    """The product of ``matrix`` (8 × 8) with itself along three axes, as one 512 × 512 matrix."""
    return jnp.einsum("ai,bj,ck->abcijk", matrix, matrix, matrix).reshape(N_LATENTS, N_LATENTS)


def _norms(filter_index: jax.Array) -> jax.Array:
    """What an error of 1 in a latent adds to the volume, in the root of its squared sum; (512,)."""
    norms = jnp.asarray(_matrices()[2])[filter_index]
    return jnp.einsum("i,j,k->ijk", norms, norms, norms).reshape(N_LATENTS)


def map_in_steps(function: Callable[[jax.Array], Any], rows: jax.Array) -> Any:
    """``function`` of many rows (n, D), some at a time, so that intermediates stay in cache."""
    n = rows.shape[0]
    n_steps = -(-n // _BLOCKS_PER_STEP)
    padded = jnp.pad(rows, [(0, n_steps * -(-n // n_steps) - n), (0, 0)])
    results = lax.map(function, padded.reshape(n_steps, -1, rows.shape[1]))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], results)


def _map_blocks(blocks: jax.Array, matrix: jax.Array) -> jax.Array:
    """Multiply every block (n, 8, 8, 8) as a row vector by ``matrix``; (n, 512)."""
    return map_in_steps(lambda part: part @ matrix, blocks.reshape(blocks.shape[0], -1))


def _filter_borders(volume: jax.Array, matrix: jax.Array) -> jax.Array:
    """Apply ``matrix`` (8 × 8) across every border along every axis: blocks shifted by half a block."""
    shape = check_shape(volume.shape)
    padded = jnp.pad(volume, BLOCK // 2, mode="symmetric")
    blocks = _map_blocks(extract_blocks(padded, BLOCK), _cube(matrix).T).reshape(-1, *[BLOCK] * 3)
    filtered = assemble_blocks(blocks, check_shape(padded.shape))
    return lax.slice(filtered, [BLOCK // 2] * 3, [BLOCK // 2 + side for side in shape])


def forward(volume: jax.Array, filter_index: jax.Array) -> jax.Array:
    """Latents of a volume.

    Args:
        volume: float32 (z, y, x), sides multiples of 8.
        filter_index: int32, of ``FILTERS``; may be traced.

    Returns:
        float32 (blocks, 512); frequencies in z, y, x order, blocks in z, y, x order. They are scaled so that
        an error of 1 in any latent adds 1 to the volume's squared error, near enough.
    """
    filtered = lax.cond(
        filter_index == 0,
        lambda v: v,
        lambda v: _filter_borders(v, jnp.asarray(_matrices()[0])[filter_index]),
        volume,
    )
    basis = _cube(jnp.asarray(_dct(BLOCK), jnp.float32)).T * _norms(filter_index)[None, :]
    return _map_blocks(extract_blocks(filtered, BLOCK), basis)


def inverse(latents: jax.Array, shape: Shape3, filter_index: jax.Array) -> jax.Array:
    """The volume of ``forward``'s latents: float32 (z, y, x) of ``shape``, sides multiples of 8."""
    basis = _cube(jnp.asarray(_dct(BLOCK), jnp.float32)) / _norms(filter_index)[:, None]
    blocks = _map_blocks(latents, basis).reshape(-1, *[BLOCK] * 3)
    filtered = assemble_blocks(blocks, shape)
    return lax.cond(
        filter_index == 0,
        lambda v: v,
        lambda v: _filter_borders(v, jnp.asarray(_matrices()[1])[filter_index]),
        filtered,
    )
