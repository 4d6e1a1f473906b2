"""Samples to fit the entropy model on: coefficients of random blocks of volumes, at many steps."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.normalization import finite_range
from nvc_jax.core.shapes import check_shape
from nvc_jax.spectral import encoder
from nvc_jax.spectral.class_decision import round_with_dead_zone
from nvc_jax.spectral.shape_decision import choose_shape
from nvc_jax.transform import separable
from nvc_jax.transform.separable import TransformShape

BLOCKS_PER_VOLUME = 600
"""Default number of blocks of each volume to learn classes from, for each shape of the
transform.
No measurement of the value is on record."""
STEP_RANGE = (0.0015, 0.4)
"""Smallest and largest step, of one quantiser and relative to the range, that the model is fitted for."""
_N_PORTIONS = 7
"""Steps at which a volume's blocks are sampled; each has an equal share of the blocks."""
_SHAPES_PER_VOLUME = 5
"""Times that a volume is sampled at so many steps: its shape is chosen anew at each."""
_OVERLAP = 0.5
"""Samples of a profile reach beyond its range of rates by half that range on each side, so that integers rare
in it are counted."""
_DEAD_ZONE = 0.6
"""Magnitude, and remainder, from which samples are rounded up before there is a model."""

_center = jax.jit(lambda volume: encoder.center_volume(volume, *finite_range(volume)))
_round = jax.jit(
    lambda values: round_with_dead_zone(values, jnp.float32(_DEAD_ZONE), jnp.float32(_DEAD_ZONE))
)


def center_by_own_range(volume: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Scale a volume by its own range as the encoder does, and return it with its shape, int32 (3,)."""
    return _center(jnp.asarray(volume)), jnp.array(volume.shape, jnp.int32)


def step_at(share: float | np.ndarray) -> Any:
    """Interpolate between the limits of STEP_RANGE on a logarithmic scale; ``share`` lies between 0 and 1."""
    smallest, largest = np.log(STEP_RANGE)
    return np.exp(smallest + share * (largest - smallest))


@jax.jit
def _coefficients(centered: jax.Array, valid_shape: jax.Array, transform: TransformShape) -> jax.Array:
    """Transform a volume by a transform of one shape."""
    shape = check_shape(centered.shape)
    axes = separable.make_axis_transforms(shape, valid_shape, transform, jnp.int32(0))
    return separable.forward(centered, axes)


_choose_shape = jax.jit(choose_shape)


def sample_coefficients(
    volumes: Iterable[np.ndarray], blocks_per_volume: int, *, seed: int
) -> list[np.ndarray]:
    """Sample coefficients of random blocks, transformed as the encoder would and by one common shape.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        blocks_per_volume: number of blocks of each volume, for each shape of the transform.
        seed: the only source of randomness.

    Returns:
        *Portions*, float32 (n, 512) each: blocks of one volume in units of one step.
    """
    rng = np.random.default_rng(seed)
    portions = []
    for volume in volumes:
        centered, valid_shape = center_by_own_range(volume)
        for _ in range(_SHAPES_PER_VOLUME):
            shares = (np.arange(_N_PORTIONS) + rng.random(_N_PORTIONS)) / _N_PORTIONS
            for step in step_at(shares).astype(np.float32):
                transform = _choose_shape(centered, jnp.float32(step), valid_shape)
                coefficients = np.asarray(_coefficients(centered, valid_shape, transform))
                drawn = rng.permutation(len(coefficients))[: -(-blocks_per_volume // _N_PORTIONS)]
                portions.append(coefficients[drawn] / step)
    return portions


def round_samples(values: np.ndarray) -> np.ndarray:
    """Round coefficients in steps, (n, 512), to int32 before there is a model."""
    return np.array(_round(jnp.asarray(values)))


def estimate_block_bits(magnitude: np.ndarray) -> np.ndarray:
    """Estimate the bits of blocks, (n,), whatever their classes, from magnitudes (n, D) in steps."""
    return np.log2(1 + magnitude).sum(axis=1)


def split_by_rate(portions: list[np.ndarray], n_profiles: int) -> list[np.ndarray]:
    """Assign portions to profiles, which overlap.

    Args:
        portions: integers (n, 512) each.
        n_profiles: number of profiles.

    Returns:
        For each profile, from low rates to high, the indices of its portions.
    """
    bits = [estimate_block_bits(np.abs(portion[:, 1:])).mean() for portion in portions]
    by_rate = np.argsort(bits, kind="stable")
    width = len(by_rate) / n_profiles
    limits = [(int((i - _OVERLAP) * width), int((i + 1 + _OVERLAP) * width)) for i in range(n_profiles)]
    return [by_rate[max(0, first) : last] for first, last in limits]
