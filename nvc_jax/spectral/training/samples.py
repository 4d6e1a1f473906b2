"""Samples to fit the entropy model on: coefficients of random blocks of volumes, at many steps."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.shapes import check_shape
from nvc_jax.spectral.dead_zone import round_with_dead_zone
from nvc_jax.spectral.shape_decision import choose_shape
from nvc_jax.spectral.training.chunks import ChunkGroup
from nvc_jax.spectral.training.settings import STEP_RANGE
from nvc_jax.training.mesh import map_over_devices
from nvc_jax.transform import separable

N_PORTIONS = 21
"""Steps at which a chunk's blocks are sampled; each has an equal share of the blocks."""
_OVERLAP = 0.5
"""Samples of a profile reach beyond its range of rates by half that range on each side, so that integers rare
in it are counted."""
_DEAD_ZONE = 0.6
"""Magnitude, and remainder, from which samples are rounded up before there is a model."""

_round = jax.jit(
    lambda values: round_with_dead_zone(values, jnp.float32(_DEAD_ZONE), jnp.float32(_DEAD_ZONE))
)


def step_at(share: float | np.ndarray) -> Any:
    """Interpolate between the limits of STEP_RANGE on a logarithmic scale; ``share`` lies between 0 and 1."""
    smallest, largest = np.log(STEP_RANGE)
    return np.exp(smallest + share * (largest - smallest))


def sample_coefficients(
    groups: Iterable[ChunkGroup], blocks_per_volume: int, *, seed: int
) -> Iterator[np.ndarray]:
    """Sample coefficients of random blocks, transformed as the encoder would at many steps.

    Args:
        groups: all chunks, from ``ChunkLoader.groups``.
        blocks_per_volume: number of blocks of each chunk.
        seed: the only source of randomness.

    Yields:
        *Portions*, float32 (n, 512) each: blocks of one chunk in units of one step.
    """
    rng = np.random.default_rng(seed)
    blocks_per_portion = -(-blocks_per_volume // N_PORTIONS)
    for group in groups:
        # Drawn chunk by chunk, so that samples do not depend on the number of devices.
        draws = [_draw(rng, group.inside(i), blocks_per_portion) for i in range(len(group.numbers))]
        n_devices = group.mesh.size
        steps = np.ones((N_PORTIONS, n_devices), np.float32)
        blocks = np.zeros((N_PORTIONS, n_devices, blocks_per_portion), np.int32)
        for i, (chunk_steps, drawn) in enumerate(draws):
            steps[:, i] = chunk_steps
            for portion, chosen in zip(blocks[:, i], drawn, strict=True):
                portion[: len(chosen)] = chosen
        transform = map_over_devices(group.mesh, _coefficients)
        sampled = [
            np.asarray(transform((), (group.centered, group.valid_shapes, *group.share(step, drawn))))
            for step, drawn in zip(steps, blocks, strict=True)
        ]
        for i, (chunk_steps, drawn) in enumerate(draws):
            for part, chosen, step in zip(sampled, drawn, chunk_steps, strict=True):
                yield part[i, : len(chosen)] / step


def _draw(
    rng: np.random.Generator, inside: np.ndarray, blocks_per_portion: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw the steps of a chunk's portions, float32, and the blocks of each."""
    shares = (np.arange(N_PORTIONS) + rng.random(N_PORTIONS)) / N_PORTIONS
    blocks = np.flatnonzero(inside)
    return step_at(shares).astype(np.float32), [
        rng.permutation(blocks)[:blocks_per_portion] for _ in range(N_PORTIONS)
    ]


def _coefficients(
    shared: tuple[()], centered: jax.Array, valid_shape: jax.Array, step: jax.Array, blocks: jax.Array
) -> jax.Array:
    """Transform a chunk, and take some of its blocks."""
    shape = check_shape(centered.shape)
    transform = choose_shape(centered, step, valid_shape).shape
    axes = separable.make_axis_transforms(shape, valid_shape, transform, jnp.int32(0))
    return separable.forward(centered, axes)[blocks]


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
