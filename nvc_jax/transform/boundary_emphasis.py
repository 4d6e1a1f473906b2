"""Faces at which chunks meet: pre-emphasis across them, so that no seam is seen where each chunk ends.

Chunks decode by themselves. The lapped filter stops at their boundaries, and errors on both sides know nothing of
each other, which shows as a plane in smooth data. So before the transform the four voxels next to such a face
are *emphasized* along the axis across it, and after its inverse *de-emphasized*, errors with them: an error
next to a face weighs four times what it does elsewhere, one behind it twice. The mean of the four stays what
it is. It costs few bits, as errors of the block's other voxels shrink, too.

Faces are six bits of an integer: 1 and 2 for those before and after along z, then along y, then along x.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import Shape3
from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS, dct_matrix, mix_layers

ALL_BOUNDARIES = 0b111111
_REACH = 4
_WEIGHTS = (4, 2, 1, 1, 1, 1, 1, 1)
"""What a squared error of each voxel weighs, by its distance from the face."""
_MIX = ((1.179, 0.434, 0.226), (-0.067, 1.092, 0.577), (-0.022, -0.286, 0.987))
"""What emphasis does to the frequencies 1 to 3 of the four voxels: with weights as above it minimises the
rate, averaged over blocks of 8 and 16, of an AR(1) process of correlation 0.95."""


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Emphasis and its inverse (4, 4), and what latents of each frequency across a face weigh (8,)."""
    mix = np.eye(_REACH)
    mix[1:, 1:] = _MIX
    emphasis = dct_matrix(_REACH).T @ mix @ dct_matrix(_REACH)
    synthesis = dct_matrix(BLOCK_SIZE).T
    synthesis[:_REACH] = np.linalg.inv(emphasis) @ synthesis[:_REACH]
    weights = np.sqrt(np.array(_WEIGHTS) @ synthesis**2)
    return emphasis.astype(np.float32), np.linalg.inv(emphasis).astype(np.float32), weights.astype(np.float32)


def _has(boundaries: jax.Array, axis: int, end: int) -> jax.Array:
    return boundaries >> (2 * axis + end) & 1 == 1


def _map_faces(volume: jax.Array, boundaries: jax.Array, matrix: np.ndarray) -> jax.Array:
    for axis, side in enumerate(volume.shape):
        for end, across in enumerate((matrix, matrix[::-1, ::-1])):
            # Not a branch: one that leaves all as it is would copy the volume.
            chosen = jnp.where(_has(boundaries, axis, end), across, np.eye(_REACH, dtype=np.float32))
            volume = mix_layers(volume, chosen, end * (side - _REACH), axis)
    return volume


def emphasize(volume: jax.Array, boundaries: jax.Array) -> jax.Array:
    """Emphasize what lies next to ``boundaries``, int32, of a float32 volume (z, y, x) of whole blocks."""
    return _map_faces(volume, boundaries, _tables()[0])


def deemphasize(volume: jax.Array, boundaries: jax.Array) -> jax.Array:
    """The inverse of ``emphasize``."""
    return _map_faces(volume, boundaries, _tables()[1])


def boundary_weights(grid: Shape3, boundaries: jax.Array) -> jax.Array:
    """What an error of 1 in each latent but the mean weighs in a volume with such boundaries: float32 (n, 512)."""
    along = []
    for axis, length in enumerate(grid):
        index = jnp.arange(length)
        at_face = [_has(boundaries, axis, end) & (index == end * (length - 1)) for end in range(2)]
        weights = [jnp.where(at[:, None], _tables()[2][None], jnp.float32(1)) for at in at_face]
        along.append(weights[0] * weights[1])
    return jnp.einsum("ai,bj,ck->abcijk", *along).reshape(-1, N_COEFFICIENTS)
