"""Training of the refinement: on what the encoder decides about cubes of volumes, over all rates at once."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nvc_jax.autoencoder.networks import Params
from nvc_jax.core.normalization import finite_range
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.entropy_model import bits_per_error, plain_steps
from nvc_jax.spectral.profiles import Profiles, count_profiles, number_classes, take_profile
from nvc_jax.spectral.refinement import (
    MAX_CORRECTION,
    bind_refinement,
    init_refinement,
    refinement_features,
    stored,
)
from nvc_jax.spectral.training.entropy_model import fit_profiles
from nvc_jax.spectral.training.samples import step_at
from nvc_jax.transform import block_modes
from nvc_jax.transform.block_dct import BLOCK_SIZE

_CUBE_SIDE = 64
_ALIGNMENT = 16
_LARGEST_TARGET = 2.0  # steps; rare larger errors would drown the others
_BATCH_SIZE = 512
_STEPS_PER_DISPATCH = 256
_MOST_STEPS, _MOST_EPOCHS = 8000, 40
_PEAK_RATE = 2e-3
_FLOOR = 8.0
"""Bits a block that count as none: they go to means and classes, and quiet cubes teach little."""
_HELD_OUT_EVERY = 8
_LEAN = 0.02
"""How much of all classes' sums is added to each class's own when gains are fitted."""


class _Examples(NamedTuple):
    """Blocks to learn from.

    Attributes:
        features: float16 (n, N_FEATURES), what the network sees.
        targets: float16 (n, D), errors of the decoded latents in steps.
        classes, ways: int32 (n,).
        weights: float32 (n,), what a squared step of error is worth, as a share of the bits of a block of the
            same cube.
    """

    features: jax.Array
    targets: jax.Array
    classes: jax.Array
    ways: jax.Array
    weights: jax.Array


class Observed(NamedTuple):
    """What the decoder knows of a volume's n blocks, and what it should have known.

    Attributes:
        values: float32 (n, D), decoded latents in steps.
        errors: float32 (n, D), the latents less what was decoded, in steps.
        classes, ways: int32 (n,), as ``refinement.refine`` takes them.
        bits: float32, of the whole volume but for the means.
    """

    values: jax.Array
    errors: jax.Array
    classes: jax.Array
    ways: jax.Array
    bits: jax.Array


@jax.jit
def observe(
    profiles: Profiles, volume: jax.Array, minimum: jax.Array, maximum: jax.Array, step: jax.Array
) -> Observed:
    """Encode and decode a volume, but for the coding; arguments as those of ``spectral.encode``."""
    unit = encoder.centre(volume, minimum, maximum)
    found = encoder.analyse(profiles, unit, step, jnp.array(volume.shape, jnp.int32), jnp.int32(0))
    grid = grid_shape(check_shape(unit.shape), BLOCK_SIZE)
    values = decoder.dequantize(found.model, found.symbols, grid, found.predictor)
    ways = block_modes.filter_mode_index(found.filter_index, found.symbols.modes)
    classes = number_classes(found.model, found.profile, found.symbols.classes)
    return Observed(values, found.values - values, classes, ways, found.bits)


@functools.partial(jax.jit, static_argnums=2)
def _examples(observed: Observed, profiles: Profiles, grid: Shape3) -> _Examples:
    n, worth = len(observed.classes), bits_per_error(take_profile(profiles, 0))
    return _Examples(
        features=refinement_features(observed.values, profiles["order"], grid).astype(jnp.float16),
        targets=jnp.clip(observed.errors, -_LARGEST_TARGET, _LARGEST_TARGET).astype(jnp.float16),
        classes=observed.classes,
        ways=observed.ways,
        weights=jnp.full(n, worth / (observed.bits / n + _FLOOR)),
    )


def _random_cube(volume: np.ndarray, augment: bool, rng: np.random.Generator) -> np.ndarray:
    """A part of a volume, sides at most _CUBE_SIDE, under a random symmetry that keeps its shape."""
    sides = [min(side, _CUBE_SIDE) for side in volume.shape]
    corners = [
        rng.integers((a - b) // _ALIGNMENT + 1) * _ALIGNMENT for a, b in zip(volume.shape, sides, strict=True)
    ]
    cube = volume[tuple(slice(a, a + b) for a, b in zip(corners, sides, strict=True))]
    if augment:
        cube = cube[tuple(slice(None, None, sign) for sign in rng.choice((-1, 1), 3))]
        turned = cube.transpose(rng.permutation(3))
        cube = turned if turned.shape == cube.shape else cube
    return np.ascontiguousarray(cube)


def _collect(
    profiles: Profiles,
    volumes: list[np.ndarray],
    cubes_per_volume: int,
    augment: bool,
    rng: np.random.Generator,
) -> list[_Examples]:
    """Examples of every volume at steps expand_to_blocks over ``sampling.STEPS``, on the host."""
    coarser = plain_steps(take_profile(profiles, 0))
    collected = []
    for volume in volumes:
        limits = finite_range(jnp.asarray(volume))
        parts = []
        for i in range(cubes_per_volume):
            step = step_at((i + rng.random()) / cubes_per_volume)
            cube = _random_cube(volume, augment, rng)
            observed = observe(profiles, jnp.asarray(cube), *limits, jnp.float32(step * coarser))
            grid = grid_shape(check_shape(cube.shape), BLOCK_SIZE)
            parts.append(jax.device_get(_examples(observed, profiles, grid)))
        collected.append(jax.tree.map(lambda *x: np.concatenate(x), *parts))
    return collected


def _predict(network: Params, examples: _Examples) -> jax.Array:
    return bind_refinement(network)(examples.features.astype(jnp.float32), examples.classes, examples.ways)


def _loss(network: Params, examples: _Examples, sign: jax.Array) -> jax.Array:
    """What the change of the error is worth, as a share of all bits; ``sign`` turns the values over."""
    signed = examples._replace(features=examples.features * sign.astype(jnp.float16))
    targets = examples.targets.astype(jnp.float32) * sign
    corrections = _predict(network, signed)
    return jnp.mean(examples.weights * jnp.sum((corrections - 2 * targets) * corrections, axis=1))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _dispatch(
    optimizer: optax.GradientTransformation,
    network: Params,
    state: optax.OptState,
    examples: _Examples,
    order: jax.Array,
    signs: jax.Array,
) -> tuple[Params, optax.OptState]:
    """Run one optimiser step for each row of ``order``."""

    def step(carry: tuple, given: tuple) -> tuple:
        network, state = carry
        indices, sign = given
        batch = jax.tree.map(lambda leaf: leaf[indices], examples)
        gradients = jax.grad(_loss)(network, batch, sign)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes; our own code may be strict
            updates, state = optimizer.update(gradients, state, network)
        return (optax.apply_updates(network, updates), state), None

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
        profiles: the entropy model; what its encoder decides is what is learned from.
        volumes: (z, y, x) each, of supported dtypes. Of eight or more, every eighth only sets the gains.
        seed: the only source of randomness.
        n_steps: optimiser steps, of 512 blocks each; if missing 8000, or as many as show every block 40
            times.
        cubes_per_volume: how many parts of each volume to learn from, each at another quantiser step.
        augment: mirror and turn cubes; better where axes are alike or volumes are of many kinds.

    Returns:
        Parameters for ``refinement.refine``, as checkpoints store them.
    """
    rng = np.random.default_rng(seed)
    collected = _collect(profiles, volumes, cubes_per_volume, augment, rng)
    held_out = [i % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1 for i in range(len(volumes))]
    learned = [x for x, held in zip(collected, held_out, strict=True) if not held]
    judged = [x for x, held in zip(collected, held_out, strict=True) if held] or learned
    examples = jax.tree.map(lambda *x: jnp.asarray(np.concatenate(x)), *learned)
    del collected, learned

    n = len(examples.classes)
    if n_steps is None:
        n_steps = min(_MOST_STEPS, math.ceil(_MOST_EPOCHS * n / _BATCH_SIZE))
    n_classes, n_latents = profiles["tables"].shape[-2:]
    n_classes *= count_profiles(profiles)
    params = init_refinement(n_latents, n_classes, block_modes.N_FILTER_MODES, key=jax.random.key(seed))
    schedule = optax.warmup_cosine_decay_schedule(0.0, _PEAK_RATE, min(100, n_steps // 10), n_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-3))
    network, state = params["network"], optimizer.init(params["network"])
    for start in range(0, n_steps, _STEPS_PER_DISPATCH):
        count = min(_STEPS_PER_DISPATCH, n_steps - start)
        order = jnp.asarray(rng.integers(n, size=(count, _BATCH_SIZE)), jnp.int32)
        signs = jnp.asarray(rng.choice((-1, 1), count), jnp.float32)
        network, state = _dispatch(optimizer, network, state, examples, order, signs)
    return jax.device_get(stored({"network": network, "gains": _fit_gains(network, judged, n_classes)}))


@jax.jit
def _products(network: Params, examples: _Examples) -> tuple[jax.Array, jax.Array]:
    """Every block's corrections times its errors, and times themselves, weighted; each (n,)."""
    corrections = jnp.clip(_predict(network, examples), -MAX_CORRECTION, MAX_CORRECTION)
    targets = examples.targets.astype(jnp.float32)
    along, size = (jnp.sum(corrections * x, axis=1) for x in (targets, corrections))
    return examples.weights * along, examples.weights * size


def _fit_gains(network: Params, judged: list[_Examples], n_classes: int) -> np.ndarray:
    """What to multiply each class's corrections by, 0 to 1, for the least error; float32 (K,)."""
    sums = np.zeros((2, n_classes))
    for examples in judged:
        for row, products in zip(sums, _products(network, examples), strict=True):
            row += np.bincount(examples.classes, np.asarray(products), n_classes)
    along, size = sums + _LEAN * sums.sum(axis=1, keepdims=True)
    return np.clip(along / np.maximum(size, 1e-9), 0, 1).astype(np.float32)


def fit_spectral(
    volumes: list[np.ndarray],
    config: SpectralConfig,
    *,
    seed: int = 0,
    blocks_per_volume: int = 600,
    refinement_steps: int | None = None,
    augment: bool = True,
) -> Params:
    """Fit all of a spectral model: the entropy model, then the refinement of what it leaves.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        config: how many profiles, classes and tables.
        seed: the only source of randomness.
        blocks_per_volume: how many blocks of each volume to learn classes from, each way.
        refinement_steps: optimiser steps of the refinement; see ``fit_refinement``.
        augment: mirror and turn volumes for the refinement; see ``fit_refinement``.

    Returns:
        Parameters of ``spectral.encode``.
    """
    profiles = fit_profiles(volumes, config, blocks_per_volume=blocks_per_volume, seed=seed)
    refinement = fit_refinement(profiles, volumes, seed=seed, n_steps=refinement_steps, augment=augment)
    return {"entropy": profiles, "refinement": refinement}
