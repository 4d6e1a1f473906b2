"""Native kernels of the separable transform; ``separable`` has their specification.

Of each matrix they multiply only the bands that are not 0. Their results differ from the specification's by
roundings alone.
"""

import jax
import jax.numpy as jnp

from nvc_jax.native.dispatch import call
from nvc_jax.transform.block_layout import N_COEFFICIENTS


def analyze(volume: jax.Array, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Compute the coefficients of a volume, float32 (blocks, 512), by one matrix along each axis."""
    blocks = jax.ShapeDtypeStruct((volume.size // N_COEFFICIENTS, N_COEFFICIENTS), jnp.float32)
    return call("nvc_analyze", blocks, volume, z, y, x)


def synthesize(blocks: jax.Array, z: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Compute a volume, float32 (z, y, x), from its coefficients, by one matrix along each axis."""
    volume = jax.ShapeDtypeStruct((len(z), len(y), len(x)), jnp.float32)
    return call("nvc_synthesize", volume, blocks, z, y, x)
