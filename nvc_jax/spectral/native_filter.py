"""Native kernel of the post-filter; ``post_filter`` has its specification.

Results differ from the specification's by roundings alone. The kernel takes every sum in the order of the
network's inputs, so it gives the same results whatever the shape of a volume and the place of a voxel.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from nvc_jax.native.dispatch import call

_LAYERS = ("first", "second", "last")


def find_correction(
    network: Mapping[str, jax.Array],
    volume: jax.Array,
    valid_shape: jax.Array,
    noise: jax.Array,
    levels: jax.Array,
) -> jax.Array:
    """Compute the whole correction of a volume, of its shape and in its units.

    Args:
        network: parameters.
        volume: float32 (z, y, x), decoded, in units of the range.
        valid_shape: int32 (3,), voxels along z, y, x that count; the results of others are 0.
        noise: float32, in units of the range.
        levels: float32 (2,), last inputs of the network, the same for all voxels.
    """
    parameters = [network[f"{layer}_{kind}"] for layer in _LAYERS for kind in ("weights", "biases")]
    result = jax.ShapeDtypeStruct(volume.shape, jnp.float32)
    return call("nvc_find_correction", result, volume, valid_shape, noise, levels, *parameters)
