"""Training of the refinement: on what the encoder decides about cubes of volumes, at all rates together.

The network is trained by AdamW to predict the errors of decoded coefficients. Then each class gets a *gain*,
a factor of its refinements that is fitted on volumes that were held out: classes whose refinements do not
generalise are attenuated.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nvc_jax.core.parameters import Params
from nvc_jax.spectral.profiles import Profiles, count_profiles
from nvc_jax.spectral.refinement import (
    MAX_REFINEMENT,
    bind_refinement,
    init_refinement,
    to_stored_dtypes,
)
from nvc_jax.spectral.training.examples import Examples, collect_examples
from nvc_jax.training.optimizer import update_params
from nvc_jax.transform import block_modes

BATCH_SIZE = 512
"""Blocks of an optimiser step."""
MAX_STEPS, MAX_EPOCHS = 8000, 40
"""Optimiser steps by default, unless they would show every block more often than in 40 epochs."""
_STEPS_PER_DISPATCH = 256
"""Optimiser steps of one call of the device."""

_PEAK_LEARNING_RATE = 2e-3
"""Largest learning rate of AdamW. No measurement of it, of the weight decay
and of the limit of gradients is on record."""
_MAX_WARMUP_STEPS, _WARMUP_DIVISOR = 100, 10
"""Steps until the peak learning rate: a tenth of all steps, at most 100."""
_MAX_GRADIENT_NORM = 1.0
"""Gradients of a larger norm are scaled to this one, so that no single batch moves the network far."""
_WEIGHT_DECAY = 1e-3
"""Weight decay of AdamW."""

_HELD_OUT_EVERY = 8
"""Of eight volumes or more, every eighth is held out for the gains."""
_GAIN_PRIOR = 0.02
"""Share of all classes' sums that is added to each class's own sums when gains are fitted: rare classes take
the gain of all.
No measurement of the value is on record."""
_SMALLEST_DIVISOR = 1e-9
"""Smallest divisor of a gain: a network that predicts only zeros has gains of 0."""


def _predict(network: Params, examples: Examples) -> jax.Array:
    """Predict the refinements of n examples, float32 (n, D) in steps."""
    features = examples.features.astype(jnp.float32)
    return bind_refinement(network)(features, examples.classes, examples.filter_modes)


def _loss(network: Params, examples: Examples, sign: jax.Array) -> jax.Array:
    """Compute the mean change of the weighted squared error by the refinements; less is better.

    Args:
        network: parameters of the network.
        examples: a batch.
        sign: 1 or −1, a factor of all coefficients: a negated volume has negated errors.
    """
    signed = examples._replace(features=examples.features * sign.astype(jnp.float16))
    targets = examples.targets.astype(jnp.float32) * sign
    refinements = _predict(network, signed)
    return jnp.mean(examples.weights * jnp.sum((refinements - 2 * targets) * refinements, axis=1))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _run_steps(
    optimizer: optax.GradientTransformation,
    network: Params,
    state: optax.OptState,
    examples: Examples,
    order: jax.Array,
    signs: jax.Array,
) -> tuple[Params, optax.OptState]:
    """Run one optimiser step for each row of ``order``, which holds indices of examples."""

    def step(carry: tuple, batch_of_step: tuple) -> tuple:
        network, state = carry
        indices, sign = batch_of_step
        batch = jax.tree.map(lambda leaf: leaf[indices], examples)
        gradients = jax.grad(_loss)(network, batch, sign)
        return update_params(optimizer, gradients, state, network), None

    return lax.scan(step, (network, state), (order, signs))[0]


def fit_refinement(
    profiles: Profiles,
    volumes: list[np.ndarray],
    *,
    seed: int = 0,
    n_steps: int | None = None,
    cubes_per_volume: int = 16,
    augment: bool = True,
) -> Params:
    """Train the refinement of a fitted entropy model.

    Args:
        profiles: the entropy model, by which the volumes are encoded.
        volumes: (z, y, x) each, of supported dtypes. Of eight or more, every eighth only sets the gains.
        seed: the only source of randomness.
        n_steps: optimiser steps, of 512 blocks each; by default 8000, or as many as show every block 40 times
            if these are fewer.
        cubes_per_volume: number of cubes of each volume to learn from, each at another step of the quantiser.
        augment: whether to mirror and transpose cubes. It helps where axes mean the same or volumes differ in
            kind.

    Returns:
        Parameters for ``refinement.refine``, as checkpoints store them.
    """
    rng = np.random.default_rng(seed)
    collected = collect_examples(profiles, volumes, cubes_per_volume, augment, rng)
    is_held_out = [i % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1 for i in range(len(volumes))]
    learned = [x for x, is_held in zip(collected, is_held_out, strict=True) if not is_held]
    held_out = [x for x, is_held in zip(collected, is_held_out, strict=True) if is_held] or learned
    examples = jax.tree.map(lambda *x: jnp.asarray(np.concatenate(x)), *learned)
    del collected, learned

    n_classes, n_coefficients = profiles["tables"].shape[-2:]
    n_classes *= count_profiles(profiles)
    params = init_refinement(n_coefficients, n_classes, block_modes.N_FILTER_MODES, key=jax.random.key(seed))
    network = _train_network(params["network"], examples, n_steps, rng)
    gains = _fit_gains(network, held_out, n_classes)
    return jax.device_get(to_stored_dtypes({"network": network, "gains": gains}))


def _train_network(
    network: Params, examples: Examples, n_steps: int | None, rng: np.random.Generator
) -> Params:
    """Train the network; for the number of steps see ``fit_refinement``."""
    n = len(examples.classes)
    if n_steps is None:
        n_steps = min(MAX_STEPS, math.ceil(MAX_EPOCHS * n / BATCH_SIZE))
    warmup_steps = min(_MAX_WARMUP_STEPS, n_steps // _WARMUP_DIVISOR)
    schedule = optax.warmup_cosine_decay_schedule(0.0, _PEAK_LEARNING_RATE, warmup_steps, n_steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(_MAX_GRADIENT_NORM), optax.adamw(schedule, weight_decay=_WEIGHT_DECAY)
    )
    state = optimizer.init(network)
    for start in range(0, n_steps, _STEPS_PER_DISPATCH):
        count = min(_STEPS_PER_DISPATCH, n_steps - start)
        order = jnp.asarray(rng.integers(n, size=(count, BATCH_SIZE)), jnp.int32)
        signs = jnp.asarray(rng.choice((-1, 1), count), jnp.float32)
        network, state = _run_steps(optimizer, network, state, examples, order, signs)
    return network


@jax.jit
def _refinement_products(network: Params, examples: Examples) -> tuple[jax.Array, jax.Array]:
    """Multiply each block's refinements by its errors, and by themselves; weighted sums, (n,) each."""
    refinements = jnp.clip(_predict(network, examples), -MAX_REFINEMENT, MAX_REFINEMENT)
    targets = examples.targets.astype(jnp.float32)
    by_errors, by_themselves = (jnp.sum(refinements * x, axis=1) for x in (targets, refinements))
    return examples.weights * by_errors, examples.weights * by_themselves


def _fit_gains(network: Params, held_out: Sequence[Examples], n_classes: int) -> np.ndarray:
    """Fit the factor of each class's refinements that minimises the error, 0 to 1, float32 (n_classes,)."""
    sums = np.zeros((2, n_classes))
    for examples in held_out:
        for row, products in zip(sums, _refinement_products(network, examples), strict=True):
            row += np.bincount(examples.classes, np.asarray(products), n_classes)
    by_errors, by_themselves = sums + _GAIN_PRIOR * sums.sum(axis=1, keepdims=True)
    return np.clip(by_errors / np.maximum(by_themselves, _SMALLEST_DIVISOR), 0, 1).astype(np.float32)
