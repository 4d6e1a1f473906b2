"""Learned refinement: a small network in the decoder that improves decoded coefficients, in steps.

Most of the error at low rates is in coefficients that were coded as zero. A block's neighbours tell something
about them that the transform does not use. The network sees the first coefficients of a block and of its six
neighbours, and the differences of their DC, and predicts what to add to every coefficient, its *refinement*.
It works in steps of the quantiser, so one network serves every rate. Its output never enters the entropy
decoder: streams decode to the same integers on every device.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nvc_jax.core.batching import map_rows
from nvc_jax.core.parameters import Params, merge_params
from nvc_jax.core.shapes import Shape3

N_BLOCK_FEATURES = 63
"""Features of a block itself: its first coefficients in scan order, without DC."""
N_NEIGHBOR_FEATURES = 32
"""Features of each of the six neighbours: the difference of the two blocks' DC, and the neighbour's first 31
coefficients in scan order."""
N_FEATURES = N_BLOCK_FEATURES + 6 * N_NEIGHBOR_FEATURES
"""Inputs of the network for one block."""
N_HIDDEN = 128
"""Width of the network's hidden layers."""
MAX_REFINEMENT = 1.0
"""Largest magnitude of a refinement, in steps."""


class RefinementNetwork(nnx.Module):
    """Network of two hidden layers, the second residual; its output is zero until it is trained."""

    def __init__(self, n_coefficients: int, n_classes: int, n_filter_modes: int, *, rngs: nnx.Rngs) -> None:
        zeros = nnx.initializers.zeros
        # Full float32 on every device: another device must decode nearly what the encoder's decodes.
        linear = functools.partial(nnx.Linear, precision=lax.Precision.HIGHEST, rngs=rngs)
        self.classes = nnx.Embed(n_classes, N_HIDDEN, embedding_init=zeros, rngs=rngs)
        self.ways = nnx.Embed(n_filter_modes, N_HIDDEN, embedding_init=zeros, rngs=rngs)
        self.first = linear(N_FEATURES, N_HIDDEN)
        self.second = linear(N_HIDDEN, N_HIDDEN)
        self.output = linear(N_HIDDEN, n_coefficients, use_bias=False, kernel_init=zeros)

    def __call__(self, features: jax.Array, classes: jax.Array, filter_modes: jax.Array) -> jax.Array:
        """Predict refinements, float32 (n, D) in steps.

        Args:
            features: float32 (n, N_FEATURES), from ``refinement_features``.
            classes: int32 (n,), classes of the blocks among those of all profiles.
            filter_modes: int32 (n,), (filter, mode) pairs of the blocks.
        """
        hidden = nnx.gelu(self.first(features) + self.classes(classes) + self.ways(filter_modes))
        return self.output(hidden + nnx.gelu(self.second(hidden)))


def init_refinement(n_coefficients: int, n_classes: int, n_filter_modes: int, *, key: jax.Array) -> Params:
    """Make parameters of a refinement that changes nothing yet.

    Args:
        n_coefficients: D, coefficients of a block; more than N_BLOCK_FEATURES.
        n_classes: K, classes of blocks of all profiles.
        n_filter_modes: number of (filter, mode) pairs by which a block may be transformed.
        key: the only source of randomness.

    Returns:
        ``network``: the network's nested dict; ``gains``: float32 (K,), factors of each class's refinements.
    """
    network = RefinementNetwork(n_coefficients, n_classes, n_filter_modes, rngs=nnx.Rngs(params=key))
    return {
        "network": nnx.to_pure_dict(nnx.state(network, nnx.Param)),
        "gains": jnp.ones(n_classes, jnp.float32),
    }


def abstract_refinement(n_coefficients: int, n_classes: int, n_filter_modes: int) -> Params:
    """Describe shapes and dtypes of a refinement's parameters as checkpoints store them."""
    return jax.eval_shape(
        lambda: to_stored_dtypes(
            init_refinement(n_coefficients, n_classes, n_filter_modes, key=jax.random.key(0))
        )
    )


