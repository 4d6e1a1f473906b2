"""What the encoder chooses before it quantises: the filter of a volume and the mode of every region."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nvc_jax import regions, transform
from nvc_jax.blocks import check_shape, grid_shape
from nvc_jax.cells import BLOCK
from nvc_jax.classes import BITS_PER_ERROR

_SAMPLE_SIDE = 32
_MAX_SAMPLES = 6
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


def _samples(volume: jax.Array) -> jax.Array:
    """A few cubes spread over the volume, (n, side, side, side) or smaller where the volume is."""
    sides = [min(_SAMPLE_SIDE, side) for side in volume.shape]
    corners = list(
        itertools.product(
            *(range(0, length - side + 1, side) for length, side in zip(volume.shape, sides, strict=True))
        )
    )
    # Of small volumes a quarter: each is transformed in five ways. Twice as many save 0.1 % of the bits.
    count = min(len(corners), max(2, min(_MAX_SAMPLES, len(corners) // 4)))
    chosen = [corners[(2 * i + 1) * len(corners) // (2 * count)] for i in range(count)]
    return jnp.stack([lax.slice(volume, c, [a + b for a, b in zip(c, sides, strict=True)]) for c in chosen])


def choose(volume: jax.Array, step: jax.Array, extent: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The filter of a volume and the modes of its regions.

    A sample decides on the filter and on the size of the blocks. Where edges are hard, regions do better
    without the filter: whether there are enough of them to look at every region, the sample tells, too.

    Args:
        volume: float32 (z, y, x), sides multiples of 8, its short blocks stretched.
        step: float32, of the quantiser, in the volume's units.
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
