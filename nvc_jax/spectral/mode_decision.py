"""What the encoder chooses before it quantises: the filter of a volume and the mode of every superblock."""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax.core.shapes import Shape3, check_shape, grid_shape
from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.spectral.entropy_model import BITS_PER_ERROR
from nvc_jax.transform import block_modes, lapped, lapped_filter
from nvc_jax.transform import plan as plan_module
from nvc_jax.transform.block_dct import BLOCK_SIZE

_SAMPLE_SIDE, _N_SAMPLES = 32, 6
_CANDIDATES = (
    ("none", block_modes.LAPPED),
    ("orthonormal", block_modes.LAPPED),
    ("half", block_modes.LAPPED),
    ("biorthogonal", block_modes.LAPPED),
    ("half", block_modes.LARGE),
    ("biorthogonal", block_modes.LARGE),
)
"""Filters and modes that all superblocks may have; the first is what plain superblocks are."""
_WORTH_LARGE, _WORTH_PLAIN = 0.98, 0.95
"""Shares of others' costs below which it is worth to be large, and to be without filter."""
_WORTH_LOOKING = 0.005
"""Share of a sample's costs that plain superblocks must save for all superblocks to be looked at."""


def _cost(step: jax.Array, cells: jax.Array) -> jax.Array:
    """About what each block costs in bits and error, float32 (n,), whatever its class.

    A latent is either dropped, and its square is the error, or coded. Choices by this measure keep over four
    fifths of what choices by all classes' bits gain.
    """
    magnitude = jnp.abs(cells) / step
    coded = 3 + 2 * jnp.log2(1 + magnitude)
    cost = jnp.minimum(BITS_PER_ERROR * magnitude**2, coded).at[0, 0, 0].set(0)
    return jnp.sum(cost, axis=(0, 1, 2))


class _Samples(NamedTuple):
    """A few cubes of a volume.

    Attributes:
        tower: float32 (n · side, side, side), one above the other.
        valid_shapes: int32 (n, 3), voxels of each that count.
        weights: float32 (n,), for how many like it each stands.
    """

    tower: jax.Array
    valid_shapes: jax.Array
    weights: jax.Array


def _corners(shape: Shape3, sides: Shape3) -> np.ndarray:
    """Where cubes begin that cover a volume, on borders of superblocks: int (n, 3)."""
    starts = []
    for length, side in zip(shape, sides, strict=True):
        last = (length - side) // (2 * BLOCK_SIZE) * 2 * BLOCK_SIZE
        starts.append(sorted({*range(0, last + 1, side), last}))
    return np.array(list(itertools.product(*starts)))


