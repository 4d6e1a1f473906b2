"""Samples to fit the entropy model on: coefficients of random blocks of volumes, at many steps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.filling import fill_smoothly
from nvc_jax.core.normalization import finite_range
from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.spectral import encoder
from nvc_jax.spectral.class_decision import round_with_dead_zone
from nvc_jax.spectral.shape_decision import choose_shape
from nvc_jax.transform import separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, make_layout

BLOCKS_PER_VOLUME = 3000
"""Default number of blocks of each chunk to learn classes from.
No measurement of the value is on record."""
_CHUNKS_PER_VOLUME = 2
"""Chunks of a volume that is larger than one."""
_LARGEST_SIDE = 128
"""Largest side of a chunk in voxels: that of the chunks that ``compress`` makes."""
STEP_RANGE = (0.0015, 0.4)
"""Smallest and largest step, of one quantiser and relative to the range, that the model is fitted for."""
_N_PORTIONS = 21
"""Steps at which a chunk's blocks are sampled; each has an equal share of the blocks."""
_OVERLAP = 0.5
"""Samples of a profile reach beyond its range of rates by half that range on each side, so that integers rare
in it are counted."""
_DEAD_ZONE = 0.6
"""Magnitude, and remainder, from which samples are rounded up before there is a model."""

_center = jax.jit(lambda volume: encoder.center_volume(volume, *finite_range(volume)))
_round = jax.jit(
    lambda values: round_with_dead_zone(values, jnp.float32(_DEAD_ZONE), jnp.float32(_DEAD_ZONE))
)


class TrainingChunk(NamedTuple):
    """A part of a volume, padded to the shape that all chunks share.

    Attributes:
        centered: float32 (z, y, x), from ``encoder.center_volume``.
        valid_shape: int32 (3,), voxels along z, y, x that lie in the volume.
        weight: share of the volume's weight.
    """

    centered: jax.Array
    valid_shape: jax.Array
    weight: float


def cut_chunks(volumes: Sequence[np.ndarray], *, seed: int) -> list[TrainingChunk]:
    """Cut chunks out of volumes, in random places: all of a small volume, a few parts of a large one.

    All chunks are padded to one shape, so that one compiled program serves them all.

    Args:
        volumes: (z, y, x) each, of supported dtypes.
        seed: the only source of randomness.
    """
    rng = np.random.default_rng(seed)
    largest = np.max([volume.shape for volume in volumes], axis=0)
    padded = check_shape(tuple(np.minimum(-(-largest // BLOCK_SIZE) * BLOCK_SIZE, _LARGEST_SIDE).tolist()))
    chunks = []
    for volume in volumes:
        sides = np.minimum(volume.shape, padded)
        n = 1 if (sides == volume.shape).all() else _CHUNKS_PER_VOLUME
        for _ in range(n):
            starts = rng.integers(np.array(volume.shape) - sides + 1)
            part = volume[tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))]
            chunks.append(_center_chunk(part, padded, 1 / n))
    return chunks


def _center_chunk(part: np.ndarray, padded: Shape3, weight: float) -> TrainingChunk:
    """Fill the gaps of a part of a volume, scale it by its own range, and pad it."""
    filled = fill_smoothly(part.astype(np.float32), np.isfinite(part))
    widths = [(0, side - length) for side, length in zip(padded, part.shape, strict=True)]
    centered = _center(jnp.asarray(np.pad(filled, widths, mode="edge")))
    return TrainingChunk(centered, jnp.array(part.shape, jnp.int32), weight)


def step_at(share: float | np.ndarray) -> Any:
    """Interpolate between the limits of STEP_RANGE on a logarithmic scale; ``share`` lies between 0 and 1."""
    smallest, largest = np.log(STEP_RANGE)
    return np.exp(smallest + share * (largest - smallest))


@jax.jit
def _coefficients(
    centered: jax.Array, valid_shape: jax.Array, step: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Transform a chunk, and mark its blocks inside."""
    shape = check_shape(centered.shape)
    transform = choose_shape(centered, step, valid_shape)
    axes = separable.make_axis_transforms(shape, valid_shape, transform, jnp.int32(0))
    layout = make_layout(grid_shape(shape, BLOCK_SIZE), valid_shape)
    return separable.forward(centered, axes), layout.inside


def sample_coefficients(
    chunks: Sequence[TrainingChunk], blocks_per_volume: int, *, seed: int
) -> list[np.ndarray]:
    """Sample coefficients of random blocks, transformed as the encoder would at many steps.

    Args:
        chunks: from ``cut_chunks``.
        blocks_per_volume: number of blocks of each chunk.
        seed: the only source of randomness.

    Returns:
        *Portions*, float32 (n, 512) each: blocks of one chunk in units of one step.
    """
    rng = np.random.default_rng(seed)
    blocks_per_portion = -(-blocks_per_volume // _N_PORTIONS)
    portions = []
    for chunk in chunks:
        shares = (np.arange(_N_PORTIONS) + rng.random(_N_PORTIONS)) / _N_PORTIONS
        for step in step_at(shares).astype(np.float32):
            coefficients, inside = _coefficients(chunk.centered, chunk.valid_shape, step)
            drawn = rng.permutation(np.flatnonzero(inside))[:blocks_per_portion]
            portions.append(np.asarray(coefficients)[drawn] / step)
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
