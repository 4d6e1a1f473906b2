"""Native kernels of the separable transform; ``separable`` has their specification.

They take the matrix of an axis by its factors. Rows of the DCT are symmetric about the middle of their
segment, so the kernels add and subtract mirrored voxels first, and multiply by a half, a quarter, … of the
matrix.
Results differ from the specification's by roundings alone.
"""

import jax
import jax.numpy as jnp

from nvc_jax.native.dispatch import call
from nvc_jax.transform.axis_transform import Factors
from nvc_jax.transform.block_layout import N_COEFFICIENTS


def analyze(volume: jax.Array, axes: list[Factors]) -> jax.Array:
    """Compute the coefficients of a volume, float32 (blocks, 512), by the factors of each axis's analysis."""
    blocks = jax.ShapeDtypeStruct((volume.size // N_COEFFICIENTS, N_COEFFICIENTS), jnp.float32)
    return call("nvc_analyze", blocks, volume, *jax.tree.leaves(axes))


def synthesize(blocks: jax.Array, axes: list[Factors]) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from its coefficients, by the factors of each axis's synthesis."""
    sides = [len(axis.dct) for axis in axes]
    volume = jax.ShapeDtypeStruct(tuple(sides), jnp.float32)
    return call("nvc_synthesize", volume, blocks, *jax.tree.leaves(axes))
