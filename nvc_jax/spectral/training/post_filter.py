"""Fitting of the post-filter: a network that estimates the errors of decoded voxels, by gradient descent.

The network is fitted to voxels that the model itself has coded, after all its tables are known. The loss is
the share of the squared error that the filter leaves.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh

from nvc_jax.core.parameters import Params
from nvc_jax.spectral import post_filter
from nvc_jax.spectral.training.filter_samples import FilterSamples
from nvc_jax.training.mesh import replicate
from nvc_jax.training.optimizer import update_params

_BATCH = 4096
"""Voxels of a step."""
_STEPS_PER_BLOCK = 4
"""Steps for each block that a chunk's classes are fitted on."""
_MOST_EPOCHS = 120
"""Times that a voxel is seen, at most."""
_STEPS_AT_ONCE = 64
_LEARNING_RATE = 2e-3
_LAST_LAYER_SCALE = 0.05
"""Size of the first weights of the last layer, relative to the others: a new filter changes little."""


def fit_filter(
    samples: FilterSamples, n_units: int, blocks_per_volume: int, mesh: Mesh, *, seed: int
) -> tuple[Params, float]:
    """Fit a filter.

    Args:
        samples: what it is fitted to.
        n_units: of each layer.
        blocks_per_volume: number of blocks of each chunk that classes are fitted on: it says how long to fit.
        mesh: devices, which all do the same.
        seed: the only source of randomness.

    Returns:
        Parameters of the network, on the host, and the share of the squared error that it leaves.
    """
    n_samples = len(samples.errors)
    most_steps = _MOST_EPOCHS * max(1, n_samples // _BATCH)
    n_dispatches = -(-min(_STEPS_PER_BLOCK * blocks_per_volume, most_steps) // _STEPS_AT_ONCE)
    mean, scale = samples.inputs.mean(axis=0), samples.inputs.std(axis=0) + np.float32(1e-3)
    placed = replicate(mesh, samples._replace(inputs=(samples.inputs - mean) / scale))
    key, first_key = jax.random.split(jax.random.key(seed))
    network = replicate(mesh, _first_network(n_units, first_key))
    state = _optimizer().init(network)
    losses: list[float] = []
    for dispatch in range(n_dispatches):
        rates = _LEARNING_RATE * (1 - (dispatch + np.linspace(0, 1, _STEPS_AT_ONCE)) / (n_dispatches + 1))
        key, own_key = jax.random.split(key)
        network, state, loss = _take_steps(network, state, placed, own_key, rates.astype(np.float32))
        losses.append(float(loss))
    fitted = jax.device_get(network)
    weights = fitted["first_weights"] / scale
    joined = {"first_weights": weights, "first_biases": fitted["first_biases"] - weights @ mean}
    # An average of the last dispatches: one alone is noisy.
    return {**fitted, **joined}, float(np.mean(losses[-max(1, n_dispatches // 10) :]))


@partial(jax.jit, donate_argnums=(0, 1))
def _take_steps(
    network: Params, state: optax.OptState, samples: FilterSamples, key: jax.Array, rates: jax.Array
) -> tuple[Params, optax.OptState, jax.Array]:
    """Take a few steps; also return their mean loss."""

    def take(carried: tuple[Params, optax.OptState], of_step: tuple[jax.Array, jax.Array]) -> Any:
        (network, state), (key, rate) = carried, of_step
        drawn = jax.random.randint(key, (_BATCH,), 0, len(samples.errors))
        batch = jax.tree.map(lambda leaf: leaf[drawn], samples)
        loss, gradients = jax.value_and_grad(_share_left)(network, batch)
        return update_params(_optimizer(), gradients, state, network, rate), loss

    keys = jax.random.split(key, len(rates))
    carried, losses = lax.scan(take, (network, state), (keys, rates))
    return (*carried, jnp.mean(losses))


def _share_left(network: Params, samples: FilterSamples) -> jax.Array:
    """Compute the share of the squared error that a filter leaves."""
    inputs, errors, weights = map(jnp.asarray, samples)
    left = errors - post_filter.estimate_errors(network, inputs.T)
    return jnp.mean(weights * left**2)


def _optimizer() -> optax.GradientTransformation:
    return optax.scale_by_adam()


def _first_network(n_units: int, key: jax.Array) -> Params:
    """Make a network whose corrections are small."""
    network = {}
    for name, leaf in post_filter.abstract_filter(n_units)["filter"].items():
        key, own_key = jax.random.split(key)
        if name.endswith("biases"):
            network[name] = jnp.zeros(leaf.shape, leaf.dtype)
            continue
        size = np.sqrt(2 / leaf.shape[1]) * (_LAST_LAYER_SCALE if name == "last_weights" else 1)
        network[name] = jnp.float32(size) * jax.random.normal(own_key, leaf.shape, leaf.dtype)
    return network
