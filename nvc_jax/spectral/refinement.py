"""Learned refinement: a small network in the decoder that corrects decoded latents, in units of the step.

Most of the error at low rates is in latents that were coded as zero. A block's neighbours tell something
about them that the transform leaves unused: the network sees a block's own values, its six neighbours' and
the differences of their means, and emits a correction for every latent. It knows values only in steps, so
one network serves every rate; what it says never enters the entropy decoder.
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

N_OWN = 64
"""How many of its own latents a block's correction is made from, its mean left out."""
N_SHARED = 32
"""How many of their latents its six neighbours show it, the difference of means for the mean."""
N_FEATURES = N_OWN - 1 + 6 * N_SHARED
N_HIDDEN = 128
MAX_CORRECTION = 1.0
"""Largest correction, in steps."""


class RefinementNetwork(nnx.Module):
    """Two hidden layers, the second residual; says zero until it is trained."""

    def __init__(self, n_latents: int, n_classes: int, n_ways: int, *, rngs: nnx.Rngs) -> None:
        zeros = nnx.initializers.zeros
        # Full float32 on every device: what is decoded elsewhere must be near what the encoder decoded.
        linear = functools.partial(nnx.Linear, precision=lax.Precision.HIGHEST, rngs=rngs)
        self.classes = nnx.Embed(n_classes, N_HIDDEN, embedding_init=zeros, rngs=rngs)
        self.ways = nnx.Embed(n_ways, N_HIDDEN, embedding_init=zeros, rngs=rngs)
        self.first = linear(N_FEATURES, N_HIDDEN)
        self.second = linear(N_HIDDEN, N_HIDDEN)
        self.output = linear(N_HIDDEN, n_latents, use_bias=False, kernel_init=zeros)

    def __call__(self, features: jax.Array, classes: jax.Array, ways: jax.Array) -> jax.Array:
        """Corrections float32 (n, D), in steps, from ``features`` (n, N_FEATURES) and int32 (n,) indices."""
        hidden = nnx.gelu(self.first(features) + self.classes(classes) + self.ways(ways))
        return self.output(hidden + nnx.gelu(self.second(hidden)))


def init_refinement(n_latents: int, n_classes: int, n_ways: int, *, key: jax.Array) -> Params:
    """Parameters of a refinement that changes nothing yet.

    Args:
        n_latents: D, latents of a block; at least N_OWN.
        n_classes: K, classes of blocks.
        n_ways: in how many ways one may transform a block (filters, sizes).
        key: the only source of randomness.

    Returns:
        ``network``: the network's nested dict; ``gains``: float32 (K,), what each class's corrections are
        multiplied by.
    """
    network = RefinementNetwork(n_latents, n_classes, n_ways, rngs=nnx.Rngs(params=key))
    return {
        "network": nnx.to_pure_dict(nnx.state(network, nnx.Param)),
        "gains": jnp.ones(n_classes, jnp.float32),
    }


def abstract_refinement(n_latents: int, n_classes: int, n_ways: int) -> Params:
    """Shapes and dtypes of a refinement's parameters as checkpoints store them."""
    return jax.eval_shape(
        lambda: stored(init_refinement(n_latents, n_classes, n_ways, key=jax.random.key(0)))
    )


def stored(params: Params) -> Params:
    """Parameters as checkpoints store them: the network in float16, which is as good and half as large."""
    return {**params, "network": jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params["network"])}


@functools.lru_cache
def _abstract_network(n_latents: int, n_classes: int, n_ways: int) -> tuple[Any, Any]:
    return nnx.split(
        nnx.eval_shape(lambda: RefinementNetwork(n_latents, n_classes, n_ways, rngs=nnx.Rngs(0)))
    )


def bind_refinement(network: Params) -> RefinementNetwork:
    """The network with its parameters; may be called while tracing."""
    sizes = (
        network["output"]["kernel"].shape[1],
        *(len(network[k]["embedding"]) for k in ("classes", "ways")),
    )
    network = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), network)
    return merge_params(_abstract_network(*sizes), network)


def refinement_features(values: jax.Array, order: jax.Array, grid: Shape3) -> jax.Array:
    """What the network sees of every block and of its six neighbours.

    Args:
        values: float32 (n, D), decoded latents in steps, the mean first.
        order: int32 (D − 1,), the other latents, the likeliest to be large first.
        grid: blocks along z, y and x, n together.

    Returns:
        float32 (n, N_FEATURES), on a logarithmic scale: the block's own first values, but for its mean, and
        its neighbours', with differences of means; zero beyond the boundaries of the grid.
    """
    means = values[:, :1].reshape(*grid, 1)
    compressed = jnp.arcsinh(values[:, order[: N_OWN - 1]])
    shared = compressed[:, : N_SHARED - 1].reshape(*grid, N_SHARED - 1)
    seen = [compressed]
    for axis, length in enumerate(grid):
        widths = [(int(a == axis), int(a == axis)) for a in range(4)]
        padded_means = jnp.pad(means, widths, mode="edge")
        padded = jnp.pad(shared, widths)
        for start in (0, 2):  # the neighbours before and after
            difference = lax.slice_in_dim(padded_means, start, start + length, axis=axis) - means
            seen.append(jnp.arcsinh(difference).reshape(-1, 1))
            neighbours = lax.slice_in_dim(padded, start, start + length, axis=axis)
            seen.append(neighbours.reshape(-1, N_SHARED - 1))
    return jnp.concatenate(seen, axis=1)


def refine(
    params: Params, values: jax.Array, order: jax.Array, classes: jax.Array, ways: jax.Array, grid: Shape3
) -> jax.Array:
    """Corrections to decoded latents, to be added to them.

    Args:
        params: of ``init_refinement`` or ``fit_refinement``.
        values: float32 (n, D), decoded latents in steps, the mean first.
        order: int32 (D − 1,), the other latents, the likeliest to be large first.
        classes: int32 (n,), the blocks' classes among those of all profiles.
        ways: int32 (n,), how each block was transformed.
        grid: blocks along z, y and x, n together; static.

    Returns:
        float32 (n, D), in steps, between −MAX_CORRECTION and MAX_CORRECTION.
    """
    network, gains = bind_refinement(params["network"]), jnp.asarray(params["gains"])

    def correct(rows: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        features, classes, ways = rows
        corrections = gains[classes][:, None] * network(features, classes, ways)
        return jnp.clip(corrections, -MAX_CORRECTION, MAX_CORRECTION)

    return map_rows(correct, (refinement_features(values, order, grid), classes, ways))
