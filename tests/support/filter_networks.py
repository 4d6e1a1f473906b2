"""Networks of post-filters that were fitted to nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.parameters import Params
from nvc_jax.spectral.post_filter import abstract_filter


def random_network(n_units: int) -> Params:
    """Make a network of random weights."""
    rng = np.random.default_rng(n_units)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.asarray(rng.normal(0, leaf.shape[-1] ** -0.5, leaf.shape).astype(np.float32))

    return jax.tree.map(draw, abstract_filter(n_units)["filter"])