def to_stored_dtypes(params: Params) -> Params:
    """Convert the network to float16, as checkpoints store it: as good as float32 and half the size."""
    return {**params, "network": jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params["network"])}


@functools.lru_cache
def _abstract_network(n_coefficients: int, n_classes: int, n_filter_modes: int) -> tuple[Any, Any]:
    """Describe the network: its graph, and the shapes of its parameters."""
    return nnx.split(
        nnx.eval_shape(lambda: RefinementNetwork(n_coefficients, n_classes, n_filter_modes, rngs=nnx.Rngs(0)))
    )


def bind_refinement(network: Params) -> RefinementNetwork:
    """Make the network of parameters; may be called while tracing."""
    sizes = (
        network["output"]["kernel"].shape[1],
        *(len(network[name]["embedding"]) for name in ("classes", "ways")),
    )
    network = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), network)
    return merge_params(_abstract_network(*sizes), network)


def refinement_features(values: jax.Array, order: jax.Array, grid: Shape3) -> jax.Array:
    """Collect the network's inputs from every block and its six neighbours.

    Args:
        values: float32 (n, D), decoded coefficients in steps, DC first.
        order: int32 (D − 1,), the other coefficients, the likeliest to be large first.
        grid: number of blocks along z, y and x; their product is n.

    Returns:
        float32 (n, N_FEATURES), as inverse hyperbolic sines: the block's first coefficients without DC, then
        for each neighbour the difference of DC and its first coefficients. Beyond the grid all are zero.
    """
    dc = values[:, :1].reshape(*grid, 1)
    compressed = jnp.arcsinh(values[:, order[:N_BLOCK_FEATURES]])
    shared = compressed[:, : N_NEIGHBOR_FEATURES - 1].reshape(*grid, N_NEIGHBOR_FEATURES - 1)
    features = [compressed]
    for axis, length in enumerate(grid):
        widths = [(int(a == axis), int(a == axis)) for a in range(4)]
        padded_dc = jnp.pad(dc, widths, mode="edge")
        padded = jnp.pad(shared, widths)
        for start in (0, 2):  # the neighbours before and after
            difference = lax.slice_in_dim(padded_dc, start, start + length, axis=axis) - dc
            features.append(jnp.arcsinh(difference).reshape(-1, 1))
            neighbours = lax.slice_in_dim(padded, start, start + length, axis=axis)
            features.append(neighbours.reshape(-1, N_NEIGHBOR_FEATURES - 1))
    return jnp.concatenate(features, axis=1)


def refine(
    params: Params,
    values: jax.Array,
    order: jax.Array,
    classes: jax.Array,
    filter_modes: jax.Array,
    grid: Shape3,
) -> jax.Array:
    """Compute refinements of decoded coefficients, to be added to them.

    Args:
        params: from ``init_refinement`` or ``fit_refinement``.
        values: float32 (n, D), decoded coefficients in steps, DC first.
        order: int32 (D − 1,), the other coefficients, the likeliest to be large first.
        classes: int32 (n,), the blocks' classes among those of all profiles.
        filter_modes: int32 (n,), the blocks' (filter, mode) pairs.
        grid: number of blocks along z, y and x; their product is n; static.

    Returns:
        float32 (n, D), in steps, between −MAX_REFINEMENT and MAX_REFINEMENT.
    """
    network, gains = bind_refinement(params["network"]), jnp.asarray(params["gains"])

    def refine_rows(rows: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        features, classes, filter_modes = rows
        refinements = gains[classes][:, None] * network(features, classes, filter_modes)
        return jnp.clip(refinements, -MAX_REFINEMENT, MAX_REFINEMENT)

    return map_rows(refine_rows, (refinement_features(values, order, grid), classes, filter_modes))
