"""What the encoder chooses before it quantises: the filter of a volume and the mode of every region."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nvc_jax import regions, transform
from nvc_jax.blocks import Shape3, check_shape, grid_shape
from nvc_jax.cells import BLOCK
from nvc_jax.classes import BITS_PER_ERROR

_SAMPLE_SIDE = 32
_MIN_SAMPLES, _MAX_SAMPLES = 4, 6
_SPACING = 1.22074408460575947536 ** -np.arange(1, 4)
"""Shares of the sides that lie between one sample and the next: the R3 sequence (Roberts, 2018), of even
density however many there are."""
_WORTH_LARGE, _WORTH_PLAIN = 0.98, 0.95
"""Shares of others' costs below which it is worth to be large, and to be without filter."""
_WORTH_LOOKING = 0.005
"""Share of a sample's costs that plain regions must save for all regions to be looked at."""


def _cost(step: jax.Array, cells: jax.Array) -> jax.Array:
    """About what each block costs in bits and error, float32 (n,), whatever its class.

    A latent is either dropped, and its square is the error, or coded. Choices by this measure keep over four
    fifths of what choices by all classes' bits gain.
    """
    magnitude = jnp.abs(cells) / step
    coded = 3 + 2 * jnp.log2(1 + magnitude)
    cost = jnp.minimum(BITS_PER_ERROR * magnitude**2, coded).at[0, 0, 0].set(0)
    return jnp.sum(cost, axis=(0, 1, 2))


def _corners(shape: Shape3, sides: Shape3) -> list[tuple[int, ...]]:
    """Where a few cubes begin that are spread over a volume: on borders of regions."""
    whole = [range(0, length - side + 1, side) for length, side in zip(shape, sides, strict=True)]
    n = math.prod(map(len, whole))
    count = max(_MIN_SAMPLES, min(_MAX_SAMPLES, n // 4))
    if n <= count:
        return list(itertools.product(*whole))
    # Not at equal distances in z, y, x order: those may all lie in one column.
    region = 2 * BLOCK
    places = [(length - side) // region + 1 for length, side in zip(shape, sides, strict=True)]
    shares = 0.5 + np.arange(1, count + 1)[:, None] * _SPACING
    corners = region * np.floor(shares % 1 * places).astype(int)
    return [tuple(corner) for corner in corners.tolist()]


def _samples(volume: jax.Array) -> jax.Array:
    """A few cubes spread over the volume, (n, side, side, side) or smaller where the volume is."""
    shape = check_shape(volume.shape)
    sides = check_shape(tuple(min(_SAMPLE_SIDE, length) for length in shape))
    corners = _corners(shape, sides)
    return jnp.stack([lax.slice(volume, c, [a + b for a, b in zip(c, sides, strict=True)]) for c in corners])


def choose(volume: jax.Array, step: jax.Array, extent: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The filter of a volume and the modes of its regions.

    A sample decides on the filter and on the size of the blocks. Where edges are hard, regions do better
    without the filter: whether there are enough of them to look at every region, the sample tells, too.

    Args:
        volume: float32 (z, y, x), sides multiples of 8, its short blocks stretched.
        step: float32, of one quantiser, in the volume's units.
        extent: int32 (3,), voxels that count.

    Returns:
        int32, of ``transform.FILTERS``, and int32 (z, y, x), one of ``regions``' modes for each region.
    """
    samples = _samples(volume)
    shape = check_shape(samples.shape[1:])
    # One above the other they are a volume, whose filter does not cross from one to the next.
    tower = samples.reshape(-1, *shape[1:])
    n, side = len(samples), jnp.array(shape, jnp.int32)

    def cost(filter_index: jax.Array, mode: int) -> jax.Array:
        plan = regions.uniform_plan(mode, grid_shape(shape, BLOCK), side)
        plan = transform.Plan(*(jnp.concatenate([leaf] * n, axis=-3) for leaf in plan))
        return _region_costs(tower, step, plan, filter_index)

    by_filter = lax.map(partial(cost, mode=regions.LAPPED), jnp.arange(len(transform.FILTERS)))
    filter_index = jnp.argmin(jnp.sum(by_filter, axis=(1, 2, 3))).astype(jnp.int32)
    plain, lapped, large = by_filter[0], by_filter[filter_index], cost(filter_index, regions.LARGE)
    is_large = jnp.sum(large) < _WORTH_LARGE * jnp.sum(lapped)
    usual = jnp.where(is_large, large, lapped)
    gain = jnp.sum(jnp.maximum(usual - plain / _WORTH_PLAIN, 0))
    mode = jnp.where(is_large, regions.LARGE, regions.LAPPED)
    grid = grid_shape(check_shape(volume.shape), BLOCK)
    modes = jnp.where(regions.is_whole(grid, extent), mode, regions.LAPPED)
    modes = lax.cond(
        gain > _WORTH_LOOKING * jnp.sum(usual),
        lambda modes: _leave_plain(volume, step, modes, extent, filter_index),
        lambda modes: modes,
        modes,
    )
    return filter_index, modes


def _region_costs(
    volume: jax.Array, step: jax.Array, plan: transform.Plan, filter_index: jax.Array
) -> jax.Array:
    blocks = transform.map_latents(partial(_cost, step), volume, plan, filter_index)
    return regions.add_up(blocks.reshape(plan.crossed.shape[1:]))


def _leave_plain(
    volume: jax.Array, step: jax.Array, modes: jax.Array, extent: jax.Array, filter_index: jax.Array
) -> jax.Array:
    """``modes``, but PLAIN where that would cost less if a region's neighbours were like it.

    Where modes meet, the filter does not cross, which costs both sides: it must be worth it.
    """
    grid = grid_shape(check_shape(volume.shape), BLOCK)

    def cost(modes: jax.Array) -> jax.Array:
        plan = regions.make_plan(modes, grid, extent)
        return _region_costs(volume, step, plan, filter_index)

    usual, plain = lax.map(cost, jnp.stack([modes, jnp.full_like(modes, regions.PLAIN)]))
    return jnp.where(plain < _WORTH_PLAIN * usual, regions.PLAIN, modes)