def _activity(volume: jax.Array, step: jax.Array, corners: np.ndarray, sides: Shape3) -> jax.Array:
    """How much is going on in each cube, float32 (n,): how often neighbours are more than a step apart."""
    is_steep = jnp.abs(jnp.diff(volume, axis=2, append=volume[:, :, -1:])) > step
    z, y, x = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    by_block = jnp.sum(
        is_steep.reshape(z, BLOCK_SIZE, y, BLOCK_SIZE, x, BLOCK_SIZE), axis=(1, 3, 5), dtype=jnp.float32
    )
    blocks = [side // BLOCK_SIZE for side in sides]
    return jax.vmap(lambda corner: jnp.sum(lax.dynamic_slice(by_block, corner, blocks)))(
        corners // BLOCK_SIZE
    )


def _sample(volume: jax.Array, step: jax.Array, valid_shape: jax.Array) -> _Samples:
    """All cubes of a volume, or if they are many a few, the likelier the more is going on in them."""
    shape = check_shape(volume.shape)
    sides = check_shape(tuple(min(_SAMPLE_SIDE, length) for length in shape))
    corners = _corners(shape, sides)
    n = len(corners)
    if n <= _N_SAMPLES:
        chosen, weights = jnp.arange(n), jnp.ones(n)
    else:
        there = jnp.all(jnp.asarray(corners, jnp.int32) < valid_shape[None], axis=1)
        chosen, weights = draw_systematic(_activity(volume, step, corners, sides), there, _N_SAMPLES)
    starts = jnp.asarray(corners, jnp.int32)[chosen]
    cubes = jax.vmap(lambda start: lax.dynamic_slice(volume, start, sides))(starts)
    valid_shapes = jnp.clip(valid_shape[None] - starts, 0, jnp.array(sides, jnp.int32)[None])
    return _Samples(cubes.reshape(-1, *sides[1:]), valid_shapes, weights)


def choose_modes(volume: jax.Array, step: jax.Array, valid_shape: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The filter of a volume and the modes of its superblocks.

    A sample decides on the filter and the size of the blocks, together. Where edges are hard, superblocks do
    better without the filter: whether there are enough of them to look at all superblocks, the sample tells, too.

    Args:
        volume: float32 (z, y, x), sides multiples of 8, its short blocks stretched.
        step: float32, of one quantiser, in the volume's units.
        valid_shape: int32 (3,), voxels that count.

    Returns:
        int32, of ``transform.FILTERS``, and int32 (z, y, x), one of ``superblocks``' modes for each superblock.
    """
    samples = _sample(volume, step, valid_shape)
    names, of_modes = zip(*_CANDIDATES, strict=True)
    filters = jnp.array([lapped_filter.FILTERS.index(name) for name in names], jnp.int32)
    uniform = jnp.array(of_modes, jnp.int32)
    costs = lax.map(lambda ways: _sample_costs(samples, step, *ways), (filters, uniform))
    totals = jnp.sum(costs, axis=(1, 2, 3, 4))
    best = jnp.argmin(totals / jnp.where(uniform == block_modes.LARGE, jnp.float32(_WORTH_LARGE), 1))
    filter_index, mode = filters[best], uniform[best]
    gain = jnp.sum(jnp.maximum(costs[best] - costs[0] / _WORTH_PLAIN, 0))
    grid = grid_shape(check_shape(volume.shape), BLOCK_SIZE)
    modes = jnp.where(block_modes.is_complete(grid, valid_shape), mode, block_modes.LAPPED)
    modes = lax.cond(
        gain > _WORTH_LOOKING * totals[best],
        lambda modes: _leave_plain(volume, step, modes, valid_shape, filter_index),
        lambda modes: modes,
        modes,
    )
    return filter_index, modes


def _sample_costs(samples: _Samples, step: jax.Array, filter_index: jax.Array, mode: jax.Array) -> jax.Array:
    """What a sample's superblocks cost, float32 (n, z, y, x), if all are alike: times what they stand for."""
    n = len(samples.weights)
    z, y, x = grid_shape(check_shape(samples.tower.shape), BLOCK_SIZE)
    grid = (z // n, y, x)
    plans = jax.vmap(lambda valid_shape: block_modes.uniform_plan(mode, grid, valid_shape))(
        samples.valid_shapes
    )
    plan = plan_module.TransformPlan(*(jnp.moveaxis(leaf, 0, 1).reshape(3, z, y, x) for leaf in plans))
    blocks = lapped.map_coefficients(partial(_cost, step), samples.tower, plan, filter_index)
    by_superblock = jax.vmap(block_modes.sum_over_superblocks)(blocks.reshape(n, *grid))
    return by_superblock * samples.weights[:, None, None, None]


def _leave_plain(
    volume: jax.Array, step: jax.Array, modes: jax.Array, valid_shape: jax.Array, filter_index: jax.Array
) -> jax.Array:
    """``modes``, but PLAIN where that would cost less if a superblock's neighbours were like it.

    Where modes meet, the filter does not cross, which costs both sides: it must be worth it.
    """
    grid = grid_shape(check_shape(volume.shape), BLOCK_SIZE)

    def cost(modes: jax.Array) -> jax.Array:
        plan = block_modes.make_plan(modes, grid, valid_shape)
        blocks = lapped.map_coefficients(partial(_cost, step), volume, plan, filter_index)
        return block_modes.sum_over_superblocks(blocks.reshape(grid))

    usual, plain = lax.map(cost, jnp.stack([modes, jnp.full_like(modes, block_modes.PLAIN)]))
    return jnp.where(plain < _WORTH_PLAIN * usual, block_modes.PLAIN, modes)
