"""The filter across block borders."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.transform.block_dct import (
    BLOCK_SIZE,
    dct_matrix,
    multiply,
    next_block,
    previous_block,
    split_planes,
)
from nvc_jax.transform.plan import TransformPlan

FILTERS = ("none", "orthonormal", "half", "biorthogonal")
"""Strengths of the filter, weakest first but one: each suits other data, and the encoder chooses."""


def filter_rotation(name: str) -> np.ndarray:
    """What a filter does to the differences of mirrored voxels on both sides of a border, 4 × 4."""
    mirror = np.eye(4)[::-1]
    scale = {"none": None, "orthonormal": 1.0, "half": 1.6, "biorthogonal": 1.6}[name]
    if scale is None:
        return np.eye(4)
    rotation = mirror @ dct_matrix(4).T @ np.diag([scale, 1, 1, 1]) @ dct_matrix(4, half_shift=True) @ mirror
    return (np.eye(4) + rotation) / 2 if name == "half" else rotation


def border_matrix(rotation: np.ndarray) -> np.ndarray:
    """The filter across one border along one axis, 8 × 8."""
    identity, mirror, zero = np.eye(4), np.eye(4)[::-1], np.zeros((4, 4))
    butterfly = np.block([[identity, mirror], [mirror, -identity]]) / np.sqrt(2)
    return butterfly.T @ np.block([[identity, zero], [zero, rotation]]) @ butterfly


def _norms(inverse: np.ndarray) -> np.ndarray:
    """Norms along one axis of the synthesis functions that a filter's ``inverse`` leaves, (12, 8).

    Rows: 4·(0 for a block, 1 and 2 for the first and second half of a large one), + 2 where the filter
    crosses the border before it, + 1 where it crosses the one after.
    """
    rows = np.zeros((3, 4, BLOCK_SIZE))
    for crossing in range(4):
        for size in (BLOCK_SIZE, 2 * BLOCK_SIZE):
            undo = np.eye(3 * size)
            for border, crosses in ((size, crossing & 2), (2 * size, crossing & 1)):
                if crosses:
                    undo[border - 4 : border + 4, border - 4 : border + 4] = border_matrix(inverse)
            norms = np.linalg.norm(undo[:, size : 2 * size] @ dct_matrix(size).T, axis=0)
            if size == BLOCK_SIZE:
                rows[0, crossing] = norms
            else:
                rows[1:, crossing] = norms[0::2], norms[1::2]
    return rows.reshape(12, BLOCK_SIZE)


@functools.cache
def filter_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every filter the rotation and its inverse less the identity (filters, 4, 4), and norms."""
    rotations = np.stack([filter_rotation(name) for name in FILTERS])
    inverses = np.linalg.inv(rotations)
    norms = np.stack([_norms(inverse) for inverse in inverses])
    changes, undone = rotations - np.eye(4), inverses - np.eye(4)
    return changes.astype(np.float32), undone.astype(np.float32), norms.astype(np.float32)


def _filter(planes: list[jax.Array], crossed: jax.Array, change: jax.Array, stride: int) -> list[jax.Array]:
    """Filter across borders along one axis.

    Args:
        planes: the voxels of all blocks along that axis, eight of (…, n).
        crossed: bool (n,), whether to filter across the border to the next block.
        change: (4, 4), the rotation less the identity, or its inverse less the identity.
        stride: how much further the next block is.
    """
    half = jnp.where(crossed, jnp.float32(0.5), jnp.float32(0))
    half = half.reshape([1] * (planes[0].ndim - 1) + [-1])
    mirrored = jnp.stack([(planes[7 - i] - next_block(planes[i], stride)) * half for i in range(4)])
    changes = multiply(change, mirrored, 0)
    near = [planes[i] - previous_block(changes[i], stride) for i in range(4)]
    return near + [planes[i] + changes[7 - i] for i in range(4, 8)]


def filter_blocks(
    cells: jax.Array, axis: int, plan: TransformPlan, change: jax.Array, stride: int
) -> jax.Array:
    return jnp.stack(_filter(split_planes(cells, axis), plan.crossed[axis], change, stride), axis=axis)


def filter_depth(
    volume: jax.Array, plan: TransformPlan, changes: np.ndarray, filter_index: jax.Array
) -> jax.Array:
    """Filter a volume (z, y, x) along z, before or after the slabs that everything else is done in."""
    change = jnp.asarray(changes)[filter_index]

    def filtered(volume: jax.Array) -> jax.Array:
        layers = volume.reshape(-1, BLOCK_SIZE, volume.shape[1] * volume.shape[2])
        crossed = jnp.repeat(jnp.repeat(plan.crossed[0], BLOCK_SIZE, axis=1), BLOCK_SIZE, axis=2)
        planes = [layers[:, i].reshape(-1) for i in range(BLOCK_SIZE)]
        planes = _filter(planes, crossed.reshape(-1), change, layers.shape[2])
        return jnp.stack([plane.reshape(len(layers), -1) for plane in planes], axis=1).reshape(volume.shape)

    return lax.cond(jnp.any(plan.crossed[0]), filtered, lambda volume: volume, volume)
